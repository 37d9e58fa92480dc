"""Whatever the moment of a power cut: what was acknowledged is there, whole, under its name.

A disk that remembers which bytes and which names are durable runs random work of the object
store, stops at a random operation, and then loses a random part of what was not synced.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ra_daemon.store.objects import ObjectStore

CONTENTS = st.binary(min_size=1, max_size=8)


class PowerCutError(Exception):
    """The machine went off."""


class FragileDisk:
    """Files as (bytes, durable bytes), names as present and durable; stops after ``budget``."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.data: dict[int, bytes] = {}
        self.durable: dict[int, bytes] = {}
        self.names: dict[Path, int] = {}
        self.durable_names: dict[Path, int] = {}
        self.folders: set[Path] = set()
        self.durable_folders: set[Path] = set()

    def lay(self, path: Path, data: bytes) -> None:
        """A file that is there from the start, durably."""
        inode = len(self.data)
        self.data[inode] = self.durable[inode] = data
        self.names[path] = self.durable_names[path] = inode

    def _step(self) -> None:
        if self.budget == 0:
            raise PowerCutError
        self.budget -= 1

    def write(self, path: Path, data: bytes) -> None:
        self._step()
        inode = len(self.data)
        self.data[inode] = data
        self.durable[inode] = b""
        self.names[path] = inode

    def fsync(self, path: Path) -> None:
        self._step()
        if path in self.names:
            self.durable[self.names[path]] = self.data[self.names[path]]
            return
        gone = [n for n in self.durable_names if n.parent == path and n not in self.names]
        for name in gone:
            del self.durable_names[name]
        self.durable_names |= {n: i for n, i in self.names.items() if n.parent == path}
        self.durable_folders |= {f for f in self.folders if f.parent == path}

    def replace(self, source: Path, target: Path) -> None:
        self._step()
        self.names[target] = self.names.pop(source)

    def link(self, source: Path, target: Path) -> None:
        self._step()
        if target in self.names:
            raise FileExistsError(target)
        self.names[target] = self.names[source]

    def mkdir(self, path: Path) -> None:
        self._step()
        self.folders.add(path)

    def unlink(self, path: Path) -> None:
        self._step()
        self.names.pop(path, None)

    def exists(self, path: Path) -> bool:
        return path in self.names or path in self.folders

    def intact(self, path: Path) -> bool:
        return hashlib.sha256(self.data[self.names[path]]).hexdigest() == path.stem

    def after_the_cut(self, lucky_names: set[int], lucky_bytes: set[int]) -> dict[Path, bytes]:
        """What a restart finds: durable state, and by luck some of what was not synced."""
        removed = sorted(n for n in self.durable_names if n not in self.names)
        lost = {name for number, name in enumerate(removed) if number in lucky_names}
        names = {n: i for n, i in self.durable_names.items() if n not in lost}
        for number, (name, inode) in enumerate(sorted(self.names.items())):
            if number in lucky_names:
                names[name] = inode
        folders = {f for n, f in enumerate(sorted(self.folders)) if n in lucky_names}
        folders |= self.durable_folders
        return {
            name: self.data[inode] if inode in lucky_bytes else self.durable[inode]
            for name, inode in names.items()
            if name.parent in folders
        }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crash")


LUCK = st.sets(st.integers(0, 40), max_size=20)


@settings(max_examples=400, deadline=None)
@given(
    contents=st.lists(CONTENTS, min_size=1, max_size=5),
    budget=st.integers(0, 80),
    names=LUCK,
    held=LUCK,
)
def test_what_was_acknowledged_survives(
    root: Path, contents: list[bytes], budget: int, names: set[int], held: set[int]
) -> None:
    disk = FragileDisk(budget)
    promised: dict[Path, bytes] = {}
    with contextlib.suppress(PowerCutError):
        _work(root, disk, contents, promised)
    found = disk.after_the_cut(names, held)
    assert {path: found.get(path) for path in promised} == promised
    finals = [p for p in found if p.parent.name == "inbox" or p.parent.parent.name == "objects"]
    for path in finals:  # under a final name there is never half a file
        assert found[path] in contents


def _work(
    root: Path, disk: FragileDisk, contents: list[bytes], promised: dict[Path, bytes]
) -> None:
    """Receive, adopt and keep each content; note every name that was promised."""
    store = ObjectStore(root, disk)
    for number, content in enumerate(contents):
        temp = store.tmp / f"t{number}"
        disk.write(temp, content)
        inbox = store.publish_inbox(temp, f"{number}.dcm")
        promised[inbox] = content  # 0x0000 goes out here
        digest = hashlib.sha256(content).hexdigest()
        adopted = store.open_path(store.adopt(inbox, digest, ".dcm", disk.intact)[0])
        promised[adopted] = content
        del promised[inbox]
        store.leave_inbox(inbox)
        kept, _ = store.put_bytes(content, ".npz")
        promised[store.open_path(kept)] = content


def _object(root: Path, content: bytes) -> Path:
    digest = hashlib.sha256(content).hexdigest()
    return root / "objects" / digest[:2] / f"{digest}.dcm"


@settings(max_examples=100, deadline=None)
@given(content=CONTENTS, first=st.integers(0, 30), names=LUCK, held=LUCK, damaged=st.booleans())
def test_an_interrupted_adoption_is_finished_by_the_next(
    root: Path, content: bytes, first: int, names: set[int], held: set[int], *, damaged: bool
) -> None:
    """SIGKILL (not power) after any operation, then the same work again, then a power cut."""
    disk = FragileDisk(first)
    if damaged:
        disk.lay(_object(root, content), content + b"x")
    for budget in (first, 10_000):
        disk.budget = budget
        with contextlib.suppress(PowerCutError):
            _work(root, disk, [content], {})
    target = _object(root, content).resolve()
    found = {p.resolve(): d for p, d in disk.after_the_cut(names, held).items()}
    assert found[target] == content
