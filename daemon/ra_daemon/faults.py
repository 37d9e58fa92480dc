"""What the system, the database or a file says of itself, in our words: message, remedy, status."""

from __future__ import annotations

import errno
import sys

from ra_daemon.errors import FileSystemError, StoreError
from ra_engine.errors import RaError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
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
    (("is full",), "The database cannot write", "Free space on its disk."),
)


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


def of_database(cause: BaseException) -> StoreError:
    """A driver's error; its text only where it is about file or connection: others quote values."""
    kinds = {k.__name__ for k in type(cause).__mro__}
    text = (str(cause).splitlines() or [type(cause).__name__])[0].rstrip(".")
    if type(cause).__module__ == "sqlite3":
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


def of_file_system(error: OSError) -> FileSystemError:
    """An error of the operating system."""
    reason = error.strerror or type(error).__name__
    if error.errno in _FULL:
        hint = "Free space there, or name another folder."
    elif error.errno in _CLOSED:
        hint = "Let this user write there, or name another folder."
    else:
        hint = FileSystemError.hint
    where = f"{error.filename}: " if error.filename else ""
    return FileSystemError(f"{where}{reason}.", hint=hint)
