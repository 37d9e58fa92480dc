"""Contract of aggregation: one left and one right image make one total, once."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from ra_daemon.domain import Composed, Scored
from ra_daemon.store import reconcile, reports, studies
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.tables import instance
from tests.support.verdicts import admission, enqueue, record, scored

TOTAL = replace(scored(value=30.0, half=6.0), views=())


def two_hands(engine: sa.Engine, queue: JobQueue) -> None:
    for uid, side, value in (("1.1", "left", 10.0), ("1.2", "right", 20.0)):
        record(engine, queue, admission(uid), scored(value=value, hands=side))


def current_totals(engine: sa.Engine) -> list[dict[str, object]]:
    sql = "SELECT * FROM v1_results WHERE kind = 'svdh_total' AND status = 'current'"
    with engine.connect() as conn:
        return [dict(r) for r in conn.execute(sa.text(sql)).mappings()]


def test_a_pair_is_found_recorded_and_not_found_again(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    two_hands(engine, queue)
    (key,) = studies.quiet_studies(engine, 0)
    assert (key.left.sop_instance_uid, key.right.sop_instance_uid) == ("1.1", "1.2")
    assert key.left.scored.findings == scored(value=10.0, hands="left").findings
    assert studies.record_aggregate(engine, key, TOTAL, destinations=["PACS"])
    assert not studies.record_aggregate(engine, key, TOTAL, destinations=["PACS"])
    assert studies.quiet_studies(engine, 0) == []
    (row,) = current_totals(engine)
    assert (row["value"], row["low"], row["high"]) == (30.0, 24.0, 36.0)
    assert (row["sop_instance_uid"], row["label"]) == ("1.2", "aggregate of two images")
    assert json.loads(str(row["derived_from"])) == ["1.1", "1.2"]
    task = reports.due_reports(engine, objects, 9)[-1]
    assert task.kind == "aggregate"
    assert task.paths == (admission("1.1").path, admission("1.2").path)


def test_the_image_scored_last_counts_and_its_side_is_repeated(
    engine: sa.Engine, queue: JobQueue
) -> None:
    two_hands(engine, queue)
    (key,) = studies.quiet_studies(engine, 0)
    assert key.repeated == ()
    record(engine, queue, admission("1.3"), scored(value=12.0, hands="left"))
    record(engine, queue, admission("1.4"), scored(hands="left"), pipeline="q" * 64)
    (again,) = studies.quiet_studies(engine, 0)
    assert (again.left.sop_instance_uid, again.right.sop_instance_uid) == ("1.3", "1.2")
    assert again.repeated == ("left",)


def test_one_side_noise_or_open_jobs_make_no_pair(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission("1.1"), scored(hands="left"))
    record(engine, queue, admission("1.5"), scored())
    assert studies.quiet_studies(engine, 0) == []
    record(engine, queue, admission("1.2"), scored(hands="right"))
    assert studies.quiet_studies(engine, 10**9) == []
    enqueue(engine, queue)
    assert studies.quiet_studies(engine, 0) == []


@pytest.mark.parametrize("change", [{"patient_id": "OTHER"}, {"study_date": "19990101"}])
def test_hands_of_two_patients_or_dates_make_no_total_and_are_told(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore, change: dict[str, str]
) -> None:
    two_hands(engine, queue)
    assert len(studies.quiet_studies(engine, 0)) == 1
    assert "hands_of_two_patients" not in {d.code for d in reconcile.files(engine, objects)}
    with engine.begin() as conn:
        right = instance.c.sop_instance_uid == "1.2"
        conn.execute(sa.update(instance).where(right).values(**change))
    assert studies.quiet_studies(engine, 0) == []
    (told,) = (d for d in reconcile.files(engine, objects) if d.code == "hands_of_two_patients")
    assert told.number == 2
    assert "Correct the header" in told.remedy


def test_other_pipelines_do_not_mix(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission("1.1"), scored(hands="left"))
    record(engine, queue, admission("1.2"), scored(hands="right"), pipeline="q" * 64)
    assert studies.quiet_studies(engine, 0) == []


def test_a_new_verdict_on_a_hand_supersedes_the_total(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    two_hands(engine, queue)
    (key,) = studies.quiet_studies(engine, 0)
    studies.record_aggregate(engine, key, TOTAL, destinations=["PACS"])
    for task in reports.due_reports(engine, objects, 9):
        uid = f"2.25.{task.report_id}"
        sr = Composed(kind="sr", sop_class_uid="1", sop_instance_uid=uid, path=uid, sha256="0")
        reports.finish_report(engine, task.report_id, [sr], {"PACS": True})
        if task.kind == "aggregate":
            first = uid
    for uid, side in (("1.1", "left"), ("1.2", "right")):
        record(engine, queue, admission(uid), scored(hands=side), pipeline="q" * 64)
        assert current_totals(engine) == []
    (again,) = studies.quiet_studies(engine, 0)
    new: Scored = replace(TOTAL, findings=scored(value=33.0).findings)
    studies.record_aggregate(engine, again, new, destinations=["PACS"])
    assert [r["value"] for r in current_totals(engine)] == [33.0]
    assert reports.due_reports(engine, objects, 9)[-1].predecessor.sop_instance_uid == first  # type: ignore[union-attr]
