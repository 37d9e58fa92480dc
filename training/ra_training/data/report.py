"""What became of every file and row of a set: read, refused with a reason, or left aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ra_training.data.pixels import check_image
from ra_training.data.sample import Sample
from ra_training.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A file or row that gave no sample.

    Attributes:
        where: path below the set's root, or ``table.csv:12`` for a row (line numbers from 1).
        code: stable, for scripts; reason: what is wrong; hint: what to do.
    """

    where: str
    code: str
    reason: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReport:
    """The account of one reading: every file of the tree is in exactly one of the lists.

    Attributes:
        read: files that samples came from, tables included.
        aside: file -> why nothing was expected of it (a readme, another program's file).
        notes: facts that a user must know, such as labels that the set does not have.
    """

    kind: str
    samples: int
    read: tuple[str, ...]
    refused: tuple[Refusal, ...] = ()
    aside: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def codes(self) -> dict[str, int]:
        """Refusals by code."""
        return dict(sorted(Counter(r.code for r in self.refused).items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Samples of one source, sorted by key, with the account of their reading.

    Attributes:
        crops: sample key -> site id with ``L_``, ``R_`` or ``U_`` -> file of that joint.
        boxes: sample key -> category -> boxes (x, y, width, height) in pixels of the image.
        masks: sample key -> files or annotations of masks, as the source keeps them.
    """

    samples: tuple[Sample, ...]
    report: ReadReport
    crops: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    boxes: Mapping[str, Mapping[str, tuple[tuple[float, ...], ...]]] = field(default_factory=dict)
    masks: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


class Account:
    """Collects the report while a set is read."""

    def __init__(self, kind: str, root: Path) -> None:
        if not root.is_dir():
            raise TrainingError(
                code="set-missing", text=f"there is no folder {root.name}", hint="name the folder"
            )
        self.kind, self.root = kind, root
        self.files = tuple(sorted(p for p in root.rglob("*") if p.is_file()))
        self._read: set[Path] = set()
        self._refused: list[Refusal] = []
        self._seen: set[str] = set()
        self._aside: dict[str, str] = {}
        self._notes: list[str] = []

    def name(self, path: Path) -> str:
        """Path below the root, with forward slashes."""
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()

    def read(self, path: Path) -> None:
        """A file was used."""
        self._read.add(path)

    def refuse(self, where: Path | str, code: str, reason: str, hint: str) -> None:
        """A file or row gives no sample."""
        name = where if isinstance(where, str) else self.name(where)
        self._seen.add(name)
        self._refused.append(Refusal(where=name, code=code, reason=reason, hint=hint))

    def aside(self, path: Path, why: str) -> None:
        """A file of which nothing is expected."""
        self._aside[self.name(path)] = why

    def note(self, text: str) -> None:
        """A fact to tell, once."""
        if text not in self._notes:
            self._notes.append(text)

    def images(self, paths: Iterable[Path]) -> set[Path]:
        """Decode files; refuse those that cannot be; return the good ones."""
        wanted = sorted(set(paths))
        with ThreadPoolExecutor(4) as pool:
            troubles = dict(zip(wanted, pool.map(_trouble, wanted), strict=True))
        for path, trouble in troubles.items():
            if trouble is None:
                self.read(path)
            else:
                self.refuse(path, trouble.code, trouble.text, trouble.hint)
        return {p for p, trouble in troubles.items() if trouble is None}

    def close(self, samples: Iterable[Sample], **more: Mapping[str, object]) -> DataSet:
        """Files that nobody named are left aside; two samples of one key are an error of ours."""
        ordered = tuple(sorted(samples, key=lambda s: s.key))
        if len({s.key for s in ordered}) != len(ordered):
            raise ValueError("two samples share a key")
        for path in self.files:
            name = self.name(path)
            if path not in self._read and name not in self._seen and name not in self._aside:
                self._aside[name] = "not part of this layout"
        report = ReadReport(
            kind=self.kind,
            samples=len(ordered),
            read=tuple(sorted(self.name(p) for p in self._read)),
            refused=tuple(sorted(self._refused, key=lambda r: (r.where, r.code))),
            aside=dict(sorted(self._aside.items())),
            notes=tuple(self._notes),
        )
        return DataSet(samples=ordered, report=report, **more)  # type: ignore[arg-type]


def _trouble(path: Path) -> TrainingError | None:
    try:
        check_image(path)
    except TrainingError as error:
        return error
    return None


Reader = Callable[[Path], DataSet]
