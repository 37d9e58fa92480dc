"""A batch of verdicts in one transaction: one whose lease is lost is left out whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import sqlalchemy as sa

from ra_daemon.config import Config, Route, Scoring
from ra_daemon.domain import Failed, JobState, Reason, Refused
from ra_daemon.steps.record import Entry, record
from ra_daemon.store import removals
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.tables import job
from tests.support.verdicts import ALL_LANES, enqueue, full

ROUTE = Route(name="all", destinations=("PACS",))


def test_each_job_of_a_batch_ends_as_its_outcome_says(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    enqueue(engine, queue, 4)
    claims = queue.claim("w", 4, 60, ALL_LANES)
    outcomes = [
        full(),
        full(),
        Refused(reason=Reason.NOT_A_HAND),
        Failed(code="x", message="", retriable=False),
    ]
    entries = [
        Entry(claim=c, route=ROUTE, outcome=o) for c, o in zip(claims, outcomes, strict=True)
    ]
    entries[1] = replace(entries[1], claim=replace(claims[1], token="another's"))
    states = record(engine, queue, objects, Config(), entries)
    assert states == ["scored", "", "refused", "failed"]
    assert queue.counts()[JobState.LEASED.value] == 1
    with engine.connect() as conn:
        held = conn.execute(sa.text("SELECT DISTINCT sop_instance_uid FROM v1_results"))
        assert held.scalars().all() == [claims[0].header.sop_instance_uid]
        assert conn.execute(sa.text("SELECT count(*) FROM report")).scalar() == 1


def test_heatmaps_of_a_lost_lease_go_unless_another_result_names_them(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    enqueue(engine, queue, 2)
    late, other = queue.claim("w", 2, 60, ALL_LANES)
    lost = Entry(claim=replace(late, token="another's"), route=ROUTE, outcome=full())
    for kept in (0, 1):
        assert record(engine, queue, objects, Config(), [lost]) == [""]
        removals.finish(engine, objects)
        assert len([*(objects.root / "objects").glob("*/*.npz")]) == kept
        if not kept:  # the same bytes, for a result that stands
            entry = Entry(claim=other, route=ROUTE, outcome=full())
            assert record(engine, queue, objects, Config(), [entry]) == ["scored"]


def test_a_job_that_failed_waits_twice_as_long_each_time_up_to_five_minutes(
    engine: sa.Engine, objects: ObjectStore
) -> None:
    now = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
    queue = JobQueue(engine, clock=lambda _conn: now)
    waits = {1: 4, 2: 8, 3: 16, 7: 256, 9: 300, 50: 300}
    enqueue(engine, queue, len(waits))
    claims = queue.claim("w", len(waits), 60, ALL_LANES)
    failed = Failed(code="x", message="", retriable=True)
    entries = [
        Entry(claim=replace(claim, attempt=attempt), route=ROUTE, outcome=failed)
        for claim, attempt in zip(claims, waits, strict=True)
    ]
    config = Config(scoring=Scoring(max_attempts=100))
    assert record(engine, queue, objects, config, entries) == ["queued"] * len(waits)
    with engine.connect() as conn:
        rows = conn.execute(sa.select(job.c.attempts, job.c.not_before)).all()
    assert {row.attempts: (row.not_before - now).total_seconds() for row in rows} == waits
