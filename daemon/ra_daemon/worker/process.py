"""The parent's side of a scorer process: start, feed, watch, kill, replace.

Native code can hang with the interpreter lock held or take all memory, so nothing inside the
process is trusted to end it: the parent watches wall time and resident memory and kills.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from ra_daemon import engines, log
from ra_daemon.config import Config
from ra_daemon.domain import Outcome
from ra_daemon.engines import EngineState
from ra_daemon.errors import ScorerCrashError
from ra_daemon.worker.messages import Message, Progress, Ready, ScoreTask, Settled, Unready

_log = log.get(__name__)
_POLL_S = 0.1
_START_LIMIT_S = 180.0


class ScorerProcess:
    """One replaceable scorer process."""

    def __init__(self, config: Config, index: int) -> None:
        self._config = config
        self._index = index
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._progress = Progress(stage="start")
        self._since = time.monotonic()
        self.state: EngineState | None = None

    @property
    def engine(self) -> str:
        """Session key of the score graph, "" before the first start."""
        return self.state.engine if self.state is not None else ""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    def start(self) -> None:
        """Start the process and wait until its models are loaded.

        Raises:
            ScorerCrashError: it did not come up.
        """
        from ra_daemon.worker.child import main

        context = multiprocessing.get_context("spawn")  # fork would copy threads' locks
        ours, theirs = context.Pipe()
        process = context.Process(
            target=main,
            # The engine of the first start stays: a replacement never switches silently.
            args=(theirs, self._config, self.state.candidate if self.state else ""),
            name=f"ra-scorer-{self._index}",
            daemon=True,
        )
        process.start()
        theirs.close()
        self._process, self._connection = process, ours
        self._pid_file.write_text(str(process.pid))
        self._note(Progress(stage="start"))
        message = self._receive(_START_LIMIT_S)
        if isinstance(message, Unready):
            self.kill()
            _log.error("scorer.unready", index=self._index, why=message.message, hint=message.hint)
            raise ScorerCrashError(
                f"The scorer process did not load its models: {message.message}",
                hint=message.hint,
            )
        if not isinstance(message, Ready):
            raise ScorerCrashError("The scorer process did not load its models.")
        self._tell_engine(message.engine)
        engine = message.engine.engine
        _log.info("scorer.ready", index=self._index, pid=process.pid, engine=engine)

    def submit(self, tasks: Sequence[ScoreTask]) -> None:
        """Hand over a batch; ``collect`` must follow, batch by batch in the order of submission.

        Raises:
            ScorerCrashError: the process did not start, or died.
        """
        if not self.alive:
            self.start()
        if self._connection is None:
            raise ScorerCrashError("The scorer process is not running.")
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
            ScorerCrashError: the process died, hung or outgrew its memory; what was not yielded is
                not done. The process is gone then: the next batch starts another.
        """
        for _ in tasks:
            message = self._receive(self._config.scoring.time_limit_s)
            if not isinstance(message, Settled):
                raise self._crash("broke its protocol")
            yield message.job_id, message.outcome

    def _tell_engine(self, engine: EngineState) -> None:
        """Say once what was chosen, and loudly what could not be had."""
        if self.state is None:
            for passed in engine.passed:
                _log.error(
                    "engine.passed_over",
                    index=self._index,
                    wanted=passed.candidate,
                    code=passed.code,
                    why=passed.message,
                    hint=passed.hint,
                    engine=engine.engine,
                )
            _log.info(
                "engine.chosen",
                index=self._index,
                engine=engine.engine,
                precision=engine.precision,
                device=engine.device,
                gate=engine.gate or "reference",
            )
        self.state = engine
        engines.write_state(self._config.root, self._index, engine)

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

    def _receive(self, limit_s: float) -> Message:
        """The next message that is no ``Progress``; each of those restarts the clock."""
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
            if not process.is_alive():
                raise self._crash("died")
            if time.monotonic() - self._since > limit_s:
                raise self._crash(f"made no progress for {limit_s:g} s", final=True)
            if _resident_mb(process.pid) > self._config.scoring.memory_limit_mb:
                limit = self._config.scoring.memory_limit_mb
                raise self._crash(f"used more than {limit} MB", final=True)

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
