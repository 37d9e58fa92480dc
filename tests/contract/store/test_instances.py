"""Contract of admission: once by content, conflicts kept, our own outputs never come in."""

from __future__ import annotations

import sqlalchemy as sa

from ra_daemon.domain import Composed, Reason, Refused
from ra_daemon.store import instances, reports, status
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from tests.support.verdicts import admission, record, scored


def _admit(engine: sa.Engine, **kwargs: object) -> instances.AdmitResult:
    with engine.begin() as conn:
        return instances.admit(conn, admission(**kwargs), route="all")  # type: ignore[arg-type]


def _view(engine: sa.Engine, columns: str, view: str = "v1_instances") -> list[tuple[object, ...]]:
    with engine.connect() as conn:
        return [tuple(r) for r in conn.execute(sa.text(f"SELECT {columns} FROM {view} ORDER BY 1"))]


def test_the_same_content_is_admitted_once(engine: sa.Engine) -> None:
    first = _admit(engine)
    assert first.status == "new"
    assert _admit(engine) == instances.AdmitResult(instance_id=first.instance_id, status="same")
    assert status.snapshot(engine)["received"] == 1


def test_other_pixels_under_the_same_uid_are_kept_and_flagged(engine: sa.Engine) -> None:
    first = _admit(engine)
    second = _admit(engine, content="two", pixels="other")
    assert second.status == "conflict"
    assert second.instance_id != first.instance_id
    assert _view(engine, "conflict") == [(1,), (1,)]
    assert _admit(engine).status == "same"


def test_a_changed_header_updates_the_rows_and_scores_nothing_anew(engine: sa.Engine) -> None:
    first = _admit(engine)
    changed = {"content": "two", "patient_id": "P9", "accession_number": "A9"}
    assert _admit(engine, **changed) == instances.AdmitResult(
        instance_id=first.instance_id, status="header_changed"
    )
    assert _view(engine, "patient_id, accession_number") == [("P9", "A9")]
    assert _admit(engine, **changed).status == "same"
    assert _admit(engine).status == "same"
    assert _view(engine, "patient_id") == [("P9",)]


def test_objects_without_pixels_are_never_a_mere_header_change(engine: sa.Engine) -> None:
    _admit(engine, pixels="")
    assert _admit(engine, pixels="", content="two").status == "conflict"


def test_an_unparsable_file_is_refused_visibly(engine: sa.Engine) -> None:
    refused = Refused(reason=Reason.UNREADABLE, detail="Broken.")
    for _ in range(2):
        _admit(engine, parsable=False, refused=refused)
    _admit(engine, uid="9.9", parsable=False, refused=refused)
    rows = _view(engine, "reason_code, reason", "v1_refusals")
    assert rows == [("unreadable", refused.text)] * 2
    snapshot = status.snapshot(engine)
    assert (snapshot["received"], snapshot["refused"], snapshot["unaccounted"]) == (2, 2, 0)


def test_a_refusal_without_a_job_is_written_once(engine: sa.Engine) -> None:
    found = _admit(engine)
    for _ in range(2):
        with engine.begin() as conn:
            instances.refuse(conn, found.instance_id, Refused(reason=Reason.NO_ROUTE))
    assert _view(engine, "reason_code", "v1_refusals") == [("no_route",)]


def test_our_own_objects_do_not_come_in_again(
    engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    claim = record(engine, queue, admission(), scored())
    (task,) = reports.due_reports(engine, objects, 9)
    sr = Composed(kind="sr", sop_class_uid="1", sop_instance_uid="2.25.7", path="x", sha256="0")
    reports.finish_report(engine, task.report_id, [sr], {"PACS": True})
    assert _admit(engine, uid="2.25.7") == instances.AdmitResult(
        instance_id=claim.instance_id, status="same"
    )
    assert status.snapshot(engine)["received"] == 1
