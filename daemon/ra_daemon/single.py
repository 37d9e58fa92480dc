"""Which nodes may run on one store at the same time, kept by locks that go with the process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from ra_daemon.errors import StoreError


def hold(root: Path, parts: frozenset[str], *, shared: bool) -> list[IO[str]]:
    """Take the locks of a node; close them to let go.

    An SQLite store has one node. With ``shared`` (PostgreSQL) nodes share the folder: one of them
    receives and admits, and each machine has one that delivers, for a restart takes up what "its"
    machine was sending. The receiving node is the one that ``ra-daemon stop`` finds.

    Raises:
        StoreError: another node has the lock.
        OSError: the folder cannot be written.
    """
    run_dir = root / "run"
    run_dir.mkdir(parents=True, exist_ok=True)
    if not shared:
        names = ["lock"]
    else:
        wanted = {"receive": "lock", "deliver": f"deliver-{os.uname().nodename}.lock"}
        names = [name for part, name in wanted.items() if part in parts]
    held: list[IO[str]] = []
    try:
        for name in names:
            held.append((run_dir / name).open("w"))
            fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        for file in held:
            file.close()
        if not isinstance(error, BlockingIOError):  # no folder to write: nobody else's doing
            raise
        raise StoreError(
            "Another node runs on this store.",
            hint="Run ra-daemon status; give each node a [store] root of its own, or share one "
            "PostgreSQL and start further nodes with --only score.",
        ) from error
    if "lock" in names:
        (run_dir / "ra-daemon.pid").write_text(str(os.getpid()))
    return held
