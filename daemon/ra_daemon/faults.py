"""What the system, the database or a file says of itself, in our words: message, remedy, status."""

from __future__ import annotations

import errno
import sys

from ra_daemon.errors import (
    DaemonError,
    DiskFullError,
    FileDamagedError,
    FileSystemError,
    StoreError,
)
from ra_engine.errors import RaError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says of a disk, or a user's share of it, that is full."""

_CLOSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_SQLITE = (  # part of SQLite's message, what it means, remedy
    (
        ("not a database", "malformed"),
        "The SQLite file is damaged",
        "Move it away and put a backup back: ra-daemon restore FOLDER.",
    ),
    (
        ("readonly", "unable to open"),
        "The SQLite file cannot be used",
        "Let the node's user write the folder of the database, see store.root.",
    ),
    (
        ("is locked",),
        "The SQLite file is in use",
        "End what holds it (another program that writes to it for long), then try again.",
    ),
    (
        ("disk I/O",),
        "The disk of the SQLite file failed",
        "Run df on store.root, for a full disk may fail so; then look for its errors in dmesg.",
    ),
)
_SQLITE_FULL = ("is full",)
_POSTGRES_FULL = "DiskFull"


def translated(error: BaseException) -> RaError | None:
    """The error as one of ours; None when it is a fault of the program."""
    if isinstance(error, RaError):
        return error
    # Only what a command has loaded can have raised: nothing heavy is imported here.
    alchemy = sys.modules.get("sqlalchemy")
    if alchemy is not None and isinstance(error, alchemy.exc.DBAPIError):
        return of_database(getattr(error, "orig", None) or error)
    if isinstance(error, BrokenPipeError) or not isinstance(error, OSError):
        return None
    return of_file_system(error)


def log_fields(error: BaseException) -> dict[str, str]:
    """What a log tells of an error that something survived: kind, code, and the remedy if any.

    No message: that of a library may hold patient data.
    """
    told = translated(error)
    if told is None:
        return {"error": type(error).__name__, "code": "unexpected"}
    return {"error": type(error).__name__, "code": told.code, "hint": told.hint}


def of_database(cause: BaseException) -> StoreError:
    """A driver's error; its text only where it is about file or connection: others quote values."""
    kinds = {k.__name__ for k in type(cause).__mro__}
    text = (str(cause).splitlines() or [type(cause).__name__])[0].rstrip(".")
    if _POSTGRES_FULL in kinds:
        return DiskFullError("The disk of the database is full.")
    if type(cause).__module__ == "sqlite3":
        if any(part in text for part in _SQLITE_FULL):
            return DiskFullError(f"The SQLite file cannot grow: {text}.")
        for parts, meaning, remedy in _SQLITE:
            if any(part in text for part in parts):
                return StoreError(f"{meaning}: {text}.", hint=remedy)
    if "OperationalError" in kinds:
        return StoreError(
            f"The database does not answer: {text}.",
            hint="Start its server, end what holds a lock on it, or correct store.url; "
            "ra-daemon config show tells which is used.",
        )
    return StoreError(f"The database refused ({type(cause).__name__}).")


def of_received(error: OSError) -> FileDamagedError:
    """What the disk does not give of a received file is lost."""
    if isinstance(error, FileNotFoundError):
        return FileDamagedError("The file of the image is gone.")
    return FileDamagedError(f"The file of the image cannot be read ({type(error).__name__}).")


def of_file_system(error: OSError) -> DaemonError:
    """An error of the operating system."""
    reason = error.strerror or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in FULL:
        return DiskFullError(f"{where}{reason}.")
    if error.errno in _CLOSED:
        hint = "Let this user write there, or name another folder."
        return FileSystemError(f"{where}{reason}.", hint=hint)
    return FileSystemError(f"{where}{reason}.")
