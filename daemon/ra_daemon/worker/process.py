"""The parent's side of a scorer process: start, feed, watch, kill, replace.

Native code can hang with the interpreter lock held or take all memory, so nothing inside the
process is trusted to end it: the parent watches wall time and resident memory and kills.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from ra_daemon import log
from ra_daemon.config import Config
from ra_daemon.domain import Outcome
from ra_daemon.errors import EngineLostError, ScorerCrashError, ScorerUnreadyError
from ra_daemon.scorers import Fault, Role
from ra_daemon.worker.messages import Lost, Message, Progress, Ready, ScoreTask, Settled, Unready
from ra_daemon.worker.standing import Standing

_log = log.get(__name__)
_POLL_S = 0.1
_START_LIMIT_S = 180.0
_LOOK = (
    "Look into the log, and for a killed process into the kernel's (dmesg); raise "
    "[scoring] memory_limit_mb where it was outgrown."
)


class _EndedError(Exception):
    """The node drains while a process starts."""


class ScorerProcess:
    """One replaceable scorer process."""

    def __init__(self, config: Config, index: int) -> None:
        self._config = config
        self._index = index
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._progress = Progress(stage="start")
        self._since = time.monotonic()
        self._ends = threading.Event()
        self._with_shadow = bool(config.scoring.shadow)
        roles: tuple[Role, ...] = ("active", "shadow") if self._with_shadow else ("active",)
        self._standing = Standing(config, index, roles)

    @property
    def engine(self) -> str:
        """Session key of the score graph, "" before the first start."""
        return self._standing.engine("active")

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    @property
    def takes_shadows(self) -> bool:
        """False while the shadow bundle's models cannot be had."""
        return not self._config.scoring.shadow or self._standing.is_ready("shadow")

    def start(self) -> bool:
        """Start the process and wait until its models are loaded; False when told to end.

        Raises:
            ScorerUnreadyError: it did not come up; why is logged and written.
        """
        if self._ends.is_set():
            return False
        self._standing.starting()
        try:
            fault = self._load()
        except _EndedError:
            self.kill()
            return False
        if fault is not None:
            self.kill()
            self._standing.failed("active", fault, "scorer.unready")
            raise ScorerUnreadyError(
                f"The scorer process did not load its models: {fault.message}", hint=fault.hint
            )
        pid = self._process.pid if self._process is not None else None
        _log.info("scorer.ready", index=self._index, pid=pid, engine=self.engine)
        return True

    def end(self) -> None:
        """Let a start that is under way be given up. Any thread."""
        self._ends.set()

    def close(self) -> None:
        """End the process for good."""
        self.kill()
        self._standing.end()

    def beat(self) -> None:
        """Tell others that what is written of this scorer still holds."""
        self._standing.beat()

    def _load(self) -> Fault | None:
        """Launch a process and hear of every role; why the active models cannot be had."""
        self._launch()
        fault = self._answer("active")
        if fault is not None or not self._with_shadow:
            return fault
        shadow = self._answer("shadow")
        if shadow is None:
            return None
        self._standing.failed("shadow", shadow, "scorer.shadow_unready")
        if self.alive:
            return None
        self._with_shadow = False  # it would bring down the next process too
        return self._load()

    def _answer(self, role: Role) -> Fault | None:
        """What the process says of a role's models; None when they are loaded."""
        try:
            message = self._receive(_START_LIMIT_S, starting=True)
        except ScorerCrashError as crash:
            return Fault(code=ScorerUnreadyError.code, message=str(crash), hint=_LOOK)
        if isinstance(message, Ready):
            self._standing.loaded(role, message.engine)
            return None
        if isinstance(message, Unready):
            return message.fault
        return Fault(code=ScorerUnreadyError.code, message="It broke its protocol.", hint=_LOOK)

    def _launch(self) -> None:
        from ra_daemon.worker.child import main

        scoring = self._config.scoring
        if not self._with_shadow:
            scoring = scoring.model_copy(update={"shadow": ""})
        config = self._config.model_copy(update={"scoring": scoring})
        context = multiprocessing.get_context("spawn")  # fork would copy threads' locks
        ours, theirs = context.Pipe()
        process = context.Process(
            target=main,
            args=(theirs, config, self._standing.pins),
            name=f"ra-scorer-{self._index}",
            daemon=True,
        )
        process.start()
        theirs.close()
        self._process, self._connection = process, ours
        self._pid_file.write_text(str(process.pid))
        self._note(Progress(stage="start"))

    def submit(self, tasks: Sequence[ScoreTask]) -> None:
        """Hand over a batch; ``collect`` must follow, batch by batch in the order of submission.

        Raises:
            ScorerCrashError: the process died since its start.
        """
        if self._connection is None or not self.alive:
            raise self._crash("died")
        try:
            self._connection.send(list(tasks))
        except OSError as error:
            raise self._crash("died") from error
        self._note(Progress(stage="receive"))

    def ahead(self, tasks: Sequence[ScoreTask]) -> bool:
        """Hand over the batch after the one in hand; False when the process takes no more.

        It starts no process: the batch in hand must learn of the death of its own.
        """
        if self._connection is None or not self.alive:
            return False
        try:
            self._connection.send(list(tasks))
        except OSError:
            return False
        return True

    def collect(self, tasks: Sequence[ScoreTask]) -> Iterator[tuple[int, Outcome]]:
        """Yield (job id, outcome) of the batch submitted first as they come.

        Raises:
            EngineLostError: the engine failed.
            ScorerCrashError: the process died, hung or outgrew its memory. What was not yielded is
                not done; the process is gone then, and has to be started again.
        """
        for _ in tasks:
            message = self._receive(self._config.scoring.time_limit_s)
            if isinstance(message, Lost):
                raise self._lost(message.fault, "shadow" if tasks[0].shadow else "active")
            if not isinstance(message, Settled):
                raise self._crash("broke its protocol")
            yield message.job_id, message.outcome

    def kill(self) -> None:
        """Kill the process and reap it."""
        process, self._process = self._process, None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if process is not None and process.pid is not None:
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
            process.join(10)
        self._pid_file.unlink(missing_ok=True)

    @property
    def _pid_file(self) -> Path:
        return self._config.root / "run" / f"scorer-{self._index}.pid"

    def _note(self, progress: Progress) -> None:
        self._progress, self._since = progress, time.monotonic()

    def _receive(self, limit_s: float, *, starting: bool = False) -> Message:
        """The next message that is no ``Progress``; each of those restarts the clock.

        Raises:
            _EndedError: ``starting``, and told to end.
        """
        connection, process = self._connection, self._process
        if connection is None or process is None or process.pid is None:
            raise ScorerCrashError("The scorer process is not running.")
        while True:
            try:
                if connection.poll(_POLL_S):
                    message: Message = connection.recv()
                    if not isinstance(message, Progress):
                        self._since = time.monotonic()
                        return message
                    self._note(message)
                    continue
            except (EOFError, OSError) as error:
                raise self._crash("died") from error
            if starting and self._ends.is_set():
                raise _EndedError
            if not process.is_alive():
                raise self._crash("died")
            if time.monotonic() - self._since > limit_s:
                raise self._crash(f"made no progress for {limit_s:g} s", final=True)
            if _resident_mb(process.pid) > self._config.scoring.memory_limit_mb:
                limit = self._config.scoring.memory_limit_mb
                raise self._crash(f"used more than {limit} MB", final=True)

    def _lost(self, fault: Fault, role: Role) -> EngineLostError:
        """Kill the process: what a failed engine leaves on its device cannot be trusted."""
        self.kill()
        self._standing.failed(role, fault, "scorer.engine_lost")
        error = EngineLostError(f"The engine failed: {fault.message}", hint=fault.hint)
        error.blame = "engine"
        return error

    def _crash(self, what: str, *, final: bool = False) -> ScorerCrashError:
        """Kill the process; the error says what happened and which plugin was at work."""
        at = self._progress
        self.kill()
        blame = at.blame or at.stage
        error = ScorerCrashError(f"The scorer process {what} at {at.stage}.")
        error.retriable = not final
        error.blame = blame
        _log.error("scorer.crashed", index=self._index, what=what, stage=at.stage, blame=blame)
        return error


def _resident_mb(pid: int) -> float:
    try:
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    except psutil.Error:
        return 0.0
