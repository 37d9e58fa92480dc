"""Contract of reconciliation: what does not agree is named with a code and a remedy."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from ra_daemon.domain import Composed, Failed, Lane, Parked, Reason, Refused
from ra_daemon.store import reconcile, removals, reports, retention, status
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.outbox import Outbox
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.retention import Selection
from tests.support.verdicts import ALL_LANES, admission, admit, claim_one, enqueue, record, scored

REFUSED = Refused(reason=Reason.CAST)


def codes(engine: sa.Engine, objects: ObjectStore, hours: float = 0.0) -> dict[str, int]:
    now = datetime.now(UTC) + timedelta(hours=hours)
    found = reconcile.rows(engine, objects, clock=lambda _conn: now)
    assert all(d.remedy for d in found)
    return {d.code: d.number for d in found}


def keep(objects: ObjectStore, path: str, *, old: bool = True) -> None:
    target = objects.root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"x")
    if old:
        os.utime(target, (0, 0))


def test_a_clean_store_has_none(engine: sa.Engine, queue: JobQueue, objects: ObjectStore) -> None:
    record(engine, queue, admission(), REFUSED)
    keep(objects, admission().path)
    assert codes(engine, objects, 9999) == {}
    assert reconcile.files(engine, objects) == []


def test_jobs_that_stand_still(engine: sa.Engine, queue: JobQueue, objects: ObjectStore) -> None:
    enqueue(engine, queue, 3)
    enqueue(engine, queue, 1, lane=Lane.OFF_HOURS, first=7)  # may wait for its window
    claim_one(queue)
    assert codes(engine, objects) == {}
    assert codes(engine, objects, 2) == {"jobs_stuck": 1, "jobs_waiting": 2}
    (second,) = queue.claim("w", 1, 60, ALL_LANES, None)
    queue.fail(second, Failed(code="x", message="", retriable=False), 1, 0)
    assert codes(engine, objects)["jobs_failed"] == 1


def test_reports_and_deliveries_that_wait(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), scored())
    assert codes(engine, objects, 2) == {"reports_waiting": 1}
    (task,) = reports.due_reports(engine, objects, 9)
    made = Composed(kind="sr", sop_class_uid="1", sop_instance_uid="2.25.1", path="p", sha256="")
    reports.finish_report(engine, task.report_id, [made], {"PACS": True})
    assert codes(engine, objects) == {}
    assert codes(engine, objects, 2) == {"deliveries_waiting": 1}
    outbox = Outbox(engine)
    (item,) = outbox.claim_due(1)
    outbox.settle(item, Parked(cause="0122"))
    assert codes(engine, objects) == {"deliveries_parked": 1}


def test_an_image_in_no_state_breaks_the_sum(engine: sa.Engine, objects: ObjectStore) -> None:
    admit(engine, admission())
    assert codes(engine, objects) == {"sums_differ": 1}


def test_what_stays_in_the_inbox(engine: sa.Engine, objects: ObjectStore) -> None:
    keep(objects, "inbox/young.dcm", old=False)
    keep(objects, "inbox/old.dcm")
    (found,) = reconcile.rows(engine, objects)
    assert (found.code, found.number, found.examples) == ("inbox_leftovers", 1, ("old.dcm",))


def test_files_and_rows_are_compared_both_ways(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission("1.1"), REFUSED)
    record(engine, queue, admission("1.2"), REFUSED)
    keep(objects, admission("1.1").path)
    keep(objects, "objects/ff/stray.dcm")
    keep(objects, "objects/ff/young.dcm", old=False)
    gone, stray = reconcile.files(engine, objects)
    assert (gone.code, gone.examples) == ("rows_without_files", ("instance 2",))
    assert (stray.code, stray.examples) == ("files_without_rows", ("stray.dcm",))


def test_purged_files_are_no_discrepancy(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    record(engine, queue, admission(), REFUSED)
    keep(objects, admission().path)
    later = datetime.now(UTC) + timedelta(days=4000)
    retention.purge(engine, Selection(patient_id="P1"), who="t", why="x", clock=lambda _c: later)
    assert reconcile.files(engine, objects) == []  # marked, about to go
    assert codes(engine, objects, 4001 * 24) == {"removals_waiting": 1}
    removals.finish(engine, objects)
    assert reconcile.files(engine, objects) == []
    assert codes(engine, objects, 4001 * 24) == {}
    assert status.snapshot(engine)["purged"] == 1


def test_the_last_comparison_is_kept(objects: ObjectStore) -> None:
    assert reconcile.last(objects.root) == ("", [])
    found = [reconcile.Discrepancy(code="files_without_rows", number=1, examples=("x",))]
    reconcile.save(objects, found)
    at, again = reconcile.last(objects.root)
    assert again == found
    assert datetime.fromisoformat(at).tzinfo is not None
    (objects.root / "run" / "reconcile.json").write_text("{")
    assert reconcile.last(objects.root) == ("", [])


def test_shadow_jobs_are_counted_apart(engine: sa.Engine, queue: JobQueue) -> None:
    record(engine, queue, admission("1.2.3.0"), REFUSED)
    enqueue(engine, queue, lane=Lane.SHADOW, pipeline="q" * 64)
    snapshot = status.snapshot(engine)
    assert (snapshot["queued"], snapshot["shadow_jobs"]) == (0, {"queued": 1})
    assert snapshot["oldest_queued_s"] is None
