"""Contract of recording: one transaction, fenced, superseding, complete in the public views."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from ra_daemon.domain import Reason, Refused
from ra_daemon.errors import LeaseLostError
from ra_daemon.store import reports, results, status
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from tests.support.verdicts import (
    ALL_LANES,
    MODEL,
    admission,
    claim_one,
    enqueue,
    full,
    record,
    scored,
)

REFUSED = Refused(reason=Reason.WRIST_ONLY)


def rows(engine: sa.Engine, view: str = "v1_results") -> list[dict[str, Any]]:
    with engine.connect() as conn:
        found = conn.execute(sa.text(f"SELECT * FROM {view} ORDER BY outcome_id, kind, label"))
        return [dict(r) for r in found.mappings()]


def refusals(engine: sa.Engine) -> list[dict[str, Any]]:
    with engine.connect() as conn:
        found = conn.execute(sa.text("SELECT * FROM v1_refusals ORDER BY outcome_id"))
        return [dict(r) for r in found.mappings()]


def test_a_row_tells_that_its_side_came_from_a_letter(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission(), replace(scored(hands="left"), laterality_source="marker"))
    told = {(r["hands"], r["laterality"], r["laterality_source"]) for r in rows(engine)}
    assert told == {("left", "left", "marker")}


def test_every_finding_but_heatmaps_becomes_a_row(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission(), full())
    by_kind = {r["kind"]: r for r in rows(engine)}
    assert sorted(by_kind) == ["quality", "severity", "svdh_hand", "svdh_member", "svdh_total"]
    total = by_kind["svdh_total"]
    assert (total["value"], total["low"], total["high"], total["level"]) == (42.0, 32.0, 52.0, 0.9)
    assert (total["hands"], total["laterality"], total["scale_max"]) == ("both", "unknown", 280.0)
    assert total["rubric"] == "SvdH 1999 (16 erosion 0-5, 15 JSN 0-4 a hand)"
    assert (total["bundle_digest"], total["engine"]) == (MODEL.digest, MODEL.engine)
    assert (total["demonstration"], total["role"], total["status"]) == (1, "active", "current")
    assert total["source_sha256"] == admission().dataset_sha256
    assert by_kind["svdh_hand"]["laterality"] == "image-right"
    assert (by_kind["svdh_member"]["label"], by_kind["svdh_member"]["spread"]) == ("resnet18", 1.5)
    severity = by_kind["severity"]
    assert (severity["value"], severity["label"]) == (2.0, "damage band 2 of 5")
    assert sum(json.loads(severity["detail"])["probabilities"]) == pytest.approx(1)
    assert by_kind["quality"]["label"] == "low_contrast"
    assert by_kind["quality"]["bundle"] == "demo"


def test_a_fenced_worker_writes_nothing(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    enqueue(engine, queue)
    claim = claim_one(queue)
    queue.release([claim])
    with pytest.raises(LeaseLostError):
        results.record(engine, queue, claim, scored(), pipeline_digest="p" * 64)
    assert rows(engine) == []
    assert reports.due_reports(engine, objects, 9) == []
    assert status.snapshot(engine)["queued"] == 1


def test_a_failing_write_leaves_the_job_leased(engine: sa.Engine, queue: JobQueue) -> None:
    enqueue(engine, queue)
    claim = claim_one(queue)
    with pytest.raises(AttributeError):
        results.record(engine, queue, claim, object(), pipeline_digest="p")  # type: ignore[arg-type]
    assert queue.counts()["leased"] == 1
    assert queue.claim("w", 1, 60, ALL_LANES, None) == []


def test_a_new_pipeline_supersedes_and_keeps_the_old_rows(
    engine: sa.Engine, queue: JobQueue
) -> None:
    record(engine, queue, admission(), scored(value=40))
    record(engine, queue, admission(), scored(value=44), pipeline="q" * 64)
    old, new = rows(engine)
    assert (old["value"], old["status"], new["value"], new["status"]) == (
        40.0,
        "superseded",
        44.0,
        "current",
    )
    assert old["superseded_by"] == new["outcome_id"]
    assert new["superseded_by"] is None


def test_a_refusal_supersedes_a_score(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission(), scored())
    record(engine, queue, admission(), REFUSED, pipeline="q" * 64)
    assert [r["status"] for r in rows(engine)] == ["superseded"]
    assert [(r["reason_code"], r["status"]) for r in refusals(engine)] == [
        ("wrist_only", "current")
    ]
    snapshot = status.snapshot(engine)
    assert (snapshot["scored"], snapshot["refused"], snapshot["unaccounted"]) == (0, 1, 0)
    assert status.refusal_counts(engine) == {"wrist_only": 1}


def test_shadow_results_supersede_nothing_and_are_never_reported(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored(value=40), deliver="database-only")
    record(engine, queue, admission(), scored(value=44), pipeline="q" * 64, role="shadow")
    assert [(r["role"], r["status"]) for r in rows(engine)] == [
        ("active", "current"),
        ("shadow", "current"),
    ]
    assert reports.due_reports(engine, objects, 9) == []


@pytest.mark.parametrize(("wanted", "due"), [(False, 0), (True, 1)])
def test_a_refusal_is_reported_where_the_route_says_so(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore, wanted: bool, due: int
) -> None:
    record(engine, queue, admission(), REFUSED, refusal_report=wanted)
    tasks = reports.due_reports(engine, objects, 9)
    assert len(tasks) == due
    assert all(t.kind == "refused" and t.refused == REFUSED and t.scored is None for t in tasks)


def test_every_instance_is_in_exactly_one_place(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission("1.1"), scored())
    record(engine, queue, admission("1.2"), REFUSED)
    enqueue(engine, queue, 3)
    claim_one(queue)
    snapshot = status.snapshot(engine)
    places = ("queued", "leased", "scored", "refused", "failed", "cancelled")
    assert [snapshot[p] for p in places] == [2, 1, 1, 1, 0, 0]
    assert (snapshot["received"], snapshot["unaccounted"]) == (5, 0)
