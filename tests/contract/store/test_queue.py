"""Contract of the queue: exact once, fenced, leases by the database's clock, dead letters."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from ra_daemon.domain import Failed, JobState, Lane
from ra_daemon.errors import LeaseLostError
from ra_daemon.store.queue import MAX_LOST_LEASES, JobQueue
from tests.support.verdicts import ALL_LANES, admission, admit, claim_one, enqueue

TRANSIENT = Failed(code="io.failed", message="disk", retriable=True, blame="decode")
PERMANENT = Failed(code="scorer.failed", message="bad", retriable=False, blame="svdh")


class Hands:
    """A clock whose hands a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self, _conn: sa.Connection) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def timed(engine: sa.Engine, clock: Hands) -> JobQueue:
    return JobQueue(engine, clock)


def test_an_image_is_queued_once_for_a_pipeline(engine: sa.Engine, queue: JobQueue) -> None:
    instance = admit(engine, admission())
    with engine.begin() as conn:
        assert queue.enqueue(conn, instance, "p", Lane.NORMAL, "all") is not None
        assert queue.enqueue(conn, instance, "p", Lane.STAT, "all") is None
        assert queue.enqueue(conn, instance, "q", Lane.NORMAL, "all") is not None
    assert queue.counts()["queued"] == 2


def test_four_threads_claim_every_job_exactly_once(engine: sa.Engine, queue: JobQueue) -> None:
    ids = enqueue(engine, queue, 60)
    claimed: Counter[int] = Counter()
    guard = threading.Lock()
    errors: list[Exception] = []

    def work(name: str) -> None:
        try:
            while claims := queue.claim(name, 4, 60, ALL_LANES, None):
                for claim in claims:
                    with engine.begin() as conn:
                        queue.settle(conn, claim, JobState.SCORED)
                with guard:
                    claimed.update(c.job_id for c in claims)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    assert claimed == Counter(ids)
    assert queue.counts()["scored"] == len(ids)


def test_a_claim_carries_what_the_worker_needs(engine: sa.Engine, queue: JobQueue) -> None:
    enqueue(engine, queue)
    claim = claim_one(queue)
    made = admission("1.2.3.0")
    assert claim.header == made.header
    assert claim.origin == made.origin
    assert (claim.path, claim.dataset_sha256) == (made.path, made.dataset_sha256)
    assert (claim.route, claim.pipeline_digest, claim.attempt) == ("all", "p" * 64, 1)
    assert claim.lease_until > datetime.now(UTC)


def test_lanes_then_age_decide_the_order(engine: sa.Engine, queue: JobQueue) -> None:
    normal = enqueue(engine, queue, 2)
    stat = enqueue(engine, queue, 1, lane=Lane.STAT, first=10)
    off = enqueue(engine, queue, 1, lane=Lane.OFF_HOURS, first=20)
    assert [c.job_id for c in queue.claim("w", 2, 60, ALL_LANES, None)] == [stat[0], normal[0]]
    day = (Lane.STAT, Lane.NORMAL)
    assert [c.job_id for c in queue.claim("w", 9, 60, day, None)] == [normal[1]]
    assert [c.job_id for c in queue.claim("w", 9, 60, ALL_LANES, None)] == off


def test_starved_off_hours_jobs_run_by_day(
    engine: sa.Engine, timed: JobQueue, clock: Hands
) -> None:
    (job_id,) = enqueue(engine, timed, lane=Lane.OFF_HOURS)
    day, patience = (Lane.STAT, Lane.NORMAL), timedelta(hours=48)
    clock.pass_(47 * 3600)
    assert timed.claim("w", 1, 60, day, patience) == []
    clock.pass_(2 * 3600)
    assert [c.job_id for c in timed.claim("w", 1, 60, day, patience)] == [job_id]


def test_not_before_is_kept(engine: sa.Engine, timed: JobQueue, clock: Hands) -> None:
    instance = admit(engine, admission())
    with engine.begin() as conn:
        later = clock.now + timedelta(seconds=30)
        timed.enqueue(conn, instance, "p", Lane.STAT, "all", not_before=later)
    assert timed.claim("w", 1, 60, ALL_LANES, None) == []
    clock.pass_(30)
    assert len(timed.claim("w", 1, 60, ALL_LANES, None)) == 1


def test_an_expired_lease_returns_and_fences_its_old_holder(
    engine: sa.Engine, timed: JobQueue, clock: Hands
) -> None:
    enqueue(engine, timed)
    old = claim_one(timed, "slow", lease_s=60)
    clock.pass_(61)
    new = claim_one(timed, "fast", lease_s=60)
    assert (new.job_id, new.attempt) == (old.job_id, 1)  # a lost lease is not charged
    assert timed.heartbeat([old], 60) == []
    with pytest.raises(LeaseLostError), engine.begin() as conn:
        timed.settle(conn, old, JobState.SCORED)
    with pytest.raises(LeaseLostError):
        timed.fail(old, TRANSIENT, 3, 1)
    assert timed.release([old]) == 0
    with engine.begin() as conn:
        timed.settle(conn, new, JobState.SCORED)
    with pytest.raises(LeaseLostError), engine.begin() as conn:
        timed.settle(conn, new, JobState.SCORED)


