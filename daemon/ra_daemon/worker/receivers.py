"""Receiver processes: started, watched, restarted with a growing pause."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

from ra_daemon import log
from ra_daemon.config import Config

_log = log.get(__name__)
_START_LIMIT_S = 30.0
_DRAIN_LIMIT_S = 20.0
_MAX_PAUSE_S = 30.0


@dataclass(slots=True)
class _Receiver:
    process: multiprocessing.process.BaseProcess
    started: float
    failures: int = 0


class Receivers:
    """As many receiver processes as asked for, on one port."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._context = multiprocessing.get_context("spawn")
        self._stop: Event = self._context.Event()
        self._children: list[_Receiver] = []

    @property
    def listening(self) -> bool:
        """Whether at least one receiver runs."""
        return any(c.process.is_alive() for c in self._children)

    def start(self) -> None:
        """Start all and wait until each listens.

        Raises:
            DaemonError: a receiver could not listen; the message says why.
        """
        from ra_daemon.dicom import port

        port.claim(self._config.node)
        try:
            for index in range(self._config.node.receivers):
                self._children.append(self._spawn(index))
        except BaseException:
            self.stop()
            raise

    def watch(self) -> bool:
        """Restart what died."""
        for index, child in enumerate(self._children):
            if child.process.is_alive() or self._stop.is_set():
                continue
            child.failures = 1 if time.monotonic() - child.started > 60 else child.failures + 1
            _log.error("receiver.died", exit_code=child.process.exitcode, failures=child.failures)
            time.sleep(min(_MAX_PAUSE_S, 0.2 * 2**child.failures))
            fresh = self._spawn(index)
            child.process, child.started = fresh.process, fresh.started
        return False

    def stop(self) -> None:
        """Accept no more, let running associations end, then end the processes."""
        self._stop.set()
        deadline = time.monotonic() + _DRAIN_LIMIT_S
        for child in self._children:
            child.process.join(max(0.1, deadline - time.monotonic()))
            if child.process.is_alive():
                child.process.kill()
                child.process.join(5)

    def _spawn(self, index: int) -> _Receiver:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_main,
            args=(self._config, self._stop, theirs, index),
            name="ra-receiver",
            daemon=True,
        )
        process.start()
        theirs.close()
        word: object = None
        try:
            if ours.poll(_START_LIMIT_S):
                word = ours.recv()
        except EOFError:
            word = None
        finally:
            ours.close()
        if isinstance(word, BaseException):
            process.join(5)
            raise word
        return _Receiver(process=process, started=time.monotonic())


def _main(config: Config, stop: Event, ready: Connection, index: int) -> None:
    import signal

    from ra_daemon.dicom.scp import run_receiver
    from ra_daemon.worker.child import watch_parent

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    log.configure(config.log)
    watch_parent()
    run_receiver(config, stop, ready, index)
