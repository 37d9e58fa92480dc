"""Claim, hand to a scorer process, settle. One dispatcher for each scorer process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from ra_daemon import checkpoints, log
from ra_daemon.config import Config, Route
from ra_daemon.domain import Claim, Failed, Lane, Outcome
from ra_daemon.errors import LeaseLostError, ScorerCrashError
from ra_daemon.store.queue import JobQueue
from ra_daemon.windows import Window
from ra_daemon.worker.messages import ScoreTask
from ra_daemon.worker.process import ScorerProcess
from ra_daemon.worker.selection import Selection

_log = log.get(__name__)


class Recorder(Protocol):
    """Writes an outcome and settles its job in one transaction."""

    def __call__(self, claim: Claim, outcome: Outcome, *, engine: str) -> None:
        """Raises LeaseLostError when another worker holds the job now."""
        ...


class Digester(Protocol):
    """Tells the pipeline digest that a route has now."""

    def __call__(self, route: Route, *, shadow: bool) -> str | None:
        """Empty when no such pipeline is wanted; None when it cannot be told."""
        ...


class Dispatcher:
    """Feeds one scorer process in batches and bisects a batch that brought it down."""

    def __init__(
        self,
        config: Config,
        queue: JobQueue,
        process: ScorerProcess,
        *,
        owner: str,
        route_of: Callable[[Claim], Route],
        record: Recorder,
        digest_of: Digester,
        selection: Selection,
    ) -> None:
        self._config = config
        self._queue = queue
        self._process = process
        self._owner = owner
        self._route_of = route_of
        self._record = record
        self._digest_of = digest_of
        self._selection = selection
        self._window = Window.parse(config.schedule.off_hours)
        self._held: dict[int, Claim] = {}
        self._guard = threading.Lock()

    def step(self) -> bool:
        """Claim one batch and work it; False when the queue has nothing for us."""
        claimed = self._claim()
        if not claimed:
            return False
        claims = self._pinned(claimed)
        checkpoints.hit("claim")
        with self._guard:
            self._held = {c.job_id: c for c in claims}
        shadows = [c for c in claims if c.lane is Lane.SHADOW]
        chosen, twins = self._selection.split([c for c in claims if c.lane is not Lane.SHADOW])
        for claim, refused in twins:
            self._settle(claim, refused)
        with self._guard:
            self._held = {c.job_id: c for c in (*chosen, *shadows)}
        groups = [group for group in (shadows, chosen) if group]  # the last goes first
        while groups:
            groups += self._work(groups.pop())
        return True

    def beat(self) -> bool:
        """Extend the leases of the batch in hand."""
        with self._guard:
            held = list(self._held.values())
        if held:
            self._queue.heartbeat(held, self._config.scoring.lease_s)
        return False

    def close(self) -> None:
        """Give back what is not settled, charge no attempt, and end the process."""
        with self._guard:
            held, self._held = list(self._held.values()), {}
        if held:
            self._queue.release(held)
        self._process.kill()

    def _claim(self) -> list[Claim]:
        lanes = [Lane.STAT, Lane.NORMAL]
        if self._window.holds(datetime.now(UTC)):
            lanes.append(Lane.OFF_HOURS)
        scoring = self._config.scoring
        lanes.append(Lane.SHADOW)
        return self._queue.claim(
            self._owner,
            scoring.batch,
            scoring.lease_s,
            lanes,
            timedelta(hours=self._config.schedule.starvation_h),
        )

    def _work(self, group: Sequence[Claim]) -> list[list[Claim]]:
        """Work one group; return what is left of it, split in halves, when the process died."""
        open_claims = {c.job_id: c for c in group}
        tasks = [self._task(c) for c in group]
        try:
            for job_id, outcome in self._process.score(tasks):
                self._settle(open_claims.pop(job_id), outcome)
        except ScorerCrashError as crash:
            left = list(open_claims.values())
            if len(left) == 1:
                self._settle(left[0], _crashed(crash))
                return []
            middle = len(left) // 2
            return [half for half in (left[middle:], left[:middle]) if half]
        return []

    def _task(self, claim: Claim) -> ScoreTask:
        return ScoreTask(
            job_id=claim.job_id,
            path=str(Path(self._config.root) / claim.path),
            header=claim.header,
            route=self._route_of(claim),
            shadow=claim.lane is Lane.SHADOW,
        )

    def _pinned(self, claims: Sequence[Claim]) -> list[Claim]:
        """Claims under the pipeline that scores them now: it may have changed since admission."""
        pinned: list[Claim] = []
        for claim in claims:
            digest = self._digest_of(self._route_of(claim), shadow=claim.lane is Lane.SHADOW)
            if digest is None or digest == claim.pipeline_digest:
                pinned.append(claim)
            elif (moved := self._queue.repin(claim, digest)) is not None:
                pinned.append(moved)
        return pinned

    def _settle(self, claim: Claim, outcome: Outcome) -> None:
        checkpoints.hit("record")
        try:
            self._record(claim, outcome, engine=self._process.engine)
        except LeaseLostError:
            _log.warning("job.lease_lost", job=claim.job_id)
        finally:
            with self._guard:
                self._held.pop(claim.job_id, None)


def _crashed(crash: ScorerCrashError) -> Failed:
    return Failed(code=crash.code, message=str(crash), retriable=crash.retriable, blame=crash.blame)