def test_a_heartbeat_keeps_the_lease(engine: sa.Engine, timed: JobQueue, clock: Hands) -> None:
    enqueue(engine, timed, 2)
    claims = timed.claim("w", 2, 60, ALL_LANES, None)
    clock.pass_(50)
    kept = timed.heartbeat(claims, 60)
    assert [c.job_id for c in kept] == [c.job_id for c in claims]
    assert kept[0].lease_until == clock.now + timedelta(seconds=60)
    clock.pass_(50)
    assert timed.claim("x", 2, 60, ALL_LANES, None) == []


def test_a_job_that_keeps_losing_leases_becomes_a_dead_letter(
    engine: sa.Engine, timed: JobQueue, clock: Hands
) -> None:
    (job_id,) = enqueue(engine, timed)
    for _ in range(MAX_LOST_LEASES + 1):
        assert claim_one(timed, "killer").attempt == 1
        clock.pass_(61)
    assert timed.claim("w", 1, 60, ALL_LANES, None) == []
    row = timed.show(job_id)
    assert row is not None
    assert (row.state, row.cause, row.blame) == (JobState.FAILED, "job.lease_lost", "killer")


def test_release_charges_nothing(engine: sa.Engine, queue: JobQueue) -> None:
    enqueue(engine, queue, 2)
    assert queue.release(queue.claim("w", 2, 60, ALL_LANES, None)) == 2
    assert [c.attempt for c in queue.claim("w", 2, 60, ALL_LANES, None)] == [1, 1]


def test_failures_are_charged_backed_off_and_end_as_dead_letters(
    engine: sa.Engine, timed: JobQueue, clock: Hands
) -> None:
    (job_id,) = enqueue(engine, timed)
    assert timed.fail(claim_one(timed), TRANSIENT, 2, 10) is JobState.QUEUED
    assert timed.claim("w", 1, 60, ALL_LANES, None) == []
    clock.pass_(10)
    second = claim_one(timed)
    assert second.attempt == 2
    assert timed.fail(second, TRANSIENT, 2, 10) is JobState.FAILED
    row = timed.show(job_id)
    assert row is not None
    assert (row.attempts, row.cause, row.blame) == (2, "io.failed", "decode")
    assert row.finished_at == clock.now


def test_a_permanent_failure_is_not_tried_again(engine: sa.Engine, queue: JobQueue) -> None:
    enqueue(engine, queue)
    assert queue.fail(claim_one(queue), PERMANENT, 5, 1) is JobState.FAILED
    assert queue.oldest_age() is None


def test_retry_by_id_by_cause_and_all(engine: sa.Engine, queue: JobQueue) -> None:
    ids = enqueue(engine, queue, 3)
    for claim in queue.claim("w", 3, 60, ALL_LANES, None):
        failed = TRANSIENT if claim.job_id == ids[0] else PERMANENT
        queue.fail(claim, failed, 1, 0)
    with engine.begin() as conn:
        assert queue.retry(conn, cause="unknown") == 0
        assert queue.retry(conn, cause="io.failed") == 1
        assert queue.retry(conn, ids=[ids[1], 10_000]) == 1
        assert queue.retry(conn) == 1
    claims = queue.claim("w", 9, 60, ALL_LANES, None)
    assert [(c.job_id, c.attempt) for c in claims] == [(i, 1) for i in ids]


def test_cancel_takes_a_job_from_under_its_worker(engine: sa.Engine, queue: JobQueue) -> None:
    ids = enqueue(engine, queue, 2)
    claim = claim_one(queue)
    with engine.begin() as conn:
        assert queue.cancel(conn, ids) == 2
    with pytest.raises(LeaseLostError), engine.begin() as conn:
        queue.settle(conn, claim, JobState.SCORED)
    with engine.begin() as conn:
        assert queue.cancel(conn, ids) == 0
    assert queue.counts()["cancelled"] == 2


def test_list_and_counts(engine: sa.Engine, queue: JobQueue) -> None:
    ids = enqueue(engine, queue, 3)
    queue.fail(claim_one(queue), PERMANENT, 1, 0)
    assert [j.job_id for j in queue.list()] == ids[::-1]
    assert [j.job_id for j in queue.list(state=JobState.FAILED)] == [ids[0]]
    assert [j.job_id for j in queue.list(cause="scorer.failed")] == [ids[0]]
    assert queue.show(10_000) is None
    age = queue.oldest_age()
    assert age is not None
    assert 0 <= age < 60


def test_the_claim_is_served_by_the_partial_index(engine: sa.Engine) -> None:
    if engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL scans a small table whatever its indexes")
    sql = (
        "EXPLAIN QUERY PLAN SELECT id FROM job WHERE state = 'queued' AND lane = 1 "
        "ORDER BY lane, not_before, id LIMIT 4"
    )
    with engine.connect() as conn:
        assert "ix_job_due" in " ".join(str(row) for row in conn.exec_driver_sql(sql))
