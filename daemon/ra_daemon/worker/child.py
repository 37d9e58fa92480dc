"""The scorer process: decode, gate, score. It touches neither network nor database.

One thread takes batches from the pipe, so that the images of the next one are decoded while the
main thread works on the present one.
"""

from __future__ import annotations

import os
import queue
import resource
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection

from ra_daemon import log
from ra_daemon.config import Config
from ra_daemon.domain import Failed
from ra_daemon.worker.messages import Progress, Ready, ScoreTask, Settled, Unready
from ra_engine.errors import RaError

_log = log.get(__name__)
_HEADROOM_MB = 2048  # address space that native libraries reserve and never touch
Batch = Sequence[ScoreTask]


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
    batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()  # the parent sends two at most
    feeder = threading.Thread(
        target=_feed, args=(connection, pipeline.offer, batches), name="feed", daemon=True
    )
    feeder.start()
    while (tasks := batches.get()) is not None:
        try:
            for job_id, outcome in pipeline.run(tasks):
                connection.send(Settled(job_id=job_id, outcome=outcome))
        except MemoryError:
            # What is left of the heap cannot be trusted; the parent sees a death and bisects.
            os._exit(70)


def _feed(
    connection: Connection,
    offer: Callable[[Batch], None],
    batches: queue.SimpleQueue[Batch | None],
) -> None:
    """Take batches as they come; None after the last, and when no more can be taken."""
    try:
        with suppress(EOFError, OSError):
            while True:
                tasks: Batch = connection.recv()
                offer(tasks)
                batches.put(tasks)
    finally:
        batches.put(None)


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
