"""A thread that repeats one step until told to stop, and survives what the step raises."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ra_daemon import log
from ra_daemon.faults import log_fields

_log = log.get(__name__)
MAX_BACKOFF_S = 30.0
"""The longest pause after a failure."""


class Loop:
    """Repeats ``step`` in a thread of its own.

    ``step`` returns True when it found work (it is called again at once) and False when idle (the
    loop then waits ``idle_s`` or until ``wake``). What it raises is logged and followed by a
    growing pause: a database that is away stops no other part of the daemon.
    """

    def __init__(self, name: str, step: Callable[[], bool], *, idle_s: float) -> None:
        self.name = name
        self.beats = 0
        self._step = step
        self.idle_s = idle_s
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """End the present pause of an idle loop; one after a failure runs its time."""
        self._wake.set()

    def stop(self) -> None:
        """Ask the loop to end after the present step."""
        self._stop.set()
        self._wake.set()

    def join(self, timeout: float) -> bool:
        """Wait for the end; True when the thread is gone."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stop.is_set()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                busy = self._step()
                failures = 0
                pause = 0.0 if busy else self.idle_s
            except Exception as error:  # noqa: BLE001 - the worker loop's isolation wall
                failures += 1
                pause = min(MAX_BACKOFF_S, 0.5 * 2 ** min(failures, 8))
                _log.error(
                    "loop.failed",
                    loop=self.name,
                    **log_fields(error),
                    where=_where(error),
                    pause_s=pause,
                )
            self.beats += 1
            if failures:
                self._stop.wait(pause)
            elif pause:
                self._wake.wait(pause)
                self._wake.clear()


def _where(error: BaseException) -> str:
    """File and line of the innermost frame: messages of libraries may hold patient data."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
