"""The scorer process: decode, gate, score. It touches neither network nor database."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from ra_daemon import log
from ra_daemon.config import Config
from ra_daemon.domain import Failed
from ra_daemon.worker.messages import Progress, Ready, ScoreTask, Settled, Unready
from ra_engine.errors import RaError

_log = log.get(__name__)
_HEADROOM_MB = 2048  # address space that native libraries reserve and never touch


def main(connection: Connection, config: Config, pinned: str = "") -> None:
    """Entry of the process: load the models once, then work batches until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a drain lets the batch in hand finish
    log.configure(config.log)
    watch_parent()
    _limit_memory(config.scoring.memory_limit_mb)

    from ra_daemon.worker.pipeline import Pipeline

    try:
        pipeline = Pipeline(
            config,
            progress=lambda stage, blame: _tell(connection, stage, blame),
            pinned=pinned,
        )
    except RaError as error:
        connection.send(Unready(message=str(error), hint=error.hint))
        return
    connection.send(Ready(engine=pipeline.engine))
    while True:
        try:
            tasks: Sequence[ScoreTask] = connection.recv()
        except EOFError:
            return
        try:
            for job_id, outcome in pipeline.run(tasks):
                connection.send(Settled(job_id=job_id, outcome=outcome))
        except MemoryError:
            # What is left of the heap cannot be trusted; the parent sees a death and bisects.
            os._exit(70)


def watch_parent() -> None:
    """End this process when its parent dies: a SIGKILL of the main process leaves no orphans."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()


def failed(error: BaseException, blame: str) -> Failed:
    """A failure as data. The message of a foreign exception may hold patient data: type only."""
    code = getattr(error, "code", "")
    message = str(error) if code else type(error).__name__
    return Failed(
        code=code or "scorer.raised",
        message=message,
        retriable=bool(getattr(error, "retriable", False)),
        blame=blame,
    )


def _tell(connection: Connection, stage: str, blame: str) -> None:
    connection.send(Progress(stage=stage, blame=blame))


def _limit_memory(limit_mb: int) -> None:
    """Cap private memory, so that one greedy allocation fails before the machine swaps."""
    limit = (limit_mb + _HEADROOM_MB) * 2**20
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
