"""Contract of retention: only what is done goes; rows first, then files; a restart finishes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ra_daemon.domain import Composed, Delivered, Failed, Lane, Parked, Reason, Refused
from ra_daemon.store import audit, holds, instances, removals, reports, retention
from ra_daemon.store.blocks import BLOCKS
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.outbox import Outbox
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.retention import Selection
from ra_daemon.store.studies import quiet_studies, record_aggregate
from tests.support.verdicts import (
    admission,
    admit,
    claim_one,
    enqueue,
    full,
    record,
    scored,
)

OLD = Selection(older_than=timedelta(days=1))
LATER = datetime.now(UTC) + timedelta(days=400)
REFUSED = Refused(reason=Reason.CAST)


def later(_conn: sa.Connection) -> datetime:
    return LATER


def blocks(engine: sa.Engine, selection: Selection = OLD) -> list[str]:
    return [c.block for c in retention.candidates(engine, selection, clock=later)]


def purge(engine: sa.Engine, selection: Selection = OLD, **options: Any) -> retention.Purged:
    options = {"who": "test", "why": "age", **options}
    return retention.purge(engine, selection, **options, clock=later)


def keep(objects: ObjectStore, path: str) -> None:
    (objects.root / path).parent.mkdir(parents=True, exist_ok=True)
    (objects.root / path).write_bytes(b"pixels")


def instance_row(engine: sa.Engine, uid: str = "1.2.3") -> dict[str, Any]:
    query = "SELECT * FROM v1_instances WHERE sop_instance_uid = :uid"
    with engine.connect() as conn:
        return dict(conn.execute(sa.text(query), {"uid": uid}).mappings().one())


def deliver(engine: sa.Engine, objects: ObjectStore, outcome: Delivered | Parked) -> None:
    for task in reports.due_reports(engine, objects, 9):
        made = Composed(
            kind="sr", sop_class_uid="1.2", sop_instance_uid=f"2.25.{task.report_id}",
            path=f"objects/aa/{task.report_id}.dcm", sha256="0" * 64,
        )  # fmt: skip
        reports.finish_report(engine, task.report_id, [made], {"PACS": True})
    outbox = Outbox(engine)
    for item in outbox.claim_due(9):
        outbox.settle(item, outcome)


def test_a_delivered_image_loses_its_file_and_keeps_its_row(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    deliver(engine, objects, Delivered(status=0))
    keep(objects, admission().path)
    keep(objects, "objects/aa/1.dcm")
    assert blocks(engine) == [""]
    assert purge(engine) == retention.Purged(images=1, files=1)
    assert (objects.root / admission().path).exists()  # rows first
    assert removals.finish(engine, objects) == 1
    assert not (objects.root / admission().path).exists()
    assert (objects.root / "objects/aa/1.dcm").exists()
    row = instance_row(engine)
    assert row["purge_reason"] == "age"
    assert row["purged_at"] is not None
    assert purge(engine) == retention.Purged(images=0, files=0)
    assert removals.finish(engine, objects) == 0


def test_a_restart_finishes_what_a_crash_left(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        record(engine, queue, admission(f"1.{number}"), REFUSED)
        keep(objects, admission(f"1.{number}").path)
    purge(engine)
    real, seen = objects.remove, []

    def crash(relatives: list[str]) -> None:
        real(relatives[:1])
        seen.append(relatives)
        raise KeyboardInterrupt

    monkeypatch.setattr(objects, "remove", crash)
    with pytest.raises(KeyboardInterrupt):
        removals.finish(engine, objects)
    again = ObjectStore(objects.root)
    assert removals.finish(engine, again) == 3
    assert not any((objects.root / admission(f"1.{n}").path).exists() for n in range(3))


def test_a_file_that_cannot_go_keeps_no_other(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    stuck = objects.root / admission("1.0").path
    for number in range(3):
        record(engine, queue, admission(f"1.{number}"), REFUSED)
        keep(objects, admission(f"1.{number}").path)
    stuck.unlink()
    stuck.mkdir()  # no right to unlink stops root, so that the tests need another obstacle
    purge(engine)
    with pytest.raises(OSError, match=stuck.name):
        removals.finish(engine, objects)
    assert not any((objects.root / admission(f"1.{n}").path).exists() for n in (1, 2))
    stuck.rmdir()
    assert removals.finish(engine, objects) == 1


def test_young_images_stay(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission(), REFUSED)
    assert blocks(engine, Selection(older_than=timedelta(days=4000))) == []


@pytest.mark.parametrize("state", ["queued", "leased", "failed"])
def test_an_open_job_keeps_its_file(engine: sa.Engine, queue: JobQueue, state: str) -> None:
    record(engine, queue, admission("1.2.3.0"), REFUSED)
    enqueue(engine, queue, pipeline="q" * 64)  # a second pipeline for the same image
    if state != "queued":
        claim = claim_one(queue)
        if state == "failed":
            queue.fail(claim, Failed(code="x", message="", retriable=False), 1, 0)
    assert blocks(engine) == ["open_job"]
    assert purge(engine).images == 0


def test_a_shadow_s_dead_letter_keeps_nothing(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission("1.2.3.0"), REFUSED)
    enqueue(engine, queue, pipeline="q" * 64, lane=Lane.SHADOW)
    (claim,) = queue.claim("w", 1, 60, [Lane.SHADOW])
    queue.fail(claim, Failed(code="x", message="", retriable=False), 1, 0)
    assert blocks(engine) == [""]


def test_what_has_no_verdict_stays(engine: sa.Engine, queue: JobQueue) -> None:
    admit(engine, admission())
    assert blocks(engine) == ["no_verdict"]


def test_a_cancelled_job_is_done(engine: sa.Engine, queue: JobQueue) -> None:
    ids = enqueue(engine, queue)
    with engine.begin() as conn:
        queue.cancel(conn, ids)
    assert blocks(engine) == [""]


def test_what_is_not_composed_or_not_sent_stays(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    assert blocks(engine) == ["report_due"]
    deliver(engine, objects, Parked(cause="0122"))
    assert blocks(engine) == ["delivery_due"]


def test_held_results_keep_their_source(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored(), deliver="hold")
    deliver(engine, objects, Delivered(status=0))
    assert blocks(engine) == ["delivery_due"]


def test_database_only_results_are_done(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission(), scored(), deliver="database-only")
    assert blocks(engine) == [""]


def test_both_sources_of_an_undelivered_total_stay(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    for hand in ("left", "right"):
        record(engine, queue, admission(f"1.{hand}"), scored(hands=hand), deliver="database-only")
    (key,) = quiet_studies(engine, 0)
    record_aggregate(engine, key, scored(), destinations=["PACS"])
    assert blocks(engine) == ["report_due", "report_due"]
    deliver(engine, objects, Delivered(status=0))
    assert blocks(engine) == ["", ""]


@pytest.mark.parametrize(("scope", "name"), [("patient", "P1"), ("study", "1.2")])
def test_a_legal_hold_keeps_files_until_it_is_lifted(
    engine: sa.Engine, queue: JobQueue, scope: holds.Scope, name: str
) -> None:
    record(engine, queue, admission(), REFUSED)
    held = holds.add(engine, scope, name, who="dpo", reason="case 7")
    assert blocks(engine) == ["legal_hold"]
    assert purge(engine).images == 0
    assert [h.reason for h in holds.entries(engine)] == ["case 7"]
    assert holds.lift(engine, held, who="dpo", reason="closed")
    assert not holds.lift(engine, held, who="dpo", reason="closed")
    assert blocks(engine) == [""]
    with engine.connect() as conn:
        told = [(e.what, e.why) for e in audit.entries(conn)]
        assert told == [("legal_hold.add", "case 7"), ("legal_hold.lift", "closed")]
        assert not any(name in e.new + e.old for e in audit.entries(conn))


def test_a_study_that_still_gets_images_stays(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission("1.1"), REFUSED)
    enqueue(engine, queue)
    assert blocks(engine) == ["study_open", "open_job"]


def test_an_image_that_comes_again_is_neither_scored_nor_kept(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), REFUSED)
    purge(engine)
    removals.finish(engine, objects)
    keep(objects, admission().path)
    with engine.begin() as conn:
        assert instances.admit(conn, admission()).status == "purged"
    row = instance_row(engine)
    assert row["seen_again_at"] > row["purged_at"] or row["seen_again_at"] is not None
    assert removals.finish(engine, objects) == 1
    assert not (objects.root / admission().path).exists()
    changed = admission(content="other", study_description="x")
    keep(objects, changed.path)
    with engine.begin() as conn:
        assert instances.admit(conn, changed).status == "purged"
    assert removals.finish(engine, objects) == 1
    assert not (objects.root / changed.path).exists()


def test_an_image_that_comes_again_unpurged_keeps_its_file(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), REFUSED)
    changed = admission(content="other", study_description="x")
    with engine.begin() as conn:
        assert instances.admit(conn, admission()).status == "same"
        assert instances.admit(conn, changed).status == "header_changed"
        assert instances.admit(conn, changed).status == "same"
    assert removals.finish(engine, objects) == 0
    assert purge(engine) == retention.Purged(images=1, files=2)


def test_our_own_output_that_comes_back_leaves_no_file(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    deliver(engine, objects, Delivered(status=0))
    with engine.begin() as conn:
        assert instances.admit(conn, admission("2.25.1")).status == "same"
    keep(objects, admission("2.25.1").path)
    assert removals.finish(engine, objects) == 1
    assert not (objects.root / admission("2.25.1").path).exists()


def test_results_go_only_when_asked(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), full(), heatmap_path="objects/bb/h.npz", deliver="send")
    with engine.begin() as conn:
        conn.execute(sa.text("UPDATE outcome SET heatmap_path = NULL"))
    deliver(engine, objects, Delivered(status=0))
    with engine.begin() as conn:
        conn.execute(sa.text("UPDATE outcome SET heatmap_path = 'objects/bb/h.npz'"))
    assert purge(engine, results=True) == retention.Purged(images=1, files=3)


def test_a_file_that_is_two_images_stays_for_the_one_that_is_held(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), REFUSED)
    unreadable = replace(
        admission(), header=None, pixel_sha256="", refused=Refused(reason=Reason.UNREADABLE)
    )
    with engine.begin() as conn:
        assert instances.admit(conn, unreadable).status == "new"
    held = holds.add(engine, "patient", "P1", who="test", reason="court")
    path = admission().path
    keep(objects, path)
    assert purge(engine).images == 1
    assert removals.finish(engine, objects) == 1
    assert (objects.root / path).exists()
    assert holds.lift(engine, held, who="test", reason="closed")
    assert purge(engine).images == 1
    removals.finish(engine, objects)
    assert not (objects.root / path).exists()


def test_heatmaps_that_two_images_share_go_with_the_last_of_them(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    shared, _ = objects.put_bytes(b"the same pixels, in two studies", ".npz")
    for patient in ("P1", "P2"):
        made = admission(f"1.2.{patient[1]}", patient_id=patient)
        record(engine, queue, made, full(), heatmap_path=shared, deliver="database-only")
    for patient, there in (("P1", True), ("P2", False)):
        assert purge(engine, Selection(patient_id=patient), results=True).images == 1
        removals.finish(engine, objects)
        assert objects.open_path(shared).exists() is there


def test_the_audit_names_rows_and_no_patient(engine: sa.Engine, queue: JobQueue) -> None:
    for number in (1, 2, 3, 5):
        record(engine, queue, admission(f"1.{number}", patient_id="MARKER"), REFUSED)
    assert purge(engine, Selection(patient_id="MARKER")).images == 4
    with engine.connect() as conn:
        (entry,) = audit.entries(conn)
        assert audit.verify(conn) == entry.hash
    assert (entry.who, entry.what, entry.why) == ("test", "purge", "age")
    assert entry.new == "4 images, 4 files, instances 1-4"
    assert "MARKER" not in repr(entry)


def test_a_selection_by_patient_and_study(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission("1.1", patient_id="A", study_instance_uid="1"), REFUSED)
    record(engine, queue, admission("1.2", patient_id="B", study_instance_uid="2"), REFUSED)
    assert purge(engine, Selection(patient_id="B")).images == 1
    assert purge(engine, Selection(study_instance_uid="1")).images == 1


def test_every_block_names_its_remedy() -> None:
    assert all(BLOCKS.values())


def test_only_objects_are_removed(objects: ObjectStore) -> None:
    for path in ("ra-daemon.db", "inbox/x.dcm", "objects/../../x", "objects/x"):
        with pytest.raises(ValueError, match="objects"):
            objects.remove([path])
