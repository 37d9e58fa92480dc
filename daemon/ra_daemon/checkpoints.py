"""Named points in and between the nine steps, so that a test can prove which one a SIGKILL hit.

Off unless ``RA_DAEMON_CHECKPOINT_DIR`` is set. Each hit appends ``step time pid`` to one file a
process. With ``RA_DAEMON_KILL_AT=step:n`` the process group is killed at the n-th hit of ``step``
in this process, after the line is on disk.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

STEPS = ("receive", "admit", "claim", "decode", "gate", "score", "record", "compose", "deliver")
BETWEEN = ("published", "admitted", "written", "recorded", "composed", "sent")
"""Where one side of an act is done and the other is not:

- published: the image is durable in the inbox, its sender has no answer yet;
- admitted: its rows are committed, its file still lies in the inbox;
- written: the rows of verdicts are written, their transaction is open;
- recorded: it is committed, nobody was told;
- composed: the objects are durable, the report is still due;
- sent: the peer has answered, the delivery is not settled.
"""
VARIABLES = ("RA_DAEMON_CHECKPOINT_DIR", "RA_DAEMON_KILL_AT")

_hits: Counter[str] = Counter()
_guard = threading.Lock()  # decoders hit from several threads


def hit(step: str) -> None:
    """Note that ``step`` (of ``STEPS`` or ``BETWEEN``) is reached; kill the group when told to."""
    folder = os.environ.get(VARIABLES[0])
    if folder is None:
        return
    with _guard:
        _hits[step] += 1
        reached = _hits[step]
    wanted, _, count = os.environ.get(VARIABLES[1], "").partition(":")
    fatal = step == wanted and reached == int(count or 1)
    line = f"{step} {time.time():.6f} {os.getpid()}{' kill' if fatal else ''}\n"
    log = os.open(
        Path(folder) / f"{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
    )
    try:
        os.write(log, line.encode())
    finally:
        os.close(log)
    if fatal:
        os.killpg(os.getpgrp(), signal.SIGKILL)
