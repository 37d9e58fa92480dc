"""Contract of retraction: the row says so, nothing more is sent, whoever had it is told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ra_daemon.domain import CommitReport, Composed, Delivered, Postponed
from ra_daemon.errors import StoreError
from ra_daemon.store import audit, reports, retract, status, studies
from ra_daemon.store.commitments import Commitments
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.outbox import Outbox, Which
from ra_daemon.store.queue import JobQueue
from tests.support.verdicts import admission, record, scored

TAKES = {"PACS": True, "B": True}


def compose(engine: sa.Engine, objects: ObjectStore, allowed: dict[str, bool] | None = None) -> int:
    tasks = reports.due_reports(engine, objects, 9)
    for task in tasks:
        made = Composed(
            kind="retraction" if task.retracted else "sr", sop_class_uid="1.2",
            sop_instance_uid=f"2.25.{task.report_id}", path=f"objects/aa/{task.report_id}.dcm",
            sha256="0" * 64,
        )  # fmt: skip
        reports.finish_report(engine, task.report_id, [made], allowed or TAKES)
    return len(tasks)


def send(engine: sa.Engine) -> list[str]:
    outbox = Outbox(engine)
    items = outbox.claim_due(9)
    for item in items:
        outbox.settle(item, Delivered(status=0))
    return [item.sop_instance_uid for item in items]


def rows(engine: sa.Engine, view: str = "v1_results") -> list[dict[str, Any]]:
    with engine.connect() as conn:
        return [dict(r) for r in conn.execute(sa.text(f"SELECT * FROM {view}")).mappings()]


def only(engine: sa.Engine, name: str = "1.2.3") -> int:
    (found,) = retract.find(engine, name)
    return found


def test_whoever_has_the_report_is_told(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored(), destinations=["PACS", "B"])
    compose(engine, objects)
    assert send(engine) == ["2.25.1", "2.25.1"]
    (done,) = retract.retract(engine, only(engine), who="dr", reason="wrong patient")
    assert done.destinations == ("B", "PACS")
    (row,) = rows(engine)
    assert (row["status"], row["retract_reason"]) == ("retracted", "wrong patient")
    assert row["retracted_at"] is not None
    (task,) = reports.due_reports(engine, objects, 9)
    assert (task.kind, task.retracted) == ("retracted", "wrong patient")
    assert task.predecessor is not None
    assert task.predecessor.sop_instance_uid == "2.25.1"
    assert task.paths == ("objects/aa/1.dcm",)
    compose(engine, objects, {})  # told also where demonstrations are no longer taken
    assert send(engine) == ["2.25.2", "2.25.2"]


def test_the_image_is_still_accounted_for(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission(), scored(), deliver="database-only")
    retract.retract(engine, only(engine), who="dr", reason="x")
    snapshot = status.snapshot(engine)
    assert (snapshot["scored"], snapshot["retracted"], snapshot["unaccounted"]) == (0, 1, 0)


def test_what_was_not_sent_is_never_sent(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    (early,) = reports.due_reports(engine, objects, 9)
    (done,) = retract.retract(engine, only(engine), who="dr", reason="x")
    assert done.destinations == ()
    assert reports.due_reports(engine, objects, 9) == []
    late = Composed(kind="sr", sop_class_uid="1", sop_instance_uid="9", path="p", sha256="")
    reports.finish_report(engine, early.report_id, [late], TAKES)  # a composer was at it
    assert Outbox(engine).claim_due(9) == []
    assert rows(engine, "v1_deliveries") == []


@pytest.mark.parametrize("deliver", ["send", "hold"])
def test_waiting_objects_are_skipped(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore, deliver: Any
) -> None:
    record(engine, queue, admission(), scored(), deliver=deliver)
    compose(engine, objects)
    retract.retract(engine, only(engine), who="dr", reason="x")
    with engine.begin() as conn:
        assert Outbox(engine).release_held(conn) == 0
    assert [(r["state"], r["cause"]) for r in rows(engine, "v1_deliveries")] == [
        ("skipped", "retracted")
    ]
    assert reports.due_reports(engine, objects, 9) == []


def test_a_send_under_way_is_told_and_not_repeated(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    compose(engine, objects)
    now = [datetime.now(UTC) + timedelta(seconds=5)]
    outbox = Outbox(engine, clock=lambda _conn: now[0])
    (item,) = outbox.claim_due(9)
    (done,) = retract.retract(engine, only(engine), who="dr", reason="x")
    assert done.destinations == ("PACS",)
    outbox.settle(item, Postponed(cause="timeout"), 0)
    assert outbox.claim_due(9) == []
    assert [r["state"] for r in rows(engine, "v1_deliveries")] == ["skipped"]


def test_a_crash_in_mid_send_of_a_retracted_object_is_not_repeated(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    compose(engine, objects)
    now = [datetime.now(UTC) + timedelta(seconds=5)]
    outbox = Outbox(engine, owner="a", lease_s=60, clock=lambda _conn: now[0])
    assert len(outbox.claim_due(9)) == 1
    retract.retract(engine, only(engine), who="dr", reason="x")
    now[0] += timedelta(seconds=61)
    assert outbox.claim_due(9) == []


def test_a_peer_that_lost_an_object_that_was_given_up_then_is_told(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    compose(engine, objects)
    outbox = Outbox(engine)
    (item,) = outbox.claim_due(9)
    outbox.settle(item, Delivered(status=0))
    commitments = Commitments(engine)
    request = commitments.begin("PACS", 9)
    assert request is not None
    lost = CommitReport(
        transaction_uid=request.transaction_uid, ae_title="PACS", committed=(),
        failed=((item.sop_instance_uid, 0x0112),),
    )  # fmt: skip
    assert commitments.settle(lost, ["PACS"], 1).parked == 1
    assert outbox.give_up(Which(destination="PACS"), who="me", why="x") == 1
    (done,) = retract.retract(engine, only(engine), who="dr", reason="x")
    assert done.destinations == ("PACS",)


def test_a_total_goes_with_its_hand(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    for hand in ("left", "right"):
        record(engine, queue, admission(f"1.{hand}"), scored(hands=hand))
    (key,) = studies.quiet_studies(engine, 0)
    studies.record_aggregate(engine, key, scored(), destinations=["PACS"])
    compose(engine, objects)
    send(engine)
    done = retract.retract(engine, only(engine, "1.left"), who="dr", reason="x")
    assert [d.kind for d in done] == ["scored", "aggregate"]
    assert {r["status"] for r in rows(engine) if r["hands"] == "right"} == {"current"}
    assert studies.quiet_studies(engine, 0) == []  # and is not made again of it
    assert compose(engine, objects) == 2
    snapshot = status.snapshot(engine)
    assert (snapshot["received"], snapshot["scored"], snapshot["retracted"]) == (2, 1, 1)
    assert snapshot["unaccounted"] == 0


def test_a_new_result_after_a_retraction_follows_it(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    compose(engine, objects)
    send(engine)
    retract.retract(engine, only(engine), who="dr", reason="x")
    compose(engine, objects)
    record(engine, queue, admission(), scored(value=50), pipeline="q" * 64)
    (task,) = reports.due_reports(engine, objects, 9)
    assert task.predecessor is not None
    assert (task.predecessor.sop_instance_uid, task.predecessor.kind) == ("2.25.2", "retraction")
    assert sorted(r["status"] for r in rows(engine)) == ["current", "retracted"]
    snapshot = status.snapshot(engine)
    assert (snapshot["scored"], snapshot["retracted"], snapshot["unaccounted"]) == (1, 0, 0)


def test_only_current_results_can_be_retracted(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    first = only(engine)
    record(engine, queue, admission(), scored(value=50), pipeline="q" * 64, role="shadow")
    assert retract.find(engine, "1.2.3") == [first]
    retract.retract(engine, first, who="dr", reason="x")
    for number in (first, first + 1, 99):
        with pytest.raises(StoreError, match="no current result"):
            retract.retract(engine, number, who="dr", reason="x")
    assert retract.find(engine, "1.2.3") == []


def test_a_result_is_found_by_every_name(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    compose(engine, objects)
    number = only(engine)
    for name in ("1.2.3", "2.25.1", str(number)):
        assert retract.find(engine, name) == [number]
    for name in ("", "9" * 40, "1' OR '1'='1"):
        assert retract.find(engine, name) == []


def test_the_audit_tells_who_and_why(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission(patient_id="MARKER"), scored())
    retract.retract(engine, only(engine), who="dr", reason="wrong side")
    with engine.connect() as conn:
        (entry,) = audit.entries(conn)
    assert (entry.who, entry.what, entry.why) == ("dr", "retract", "wrong side")
    assert "MARKER" not in repr(entry)
