"""Files: temporary, received, and kept; a file has its final name only when it is whole on disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ra_daemon.domain import Found

FOLDERS = ("tmp", "inbox", "objects", "engines", "run")


class Io(Protocol):
    """Operations whose order decides what a crash can lose; tests inject a disk that crashes."""

    def write(self, path: Path, data: bytes) -> None:
        """Write a whole new file; not yet durable."""

    def fsync(self, path: Path) -> None:
        """Make a file's content, or a folder's entries, durable."""

    def replace(self, source: Path, target: Path) -> None:
        """Rename, atomically, over what is there."""

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name. Raises FileExistsError when it is taken."""

    def mkdir(self, path: Path) -> None:
        """Make one folder (0700) unless it is there."""

    def unlink(self, path: Path) -> None:
        """Remove a name."""

    def exists(self, path: Path) -> bool:
        """Whether the name is there."""

    def intact(self, path: Path) -> bool:
        """Whether its bytes are those that its name is the digest of."""


class DiskIo:
    """The real ones."""

    def write(self, path: Path, data: bytes) -> None:
        """Write a whole new file, mode 0600."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)

    def fsync(self, path: Path) -> None:
        """Flush a file or a folder to the disk."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def replace(self, source: Path, target: Path) -> None:
        """Rename over what is there."""
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """Hard link; a durable copy where the file system has none."""
        try:
            os.link(source, target)
        except FileExistsError:
            raise
        except OSError:
            self._copy(source, target)

    def mkdir(self, path: Path) -> None:
        """Make one folder."""
        path.mkdir(mode=0o700, exist_ok=True)

    def _copy(self, source: Path, target: Path) -> None:
        """A durable copy, mode 0600; a full disk keeps no part of it."""
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            self.write(partial, b"")
            with source.open("rb") as whole, partial.open("wb") as copy:
                shutil.copyfileobj(whole, copy, 1 << 20)
            self.fsync(partial)
            partial.replace(target)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    def unlink(self, path: Path) -> None:
        """Remove a name."""
        path.unlink(missing_ok=True)

    def exists(self, path: Path) -> bool:
        """Whether the name is there."""
        return path.exists()

    def intact(self, path: Path) -> bool:
        """Read it and compare."""
        return intact(path)


