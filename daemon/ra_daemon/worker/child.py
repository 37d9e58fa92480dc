"""The scorer process: decode, gate, score. It touches neither network nor database.

One thread takes batches from the pipe, so that the images of the next one are decoded while the
main thread works on the present one.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from ra_daemon import log
from ra_daemon.config import Config
from ra_daemon.domain import Failed
from ra_daemon.errors import ScorerUnreadyError
from ra_daemon.scorers import Fault, Role
from ra_daemon.worker.messages import Lost, Progress, Ready, ScoreTask, Settled, Unready
from ra_engine.errors import BackendError, RaError

if TYPE_CHECKING:
    from ra_daemon.worker.pipeline import Pipeline

_log = log.get(__name__)
_HEADROOM_MB = 2048  # address space that native libraries reserve and never touch
_MAX_WORDS = 300
_MORE_MEMORY = "Raise [scoring] memory_limit_mb: the models do not fit into it."
Batch = Sequence[ScoreTask]


def main(connection: Connection, config: Config, pins: Mapping[Role, str]) -> None:
    """Entry of the process: load the models once, then work batches until the pipe closes.

    Args:
        pins: candidates that the roles are held to, see ``engines.chosen``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a drain lets the batch in hand finish
    log.configure(config.log)
    watch_parent()
    _limit_memory(config.scoring.memory_limit_mb)
    loaded = _loaded(connection, config, pins)
    if loaded is not None:
        _serve(connection, loaded)


def _loaded(connection: Connection, config: Config, pins: Mapping[Role, str]) -> Pipeline | None:
    """Load and tell; None without the active models. A shadow that fails stops nobody."""
    role: Role = "active"
    pipeline: Pipeline | None = None
    try:
        from ra_daemon.worker.pipeline import Pipeline

        pipeline = Pipeline(
            config,
            progress=lambda stage, blame: _tell(connection, stage, blame),
            pinned=pins.get("active", ""),
        )
        connection.send(Ready(role="active", engine=pipeline.engine))
        if config.scoring.shadow:
            role = "shadow"
            shadow = pipeline.load_shadow(pinned=pins.get("shadow", ""))
            connection.send(Ready(role="shadow", engine=shadow))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the scorer process's isolation wall
        connection.send(Unready(role=role, fault=_fault(error)))
    return pipeline


def _serve(connection: Connection, pipeline: Pipeline) -> None:
    """Work batches until the pipe closes or an engine fails."""
    batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()  # the parent sends two at most
    feeder = threading.Thread(
        target=_feed, args=(connection, pipeline.offer, batches), name="feed", daemon=True
    )
    feeder.start()
    while (tasks := batches.get()) is not None:
        try:
            for job_id, outcome in pipeline.run(tasks):
                connection.send(Settled(job_id=job_id, outcome=outcome))
        except BackendError as error:
            # A device that failed once may fail for every image after it: all begin anew.
            connection.send(Lost(fault=_fault(error)))
            return
        except MemoryError:
            # What is left of the heap cannot be trusted; the parent sees a death and bisects.
            os._exit(70)


def _fault(error: BaseException) -> Fault:
    """What went wrong with models or engine, on one line; no image enters its words."""
    if isinstance(error, RaError):
        return Fault(code=error.code, message=" ".join(str(error).split()), hint=error.hint)
    words = " ".join(str(error).split())[:_MAX_WORDS]
    return Fault(
        code=ScorerUnreadyError.code,
        message=f"{type(error).__name__}: {words}" if words else type(error).__name__,
        hint=_MORE_MEMORY if isinstance(error, MemoryError) else ScorerUnreadyError.hint,
    )


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
    started_by = multiprocessing.parent_process()  # also where it died before we came here
    parent = os.getppid() if started_by is None else started_by.pid

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
