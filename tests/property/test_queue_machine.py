"""Random work on the queue against a model of it: no job twice, none lost, fences hold."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ra_daemon.domain import Claim, Failed, JobState, Lane
from ra_daemon.errors import LeaseLostError
from ra_daemon.store.engine import open_engine
from ra_daemon.store.queue import MAX_LOST_LEASES, JobQueue
from ra_daemon.store.schema import upgrade
from tests.support.verdicts import ALL_LANES, enqueue

LEASE_S, MAX_ATTEMPTS = 60.0, 3
END = frozenset({"scored", "failed", "cancelled"})


class QueueMachine(RuleBasedStateMachine):
    """``held`` maps a job to the claim that owns it; ``stale`` are claims that must be fenced."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.engine: sa.Engine = open_engine(f"sqlite:///{Path(self.folder.name) / 'q.db'}")
        upgrade(self.engine)
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.queue = JobQueue(self.engine, lambda _conn: self.now)
        self.state: dict[int, str] = {}
        self.due: dict[int, datetime] = {}
        self.attempts: dict[int, int] = {}
        self.lost: dict[int, int] = {}
        self.held: dict[int, Claim] = {}
        self.until: dict[int, datetime] = {}
        self.stale: list[Claim] = []

    def teardown(self) -> None:
        self.engine.dispose()
        self.folder.cleanup()

    @rule(count=st.integers(1, 3), lane=st.sampled_from(ALL_LANES))
    def add(self, count: int, lane: Lane) -> None:
        ids = enqueue(self.engine, self.queue, count, lane=lane, first=len(self.state))
        for job_id in ids:
            assert job_id not in self.state
            self.state[job_id], self.due[job_id] = "queued", self.now
            self.attempts[job_id] = self.lost[job_id] = 0

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        for job_id, claim in list(self.held.items()):
            if self.until[job_id] < self.now:
                self.stale.append(claim)
                del self.held[job_id]
                hopeless = self.lost[job_id] >= MAX_LOST_LEASES
                self.lost[job_id] += 1
                self.state[job_id] = "failed" if hopeless else "queued"
        ready = {j for j, s in self.state.items() if s == "queued" and self.due[j] <= self.now}
        claims = self.queue.claim("w", limit, LEASE_S, ALL_LANES, None)
        assert len({c.job_id for c in claims}) == len(claims) == min(limit, len(ready))
        for claim in claims:
            assert claim.job_id in ready
            assert claim.attempt == self.attempts[claim.job_id] + 1
            self.state[claim.job_id], self.held[claim.job_id] = "leased", claim
            self.until[claim.job_id] = self.now + timedelta(seconds=LEASE_S)

    @rule(seconds=st.sampled_from([1, 30, 61, 500]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.held)))
        with self.engine.begin() as conn:
            self.queue.settle(conn, self.held[job_id], JobState.SCORED)
        self._drop(job_id, "scored")

    @precondition(lambda self: self.held)
    @rule(data=st.data(), retriable=st.booleans())
    def fail(self, data: st.DataObject, retriable: bool) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.held)))
        failed = Failed(code="x.failed", message="", retriable=retriable)
        state = self.queue.fail(self.held[job_id], failed, MAX_ATTEMPTS, 10)
        self.attempts[job_id] += 1
        again = retriable and self.attempts[job_id] < MAX_ATTEMPTS
        assert state.value == ("queued" if again else "failed")
        self.due[job_id] = self.now + timedelta(seconds=10) if again else self.due[job_id]
        self._drop(job_id, state.value)

    @precondition(lambda self: self.held)
    @rule()
    def release_all(self) -> None:
        assert self.queue.release(list(self.held.values())) == len(self.held)
        for job_id in list(self.held):
            self._drop(job_id, "queued")

    @precondition(lambda self: self.held)
    @rule()
    def heartbeat(self) -> None:
        kept = self.queue.heartbeat([*self.held.values(), *self.stale], LEASE_S)
        assert {c.job_id for c in kept} == set(self.held)
        for job_id in self.held:
            self.until[job_id] = self.now + timedelta(seconds=LEASE_S)

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def a_stale_claim_is_fenced(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.stale))
        with pytest.raises(LeaseLostError), self.engine.begin() as conn:
            self.queue.settle(conn, claim, JobState.SCORED)

    @precondition(lambda self: self.state)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.state)))
        live = self.state[job_id] not in END
        with self.engine.begin() as conn:
            assert self.queue.cancel(conn, [job_id]) == int(live)
        if live:
            self._drop(job_id, "cancelled")

    @rule()
    def retry(self) -> None:
        failed = [j for j, s in self.state.items() if s == "failed"]
        with self.engine.begin() as conn:
            assert self.queue.retry(conn) == len(failed)
        for job_id in failed:
            self.state[job_id], self.due[job_id] = "queued", self.now
            self.attempts[job_id] = self.lost[job_id] = 0

    @invariant()
    def the_database_agrees(self) -> None:
        there = {j.job_id: j.state.value for j in self.queue.list(limit=10_000)}
        assert there == self.state

    def _drop(self, job_id: int, state: str) -> None:
        self.state[job_id] = state
        claim = self.held.pop(job_id, None)
        if claim is not None:
            self.stale.append(claim)


QueueMachine.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestQueueMachine = QueueMachine.TestCase
