"""Claim, hand to a scorer process, settle. One dispatcher for each scorer process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from ra_daemon import checkpoints, log
from ra_daemon.config import Config, Route
from ra_daemon.domain import Claim, Failed, Lane, Outcome
from ra_daemon.errors import EngineLostError, ScorerCrashError, ScorerUnreadyError
from ra_daemon.faults import log_fields
from ra_daemon.store.queue import JobQueue
from ra_daemon.windows import Window
from ra_daemon.worker.blame import Blame
from ra_daemon.worker.bucket import Bucket
from ra_daemon.worker.messages import ScoreTask
from ra_daemon.worker.process import ScorerProcess
from ra_daemon.worker.selection import Selection

_log = log.get(__name__)

_APART_S = 15.0
"""How long an image waits after an engine failed on it, so that others go first and tell more."""

Verdict = tuple[Claim, Outcome]


class Recorder(Protocol):
    """Writes outcomes and settles their jobs, one transaction a batch."""

    def __call__(self, verdicts: Sequence[Verdict], *, engine: str) -> None:
        """A job that another worker holds now is passed over, the others are settled."""
        ...


class Digester(Protocol):
    """Tells the pipeline digest that a route has now."""

    def __call__(self, route: Route, *, shadow: bool) -> str | None:
        """Empty when no such pipeline is wanted; None when it cannot be told."""
        ...


class Dispatcher:
    """Feeds one scorer process in batches and bisects a batch that brought it down.

    While the process works on a batch, the one before it is recorded, the next one is claimed and
    handed over, so that the process waits neither for the database nor for a decoder. What was in
    hand when the process died is suspect: until it is cleared, one group at a time is handed over.

    Without a process that has loaded its models nothing is claimed, and what is in hand is given
    back: that is the node's fault and no image's.
    """

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
        self._bucket = Bucket(self._claim, config.scoring.batch, config.scoring.wait_ms / 1e3)
        self._held: dict[int, Claim] = {}
        self._groups: list[list[Claim]] = []  # claimed and to be worked; the last goes first
        self._ahead: list[Claim] = []  # handed over behind the batch in hand
        self._suspects: set[int] = set()  # jobs of which one may have brought the process down
        self._done: list[Verdict] = []  # worked and to be recorded
        self._blame = Blame()
        self._guard = threading.Lock()

    def step(self) -> bool:
        """Work one batch; False when the queue has nothing for us.

        Raises:
            ScorerUnreadyError: no process can be had; the caller pauses before the next step.
            EngineLostError: the engine failed, and no image is to blame; likewise.
        """
        if not self._ahead and not self._up():
            return False
        if not (self._ahead or self._groups):
            self._fetch(self._bucket.fill())
        if not (self._ahead or self._groups):
            self._record_done()
            return False
        if not self._ahead and not self._process.alive:
            return True  # it died with nothing in hand: no image is to blame
        self._work()
        if not (self._ahead or self._groups):  # nothing follows that would hide the writing
            self._record_done()
        return True

    def beat(self) -> bool:
        """Extend the leases of the batch in hand, and tell that this scorer is still there."""
        self._process.beat()
        with self._guard:
            held = list(self._held.values())
        if held:
            self._queue.heartbeat(held, self._config.scoring.lease_s)
        return False

    def end(self) -> None:
        """Give up a start that is under way: the node drains."""
        self._process.end()

    def close(self) -> None:
        """Give back what is not settled, charge no attempt, and end the process."""
        try:
            self._record_done()
        except Exception as error:  # noqa: BLE001 - the jobs are given back and worked again
            _log.error("record.failed", **log_fields(error))
        with self._guard:
            held, self._held = list(self._held.values()), {}
        self._groups, self._ahead = [], []
        if held:
            self._queue.release(held)
        self._process.close()

    def _up(self) -> bool:
        """A process with its models; False when the node drains."""
        if self._process.alive:
            return True
        try:
            up = self._process.start()
        except ScorerUnreadyError:
            self._give_back([c for group in self._groups for c in group])
            self._groups = []
            self._record_done()
            raise
        if not self._process.takes_shadows:
            shadows = [g for g in self._groups if g[0].lane is Lane.SHADOW]
            self._give_back([c for group in shadows for c in group])
            self._groups = [g for g in self._groups if g not in shadows]
        return up

    def _fetch(self, claimed: Sequence[Claim]) -> None:
        """Choose what of the claims is to be scored."""
        if not claimed:
            return
        claims = self._pinned(claimed)
        checkpoints.hit("claim")
        self._hold(claims)
        shadows = [c for c in claims if c.lane is Lane.SHADOW]
        try:
            chosen, twins = self._selection.split([c for c in claims if c.lane is not Lane.SHADOW])
        except Exception:
            self._let_go(claims)  # their leases run out
            raise
        kept = {c.job_id for c in (*shadows, *chosen)} | {c.job_id for c, _ in twins}
        self._let_go(c for c in claims if c.job_id not in kept)
        self._done += twins
        self._groups = [group for group in (shadows, chosen) if group]

    def _claim(self, limit: int) -> list[Claim]:
        lanes = [Lane.STAT, Lane.NORMAL]
        if self._window.holds(datetime.now(UTC)):
            lanes.append(Lane.OFF_HOURS)
        scoring = self._config.scoring
        if self._process.takes_shadows:
            lanes.append(Lane.SHADOW)
        return self._queue.claim(
            self._owner,
            limit,
            scoring.lease_s,
            lanes,
            timedelta(hours=self._config.schedule.starvation_h),
        )

    def _work(self) -> None:
        """Work one group; what is left of it when the process died is split in halves."""
        handed = bool(self._ahead)
        group = self._ahead or self._groups.pop()
        self._ahead = []
        left = {c.job_id: c for c in group}
        tasks = [self._task(c) for c in group]
        fault: Exception | None = None
        worked: list[Verdict] = []
        try:
            if not handed:
                self._process.submit(tasks)
            fault = self._meanwhile()  # raised after the process has answered
            for job_id, outcome in self._process.collect(tasks):
                worked.append((left.pop(job_id), outcome))
                self._blame.worked(outcome)
        except EngineLostError as lost:
            if self._is_nobodys(list(left.values())):
                fault = lost
            else:
                worked += self._crash(list(left.values()), lost)
        except ScorerCrashError as crash:
            worked += self._crash(list(left.values()), crash)
        self._done += worked
        self._suspects.difference_update(claim.job_id for claim, _outcome in worked)
        if fault is not None:
            raise fault

    def _meanwhile(self) -> Exception | None:
        """While the process works: record the last batch, claim the next and hand it over."""
        try:
            self._record_done()
            if not self._groups:  # behind a batch in hand nothing is gained by waiting
                self._fetch(self._bucket.take())
        except Exception as error:  # noqa: BLE001 - first take what the process answers
            return error
        following = self._groups[-1] if self._groups and not self._suspects else []
        if following and self._process.ahead([self._task(c) for c in following]):
            self._ahead = self._groups.pop()
        return None

    def _crash(self, rest: list[Claim], crash: ScorerCrashError) -> list[Verdict]:
        """The verdict on an image that was alone in hand; else all in hand is worked apart."""
        ahead, self._ahead = self._ahead, []
        if len(rest) == 1 and not ahead:
            return [(rest[0], _crashed(crash))]
        middle = len(rest) // 2
        self._groups += [group for group in (ahead, rest[middle:], rest[:middle]) if group]
        self._suspects.update(c.job_id for c in (*ahead, *rest))
        return []

    def _is_nobodys(self, rest: list[Claim]) -> bool:
        """Whether an engine failed on an image alone in hand, and that says nothing of the image.

        It is given back then. A shadow's image is always to blame: nobody waits for its verdict,
        and it must not hold up those of others.
        """
        if len(rest) != 1 or self._ahead or rest[0].lane is Lane.SHADOW:
            return False
        if self._blame.falls_on(rest[0].job_id):
            return False
        self._give_back(rest, _APART_S)
        return True

    def _give_back(self, claims: Sequence[Claim], delay_s: float = 0.0) -> None:
        """Unworked, and no attempt is charged."""
        self._suspects.difference_update(c.job_id for c in claims)
        self._let_go(claims)
        if claims:
            self._queue.release(claims, delay_s)

    def _task(self, claim: Claim) -> ScoreTask:
        return ScoreTask(
            job_id=claim.job_id,
            path=str(Path(self._config.root) / claim.path),
            header=claim.header,
            route=self._route_of(claim),
            dataset_sha256=claim.dataset_sha256,
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

    def _record_done(self) -> None:
        """Record what is worked. After a failure the leases run out and the jobs are due again."""
        done, self._done = self._done, []
        if not done:
            return
        for _verdict in done:
            checkpoints.hit("record")
        try:
            self._record_apart(done)
        finally:
            self._let_go(claim for claim, _outcome in done)

    def _record_apart(self, verdicts: Sequence[Verdict]) -> None:
        """Record together; when that fails, each alone, so that a bad one harms no other."""
        try:
            self._record(verdicts, engine=self._process.engine)
        except Exception:
            if len(verdicts) == 1:
                raise
            faults = []
            for verdict in verdicts:
                try:
                    self._record_apart([verdict])
                except Exception as error:  # noqa: BLE001 - raised below, after the others
                    faults.append(error)
            if faults:
                raise faults[0] from None

    def _hold(self, claims: Iterable[Claim]) -> None:
        with self._guard:
            self._held |= {c.job_id: c for c in claims}

    def _let_go(self, claims: Iterable[Claim]) -> None:
        with self._guard:
            for claim in claims:
                self._held.pop(claim.job_id, None)


def _crashed(crash: ScorerCrashError) -> Failed:
    return Failed(code=crash.code, message=str(crash), retriable=crash.retriable, blame=crash.blame)
