"""Built engines on disk: ``<key>.plan`` or ``<key>.onnx`` with ``<key>.json`` beside it.

An engine is executable content, so nothing is handed to a runtime before three checks hold: the
folder is ours alone, the record bears this folder's seal (an engine copied from elsewhere does
not), and the file has the sha256 that the record states.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ra_engine.errors import EngineFileError
from ra_engine.gate import GateReport
from ra_engine.spec import Form, Precision

SCHEMA = 2
"""Version of key and record; another one means: build again."""

_SEAL = ".seal"


class EngineRecord(BaseModel):
    """What is known of one built engine; the text of ``<key>.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int
    key: str
    inputs: dict[str, Any]
    backend: str
    version: str
    precision: Precision
    device: str
    form: Form
    file: str
    sha256: str
    seconds: float
    gate: GateReport
    kept_fp32: tuple[str, ...] = ()
    seal: str = ""

    @property
    def session_key(self) -> str:
        """The key that result rows name."""
        return f"{self.backend}-{self.version}-{self.device}-{self.precision}-{self.key[:16]}"


class EngineCache:
    """The folder of built engines of one node."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, mode 0700, or take one that is already so.

        Raises:
            EngineFileError: others may read or write it, or it is not ours.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise EngineFileError(
                f"{folder} is not private: mode {stat.S_IMODE(found.st_mode):04o}, owner "
                f"{found.st_uid}.",
                hint=f"Engines are executable content: chown it to this user, chmod 700 {folder}.",
            )
        self.folder = folder

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold the key among all processes: two that want one engine build it once."""
        with (self.folder / f"{key}.lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def find(self, key: str) -> EngineRecord | None:
        """The record of a key, None when none was built.

        Raises:
            EngineFileError: the record is damaged or unreadable, or was not made by this node.
        """
        path = self.folder / f"{key}.json"
        try:
            record = EngineRecord.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, error) from error
        except ValidationError as error:
            raise EngineFileError(f"{path.name} is damaged.") from error
        if not hmac.compare_digest(record.seal, self._sealed(record)) or record.key != key:
            raise EngineFileError(
                f"{path.name} was not made by this node: an engine from elsewhere is foreign code.",
                hint="Remove it and build here: ra-daemon models build.",
            )
        return record

    def records(self) -> list[EngineRecord]:
        """All records that bear the seal, by key; others are left out."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                record = self.find(path.stem)
            except EngineFileError:
                continue
            if record is not None:
                found.append(record)
        return found

    def read(self, record: EngineRecord) -> bytes:
        """The engine's bytes, after their hash was compared; b"" for one without a file.

        Raises:
            EngineFileError: missing, unreadable or changed.
        """
        if not record.file:
            return b""
        path = self.folder / record.file
        if path.parent != self.folder or path.is_symlink():
            raise EngineFileError(f"{record.file} is no file of the cache.")
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise EngineFileError(f"{record.file} is missing.") from error
        except OSError as error:
            raise _unreadable(path, error) from error
        if hashlib.sha256(data).hexdigest() != record.sha256:
            raise EngineFileError(f"{record.file} is not the file that was built: wrong sha256.")
        return data

    def put(self, record: EngineRecord, data: bytes) -> EngineRecord:
        """Store an engine, its file before its record; return the record with its seal."""
        if record.file:
            write_durably(self.folder / record.file, data)
        sealed = record.model_copy(update={"seal": self._sealed(record)})
        write_durably(self.folder / f"{record.key}.json", sealed.model_dump_json(indent=1).encode())
        return sealed

    def drop(self, key: str) -> None:
        """Forget an engine: record first, so that nothing points to a missing file."""
        for path in (self.folder / f"{key}.json", *self.folder.glob(f"{key}.*")):
            if path.suffix != ".lock":
                path.unlink(missing_ok=True)

    def _sealed(self, record: EngineRecord) -> str:
        text = canonical(record.model_dump(mode="json", exclude={"seal"}))
        return hmac.new(self._secret(), text.encode(), hashlib.sha256).hexdigest()

    def _secret(self) -> bytes:
        """32 random bytes of this folder, made with its first engine."""
        path = self.folder / _SEAL
        if not path.exists():
            with self.lock(_SEAL):
                if not path.exists():
                    write_durably(path, secrets.token_bytes(32))
        return path.read_bytes()


def _unreadable(path: Path, error: OSError) -> EngineFileError:
    return EngineFileError(
        f"{path.name} cannot be read: {error.strerror or type(error).__name__}.",
        hint=f"Give this user the files below {path.parent} and build again: "
        "ra-daemon models build.",
    )


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces: one text for one value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_durably(path: Path, data: bytes) -> None:
    """Write beside, fsync, rename, fsync the folder: whole or not at all, mode 0600."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        Path(name).unlink(missing_ok=True)
