"""The ingester: takes files out of the inbox. One that cannot be read waits alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from ra_daemon import log, steptimes
from ra_daemon.config import Config, Route
from ra_daemon.domain import Admission
from ra_daemon.errors import DiskFullError, StoreError
from ra_daemon.faults import FULL, log_fields
from ra_daemon.steps import admit
from ra_daemon.store import held
from ra_daemon.store.engine import in_place
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue

BATCH = 32
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
_log = log.get(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A file that the disk did not give: when it is tried again (seconds), and why it waits."""

    until: float
    failures: int
    error: str


class Admitter:
    """Admits the files of one store, oldest first; the only one to do so."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        store: ObjectStore,
        queue: JobQueue,
        *,
        digest_of: Callable[[Route], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._engine = engine
        self._store = store
        self._queue = queue
        self._digest_of = digest_of
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._told = held.load(store)

    def step(self) -> bool:
        """Admit a batch; False when no file is due.

        Raises:
            OSError: none of several files could be read: that is the disk's fault, not theirs.
            StoreError: the database's file is gone or another; the images stay in the inbox.
        """
        files = self._due()
        taken: list[tuple[Path, Admission]] = []
        fault: OSError | None = None
        for path in files:
            try:
                taken.append((path, admit.digest_file(path, self._store)))
            except OSError as error:
                self._hold(path, error)
                fault = error
        if taken:
            self._admit(taken)
        self._tell()
        if fault is not None and not taken and len(files) > 1:
            raise fault
        return bool(taken)

    def _due(self) -> list[Path]:
        files = self._store.inbox_files()
        names = {p.name for p in files}
        self._held = {name: one for name, one in self._held.items() if name in names}
        now = self._clock()
        return [p for p in files if p.name not in self._held or self._held[p.name].until <= now][
            :BATCH
        ]

    def _admit(self, taken: list[tuple[Path, Admission]]) -> None:
        if not in_place(self._engine):
            raise StoreError(
                "The file of the database was removed or replaced.",
                hint="Stop the node and put the file or a backup back: what came waits in inbox/.",
            )
        with steptimes.timed("admit"):
            admit.admit_all(
                self._engine,
                [admission for _path, admission in taken],
                config=self._config,
                queue=self._queue,
                digest_of=self._digest_of,
            )
        for path, _admission in taken:
            try:
                self._store.leave_inbox(path)
                admit.drop_sidecar(path)
                self._held.pop(path.name, None)
            except OSError as error:
                self._hold(path, error)

    def _hold(self, path: Path, error: OSError) -> None:
        failures = self._held[path.name].failures + 1 if path.name in self._held else 1
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (failures - 1))
        told = f"{type(error).__name__}: {error.strerror}"
        until = self._clock() + pause
        self._held[path.name] = _Held(until=until, failures=failures, error=told)
        full = {"hint": DiskFullError.hint} if error.errno in FULL else {}
        code = DiskFullError.code if full else "inbox_unreadable"
        _log.error("inbox.file_held", code=code, file=path.name, error=told, pause_s=pause, **full)

    def _tell(self) -> None:
        """Keep for ``ra-daemon status`` what waits; a full disk must not stop admission for it."""
        names = {name: one.error for name, one in self._held.items()}
        if names == self._told:
            return
        try:
            held.save(self._store, names)
            self._told = names
        except OSError as error:
            _log.warning("inbox.not_told", **log_fields(error))
