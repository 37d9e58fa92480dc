"""A batch of verdicts in one transaction: one whose lease is lost is left out whole."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from ra_daemon.config import Config, Route
from ra_daemon.domain import Failed, JobState, Reason, Refused
from ra_daemon.steps.record import Entry, record
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
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
