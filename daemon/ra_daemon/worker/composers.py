"""Processes that compose reports, so that neither receiving nor scoring waits for them.

They share nothing with the main process but the object store, where a file has its name only when
it is whole: what dies half-way is composed again, to the same bytes under the same UIDs.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as Late
from concurrent.futures.process import BrokenProcessPool
from functools import partial

from ra_daemon import log
from ra_daemon.config import Config
from ra_daemon.domain import Composed
from ra_daemon.errors import ComposeError, DiskFullError, hint_of
from ra_daemon.faults import translated
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.recompose import DIFFERS
from ra_daemon.store.reports import ReportTask

Answer = list[Composed] | str
"""What was composed, or the code of why it cannot be."""

EACH = 3
"""Reports of one turn for each process."""

MOST = 4
"""Processes, where the configuration names no number."""

_log = log.get(__name__)
_PATIENCE_S = 10.0
"""Wall time of a report under the idle policy, which can starve; then niceness alone must do."""

_NICE = 10  # images that wait for a score go before reports that wait to be written
_held: tuple[Config, ObjectStore] | None = None


class Composers:
    """A replaceable pool of processes; started with the first report."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._pool: ProcessPoolExecutor | None = None
        self._idle = hasattr(os, "SCHED_IDLE")  # Linux

    @property
    def number(self) -> int:
        """Processes of the pool."""
        wanted = self._config.delivery.composers
        return wanted or max(1, min(MOST, (os.cpu_count() or 1) // 2))

    def compose(self, tasks: Sequence[ReportTask]) -> Iterator[tuple[ReportTask, Answer]]:
        """Compose all; one that brings its process down, or takes too long, harms no other."""
        idle, again = self._idle, list[ReportTask]()
        for task, answer in self._together(tasks):
            if answer is None:
                again.append(task)
            else:
                yield task, answer
        if idle and not self._idle:  # starved, which is no report's fault: the same once more
            yield from self.compose(again)
            return
        for task in again:
            for _task, answer in self._together([task]):
                yield task, "compose.crashed" if answer is None else answer

    def close(self) -> None:
        """End the processes; what they have in hand is composed after the next start."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        for process in list((pool._processes or {}).values()):  # noqa: SLF001 - has no kill before 3.14
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)

    def _together(self, tasks: Sequence[ReportTask]) -> Iterator[tuple[ReportTask, Answer | None]]:
        """Answers in order; None where the pool broke or was too late, and was replaced."""
        limit = self._config.delivery.compose_limit_s
        if self._idle:
            limit = min(limit, _PATIENCE_S)
        try:
            waiting: list[tuple[ReportTask, Future[Answer]]] = [
                (task, self._running().submit(_compose, task)) for task in tasks
            ]
        except BrokenProcessPool:
            self._broken("died")
            yield from ((task, None) for task in tasks)
            return
        for task, future in waiting:
            try:
                answer = None if future.cancelled() else future.result(limit)
            except BrokenProcessPool:
                answer = None
                self._broken("died")
            except Late:
                answer = None
                self._late()
            yield task, answer

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.number,
                mp_context=multiprocessing.get_context("spawn"),  # fork copies threads' locks
                initializer=partial(_begin, self._config, idle=self._idle),
            )
        return self._pool

    def _late(self) -> None:
        """Where every core is busy with others, what is idle hardly runs: not so from now on."""
        if not self._idle:
            self._broken("took too long")
            return
        _log.warning("composer.starved", seconds=_PATIENCE_S)
        self._idle = False
        self.close()

    def _broken(self, what: str) -> None:
        if self._pool is not None:
            _log.error("composer.crashed", what=what)
        self.close()


def remedy_of(cause: str) -> str:
    """What to do about a report that cannot be composed; an exception's name is a cause as well."""
    if cause == DIFFERS:
        return (
            "Put the file of the report back into objects/ from a backup, then ra-daemon jobs "
            "retry; or ra-daemon jobs give-up."
        )
    return hint_of(cause) or ComposeError.hint


def _begin(config: Config, *, idle: bool) -> None:
    """Entry of a process of the pool."""
    global _held
    import gc

    import cv2

    from ra_daemon.dicom import capture, report  # noqa: F401 - slow imports, before the first task
    from ra_daemon.worker.child import watch_parent

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides when to stop
    log.configure(config.log)
    watch_parent()
    _give_way(idle=idle)
    cv2.setNumThreads(1)
    gc.freeze()  # what the imports made stays: no collection need walk it
    gc.set_threshold(50_000)  # a report is many small objects that all live until it is written
    _held = (config, ObjectStore(config.root))


def _give_way(*, idle: bool) -> None:
    """Let the others go first, where this process may say so.

    Under Linux' idle policy wake-ups and balance take a core that runs nothing else for a free one:
    beside a full queue as many reports were made, and a twentieth to a tenth more images scored.
    """
    try:
        os.nice(_NICE)
        if idle:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except OSError as error:  # refused by a filter of system calls: slower scores, the same reports
        _log.warning("composer.not_nice", error=type(error).__name__)


def _compose(task: ReportTask) -> Answer:
    """Compose one report in a process of the pool."""
    from ra_daemon.steps.compose import compose

    if _held is None:
        return "compose.not_started"
    config, store = _held
    try:
        return compose(task, store, config)
    except Exception as error:  # noqa: BLE001 - one bad source must not stop the others
        # A foreign message may hold patient data: code or type only.
        if isinstance(translated(error), DiskFullError):
            return DiskFullError.code
        return str(getattr(error, "code", type(error).__name__))
