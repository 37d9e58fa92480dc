"""The node: wires configuration, store, receivers, workers, delivery, schedule and web; starts,
drains and stops them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache, partial

from sqlalchemy import Engine

from ra_daemon import __version__, log, models, pipelines, scorers, settings, single, steptimes
from ra_daemon.config import Config, Peer, Route
from ra_daemon.domain import Claim, Composed, Outcome, Reason, Refused, Scored
from ra_daemon.errors import DaemonError, DiskFullError
from ra_daemon.routing import match_route
from ra_daemon.steps import commit, record, score
from ra_daemon.store import reports, schema
from ra_daemon.store.commitments import Commitments
from ra_daemon.store.engine import open_engine
from ra_daemon.store.events import EventBox
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.outbox import Outbox
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.recompose import DIFFERS
from ra_daemon.store.tally import Tally
from ra_daemon.worker.admitter import Admitter
from ra_daemon.worker.composers import EACH as COMPOSE_EACH
from ra_daemon.worker.composers import Composers, remedy_of
from ra_daemon.worker.deliverer import Deliverer
from ra_daemon.worker.dispatcher import Dispatcher
from ra_daemon.worker.housekeeping import Housekeeping
from ra_daemon.worker.loop import Loop
from ra_daemon.worker.process import ScorerProcess
from ra_daemon.worker.receivers import Receivers
from ra_daemon.worker.sdnotify import notify
from ra_daemon.worker.selection import Selection
from ra_daemon.worker.watchdog import Watchdog
from ra_engine.errors import RaError

PARTS = frozenset({"receive", "score", "deliver", "web"})
_log = log.get(__name__)
_DRAIN_LIMIT_S = 60.0
_GONE = Route(name="gone")
"""In place of a route that is not configured any more; told by identity, for names are free."""
_NO_PIPELINE = "0" * 64
"""Digest under which an image without a route is refused: with a route it is judged again."""


class Node:
    """One running node, or the parts of one that were asked for."""

    def __init__(self, config: Config, parts: frozenset[str] = PARTS) -> None:
        self._parts = parts
        self._store = ObjectStore(config.root)
        shared = not config.database_url.startswith("sqlite")
        self._locks = single.hold(config.root, parts, shared=shared)
        self._engine = _database(config)
        config = models.effective(config, self._engine)
        models.check(config, self._engine)
        self._config = config
        self._queue = JobQueue(self._engine)
        self._outbox = Outbox(self._engine, config.root)
        self._receivers = Receivers(config)
        self._composers = Composers(config)
        self._disk_full = False
        self._tally = Tally(config.root, "node")
        self._commitments = Commitments(self._engine)
        self._events = EventBox(self._store)
        self._loops: list[Loop] = []
        self._dispatchers: list[Dispatcher] = []
        self._housekeeping = Housekeeping(config, self._engine, self._store)
        self._web: object | None = None
        self._stop = threading.Event()
        self._digest_of = cache(partial(pipelines.digest_of, config))
        self._admitter = Admitter(
            config, self._engine, self._store, self._queue, digest_of=self._digest_of
        )
        self._shadow_digest_of = cache(partial(pipelines.shadow_digest_of, config))
        self._demonstration = score.is_demonstration(config)

    def run(self) -> int:
        """Serve until told to stop; 0 after a clean drain."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        self._start()
        notify("READY=1")
        _log.info("node.started", version=__version__, parts=sorted(self._parts))
        watchdog = Watchdog(self._config, self._loops)
        while not self._stop.wait(1.0):
            if watchdog.all_move():
                notify("WATCHDOG=1")
        self._drain()
        return 0

    def _start(self) -> None:
        self._store.sweep_temp()
        self._outbox.recover()
        if "receive" in self._parts:
            self._receivers.start()
            self._add("admit", self._admit, 0.2)
            self._add("watch", self._receivers.watch, 1.0)
        if "score" in self._parts:
            shared = not self._config.database_url.startswith("sqlite")
            scorers.clear(self._config.root, shared=shared)
            for index in range(self._config.scoring.workers):
                self._add_scorer(index)
        if "deliver" in self._parts:
            self._add("compose", self._compose, 0.3)
            for peer in self._config.peer:
                if peer.send:
                    deliverer = Deliverer(self._config, peer, self._outbox, self._tally)
                    self._add(f"deliver-{peer.name}", deliverer.step, 0.5)
                    if peer.commitment:
                        self._add(f"commit-{peer.name}", self._committer(peer), 1.0)
            self._add("commitments", self._settle_commitments, 0.5)
        if "web" in self._parts and self._config.web.enabled:
            self._start_web()
        self._housekeeping.start()
        for loop in self._loops:
            loop.start()

    def _add(self, name: str, step: Callable[[], bool], idle_s: float) -> None:
        self._loops.append(Loop(name, step, idle_s=idle_s))

    def _wake(self, prefix: str) -> None:
        """Tell those who take what was made that it is there; without it they look by and by."""
        for loop in self._loops:
            if loop.name.startswith(prefix):
                loop.wake()

    def _add_scorer(self, index: int) -> None:
        dispatcher = Dispatcher(
            self._config,
            self._queue,
            ScorerProcess(self._config.of_scorer(index), index),
            owner=f"{os.uname().nodename}:{os.getpid()}:{index}",
            route_of=self._route_of,
            record=self._record,
            digest_of=self._current_digest,
            selection=Selection(self._config, self._engine, self._queue, self._route_of),
        )
        self._dispatchers.append(dispatcher)
        self._add(f"score-{index}", dispatcher.step, 0.3)
        every_s = min(self._config.scoring.lease_s / 4, scorers.BEAT_S)
        self._add(f"lease-{index}", dispatcher.beat, every_s)

    def _start_web(self) -> None:
        """A page that cannot be served harms no image: warn and go on."""
        from ra_daemon.web.server import WebServer

        try:
            web = WebServer(self._config, self._engine, ready=lambda: self._receivers.listening)
            web.start()
            self._web = web
        except (OSError, DaemonError) as error:
            hint = "Set web.host and web.port to what is free: ra-daemon doctor."
            port = self._config.web.port
            _log.warning("web.not_started", port=port, why=str(error), hint=hint)

    def _admit(self) -> bool:
        admitted = self._admitter.step()
        if admitted:
            self._wake("score-")
        return admitted

    def _current_digest(self, route: Route, *, shadow: bool) -> str | None:
        if route is _GONE:
            return "" if shadow else _NO_PIPELINE
        try:
            return self._shadow_digest_of(route) if shadow else self._digest_of(route)
        except RaError:  # the scorer process tells what is wrong when it starts
            return None

    def _route_of(self, claim: Claim) -> Route:
        """The route that admitted the image, as it is now; else the first that matches."""
        named = next((r for r in self._config.route if r.name == claim.route), None)
        found = named or match_route(self._config, claim.origin, claim.header)
        return found if found is not None else _GONE

    def _record(self, verdicts: Sequence[tuple[Claim, Outcome]], *, engine: str) -> None:
        entries = [self._entry(claim, outcome) for claim, outcome in verdicts]
        started = time.perf_counter()
        states = record.record(
            self._engine,
            self._queue,
            self._store,
            self._config,
            entries,
            demonstration=self._demonstration,
        )
        self._wake("compose")
        seconds = (time.perf_counter() - started) / len(entries)
        for entry, state in zip(entries, states, strict=True):
            claim, outcome = entry.claim, entry.outcome
            if not state:
                _log.warning("job.lease_lost", job=claim.job_id)
                continue
            if isinstance(outcome, Scored):
                for step, taken in outcome.timings.items():
                    steptimes.observe(step, taken)
            steptimes.observe("record", seconds)
            reason = {"reason": outcome.reason.value} if isinstance(outcome, Refused) else {}
            told = {"job": claim.job_id, "engine": engine, "attempt": claim.attempt}
            _log.info(f"job.{state}", **told, **reason)

    def _entry(self, claim: Claim, outcome: Outcome) -> record.Entry:
        route = self._route_of(claim)
        if route is _GONE:
            outcome = Refused(reason=Reason.NO_ROUTE)
        shadow = self._shadow_digest_of(route)
        return record.Entry(claim=claim, route=route, outcome=outcome, shadow_digest=shadow)

    def _compose(self) -> bool:
        tasks = reports.due_reports(
            self._engine, self._store, COMPOSE_EACH * self._composers.number
        )
        allowed = {p.name: p.takes_demonstrations for p in self._config.peer}
        made: dict[int, list[Composed]] = {}
        full = 0
        started = time.perf_counter()
        for task, answer in self._composers.compose(tasks):
            if not isinstance(answer, str):
                made[task.report_id] = answer
            elif answer == DiskFullError.code:
                full += 1  # stays due: it is composed when there is room again
            else:
                _log.error(
                    "report.failed", report=task.report_id, code=answer, hint=remedy_of(answer)
                )
                reports.fail_report(self._engine, task.report_id, answer)
        if full and not self._disk_full:
            _log.error("report.postponed", code=DiskFullError.code, hint=DiskFullError.hint)
        self._disk_full = full > 0
        if made:
            for report_id in reports.finish_reports(self._engine, made, allowed):
                _log.error("report.failed", report=report_id, code=DIFFERS, hint=remedy_of(DIFFERS))
                del made[report_id]
            self._wake("deliver-")
        for report_id, objects in made.items():
            steptimes.observe("compose", (time.perf_counter() - started) / len(made))
            _log.info("report.composed", report=report_id, objects=len(objects))
        return len(tasks) > full

    def _committer(self, peer: Peer) -> Callable[[], bool]:
        return lambda: commit.request(self._config, peer, self._commitments, self._events)

    def _settle_commitments(self) -> bool:
        return commit.settle(self._config, self._commitments, self._events)

    def _drain(self) -> None:
        """Accept no more, finish what is in hand, give back the rest."""
        notify("STOPPING=1")
        _log.info("node.draining")
        if "receive" in self._parts:
            self._receivers.stop()
        for loop in self._loops:
            loop.stop()
        for dispatcher in self._dispatchers:
            dispatcher.end()
        deadline = time.monotonic() + _DRAIN_LIMIT_S
        for loop in self._loops:
            loop.join(max(0.1, deadline - time.monotonic()))
        for dispatcher in self._dispatchers:
            dispatcher.close()
        self._composers.close()
        self._housekeeping.stop()
        if self._web is not None:
            self._web.stop()  # type: ignore[attr-defined]
        self._engine.dispose()
        pid_file = self._config.root / "run" / "ra-daemon.pid"
        if pid_file.is_file() and pid_file.read_text() == str(os.getpid()):
            pid_file.unlink()
        for lock in self._locks:
            lock.close()
        _log.info("node.stopped")


def run(config: Config, *, only: frozenset[str] = PARTS) -> int:
    """Run a node in the foreground.

    Raises:
        ConfigError: the store's root cannot be a folder, or a bundle in use was changed.
        StoreError: the database is of another version, or another node uses this store.
    """
    log.configure(config.log)
    settings.check_root(config)
    return Node(config, only or PARTS).run()


def _database(config: Config) -> Engine:
    """Open the database; a new one is made, an older one asks for ``ra-daemon db upgrade``."""
    engine = open_engine(config.database_url)
    current, _head = schema.revisions(engine)
    schema.check_lost(current, config.root)
    if current is None:
        schema.upgrade(engine)
    schema.check_version(engine)
    return engine