class ObjectStore:
    """The folder that ``[store] root`` names. Rows hold paths relative to ``root``."""

    def __init__(self, root: Path, io: Io | None = None) -> None:
        self.root = Path(root)
        self._io: Io = io if io is not None else DiskIo()
        self._durable: set[Path] = set()  # folders whose own entry this process made durable
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in FOLDERS:
            self._io.mkdir(self.root / name)
        self._io.fsync(self.root)

    @property
    def inbox(self) -> Path:
        """Folder of received files that are not yet admitted."""
        return self.root / "inbox"

    @property
    def tmp(self) -> Path:
        """Folder of unfinished files, on the same file system as the others."""
        return self.root / "tmp"

    def write_temp(self) -> Path:
        """A new empty file (0600) to receive into."""
        path = self.tmp / uuid.uuid4().hex
        self._io.write(path, b"")
        return path

    def link_temp(self, received: Path, name: str) -> Path:
        """Give a received file a second name in ``tmp/``; a copy where there are no hard links."""
        target = self.tmp / name
        self._io.link(received, target)
        return target

    def publish_inbox(self, temp: Path, name: str) -> Path:
        """Make a received file durable under its final name; only then may it be acknowledged."""
        target = self.inbox / name
        self._io.fsync(temp)
        self._io.replace(temp, target)
        self._io.fsync(self.inbox)
        return target

    def inbox_files(self) -> list[Path]:
        """What waits for admission, sorted by name; sidecars (``.json``) are left out.

        Also what is no file: the one who admits tells about it.
        """
        return sorted(
            p for p in self.inbox.iterdir() if not p.name.startswith(".") and p.suffix != ".json"
        )

    def leave_inbox(self, path: Path) -> None:
        """Drop an admitted file's inbox name, after its rows are committed."""
        self._io.unlink(path)

    def adopt(
        self, path: Path, sha256: str, suffix: str, whole: Callable[[Path], bool]
    ) -> tuple[str, Found]:
        """Give a durable file of the same file system a second name among the objects.

        Args:
            path: the file.
            sha256: of its content.
            suffix: of the name.
            whole: whether the file that has the name already holds that content. One that does
                stays; any other gives way.

        Returns:
            (The path relative to the root, what had the name before.) Idempotent.
        """
        target = self._target(sha256, suffix)
        found: Found = "nothing"
        if not self._io.exists(target):
            # another thread may be faster: the content is the same
            with contextlib.suppress(FileExistsError):
                self._io.link(path, target)
        # Read every time, not only when the sizes differ: a bad disk keeps the size, and the same
        # image comes again too seldom for the reading to count.
        elif whole(target):
            found = "whole"
        else:
            found = "damaged"
            self._io.replace(self.link_temp(path, uuid.uuid4().hex), target)
        self._io.fsync(target.parent)  # also when there: a kill may have come before the last one
        return self._relative(target), found

    def put_bytes(self, data: bytes, suffix: str) -> tuple[str, str]:
        """Keep ``data`` durably under its digest.

        Returns:
            (path relative to the root, sha256). The same bytes give the same file.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        target = self._target(sha256, suffix)
        if not self._io.exists(target) or not self._io.intact(target):
            temp = self.tmp / uuid.uuid4().hex
            try:
                self._io.write(temp, data)
                self._io.fsync(temp)
                self._io.replace(temp, target)
            except OSError:
                # what a full disk holds of it would keep the disk full
                with contextlib.suppress(OSError):
                    self._io.unlink(temp)
                raise
        self._io.fsync(target.parent)
        return self._relative(target), sha256

    def open_path(self, relative: str) -> Path:
        """The absolute path of a stored file.

        Raises:
            ValueError: it leads out of the store.
        """
        path = (self.root / relative).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise ValueError("The path leads out of the store.")
        return path

    def read_intact(self, relative: str) -> bytes:
        """The bytes of a stored file.

        Raises:
            OSError: it is gone, or the disk does not give it.
            ValueError: they are not those that its name is the digest of.
        """
        path = self.open_path(relative)
        data = path.read_bytes()
        if _named_digest(path) not in ("", hashlib.sha256(data).hexdigest()):
            raise ValueError("The file is damaged.")
        return data

    def remove(self, relatives: Sequence[str]) -> dict[str, OSError]:
        """Unlink stored files, durably; those that are gone already are no error.

        Returns:
            Those that the disk does not let go, and why.

        Raises:
            ValueError: a path is not one of an object.
        """
        folders: set[Path] = set()
        kept: dict[str, OSError] = {}
        for relative in relatives:
            path = self.root / relative
            if path.parent.parent != self.root / "objects" or ".." in path.parts:
                raise ValueError("Only objects are removed.")
            try:
                self._io.unlink(path)
            except OSError as error:
                kept[relative] = error
            folders.add(path.parent)
        for folder in sorted(folders):
            if self._io.exists(folder):
                self._io.fsync(folder)
        return kept

    def sweep_temp(self, older_than_s: float = 3600.0) -> int:
        """Remove what a crash left unfinished, and sidecars in the inbox whose file is gone.

        Nodes may share the folder, so only files that nobody wrote to for ``older_than_s`` go: a
        reception that stands still that long was given up by its time limits.
        """
        before = self._now() - older_than_s
        notes = [p for p in self.inbox.glob("*.json") if not p.with_suffix(".dcm").exists()]
        files = [p for p in self.tmp.iterdir() if p.is_file()]
        left = [p for p in (*files, *notes) if _written_before(p, before)]
        for path in left:
            self._io.unlink(path)
        return len(left)

    def free_bytes(self) -> int:
        """Bytes free on the file system of the store."""
        return shutil.disk_usage(self.root).free

    def _now(self) -> float:
        """The moment by the file system's own clock, which may be another machine's."""
        probe = self.write_temp()
        try:
            return probe.stat().st_mtime
        finally:
            self._io.unlink(probe)

    def _target(self, sha256: str, suffix: str) -> Path:
        objects = self.root / "objects"
        folder = objects / sha256[:2]
        if folder not in self._durable:
            self._io.mkdir(folder)
            self._io.fsync(objects)
            self._durable.add(folder)
        return folder / f"{sha256}{suffix}"

    def _relative(self, target: Path) -> str:
        return target.relative_to(self.root).as_posix()


def intact(path: Path) -> bool:
    """Whether a stored file's bytes are those that its name is the digest of.

    A name that is no digest says nothing: such a file counts as intact.
    """
    name = _named_digest(path)
    if not name:
        return True
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == name


def _named_digest(path: Path) -> str:
    """The digest in a stored file's name; "" where there is none."""
    name = path.name.split(".")[0]
    return name if len(name) == 2 * hashlib.sha256().digest_size else ""


def _written_before(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime <= moment
    except FileNotFoundError:  # finished meanwhile
        return False
