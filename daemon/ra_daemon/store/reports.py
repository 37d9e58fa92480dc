"""What must be composed, from durable rows and files alone; and what was composed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from ra_daemon import log
from ra_daemon.domain import Composed, DeliveryState, Header, Reason, Refused, Scored
from ra_daemon.errors import FindingsDamagedError, StoreError
from ra_daemon.store import findings, recompose, removals
from ra_daemon.store.clock import database_now
from ra_daemon.store.engine import insert_new, reading
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.outbox import DEMONSTRATION_NOT_ALLOWED
from ra_daemon.store.outcomes import TOTALS
from ra_daemon.store.rows import load_header
from ra_daemon.store.tables import (
    delivery,
    dicom_object,
    instance,
    outcome,
    outcome_source,
    report,
)

_log = log.get(__name__)
Kind = Literal["scored", "refused", "aggregate", "retracted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """The report that another one replaces; ``kind`` as in ``domain.Composed``."""

    sop_instance_uid: str
    sop_class_uid: str
    kind: str
    demonstration: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTask:
    """All that a report is composed from.

    Attributes:
        paths: of the source files, relative to the store's root; two for an aggregate, in the
            order of its views: the left hand, then the right one.
        dataset_sha256s: their digests, in the same order.
        header: of the (later) source; None when it could not be parsed.
        scored: with its heatmaps; None for a refusal.
        created_at: UTC; every date and time in the objects comes from it.
        predecessor: the report that this one replaces.
        retracted: why the predecessor's result must not be used; None but for a retraction, whose
            only path is then the predecessor's own file.
        sop_class_uid: that the report had when it was composed before; "" the first time.
    """

    report_id: int
    outcome_id: int
    kind: Kind
    paths: tuple[str, ...]
    dataset_sha256s: tuple[str, ...]
    header: Header | None
    scored: Scored | None
    refused: Refused | None
    created_at: datetime
    pipeline_digest: str
    destinations: tuple[str, ...]
    deliver: str
    demonstration: bool
    predecessor: Predecessor | None
    retracted: str | None = None
    sop_class_uid: str = ""


def add(
    conn: sa.Connection,
    outcome_id: int,
    kind: Kind,
    destinations: Sequence[str],
    deliver: str,
    now: datetime,
) -> int | None:
    """Queue a report in the caller's transaction; None for ``database-only``, or when there."""
    if deliver == "database-only":
        return None
    values = {
        "outcome_id": outcome_id,
        "kind": kind,
        "state": "due",
        "deliver": deliver,
        "destinations": json.dumps(list(destinations)),
        "created_at": now,
    }
    return insert_new(conn, report, values)


def due_reports(engine: sa.Engine, objects: ObjectStore, limit: int) -> list[ReportTask]:
    """The oldest reports that wait to be composed, heatmaps loaded.

    A report whose findings or heatmaps are gone or damaged is marked failed, told and left out.
    """
    query = (
        sa.select(
            report,
            *(c.label(f"o_{c.name}") for c in outcome.c),
            instance.c.header,
            instance.c.study_instance_uid,
        )
        .join(outcome, outcome.c.id == report.c.outcome_id)
        .join(instance, instance.c.id == outcome.c.instance_id)
        .where(report.c.state == "due")
        .order_by(report.c.id)
        .limit(limit)
    )
    tasks: list[ReportTask] = []
    broken: list[int] = []
    with reading(engine) as conn:
        for row in conn.execute(query).mappings().all():
            try:
                task = _task(conn, objects, row)
                tasks.append(replace(task, sop_class_uid=recompose.class_of(conn, row["id"])))
            except (OSError, ValueError, KeyError, TypeError):
                broken.append(row["id"])
    lost = FindingsDamagedError
    for report_id in broken:
        _log.error("report.failed", report=report_id, code=lost.code, hint=lost.hint)
        fail_report(engine, report_id, lost.code)
    return tasks


def finish_report(
    engine: sa.Engine, report_id: int, objects: Sequence[Composed], allowed: Mapping[str, bool]
) -> None:
    """``finish_reports`` of one."""
    finish_reports(engine, {report_id: objects}, allowed)


def finish_reports(
    engine: sa.Engine, made: Mapping[int, Sequence[Composed]], allowed: Mapping[str, bool]
) -> list[int]:
    """Write the objects of reports and one delivery for each destination; idempotent.

    Args:
        engine: the database.
        made: report_id of a ``ReportTask`` -> objects, already durable in the object store. All
            go in with one transaction.
        allowed: destination -> whether it takes results of a demonstration model; those that do
            not (or are not named) get parked deliveries, so that a person sees them.

    Returns:
        Reports that were put aside: composed again, they are not what they were before.

    Raises:
        StoreError: no such report.
    """
    with engine.begin() as conn:
        now = database_now(conn)
        return [i for i, objects in made.items() if not _finish(conn, i, objects, allowed, now)]


def _finish(
    conn: sa.Connection,
    report_id: int,
    objects: Sequence[Composed],
    allowed: Mapping[str, bool],
    now: datetime,
) -> bool:
    row = conn.execute(_finishing(report_id)).mappings().one_or_none()
    if row is None:
        raise StoreError(f"No report {report_id}.")
    open_one = [report.c.id == report_id, report.c.state.in_(["due", "failed"])]
    if not recompose.agrees(conn, report_id, objects):
        marked = _mark(conn, open_one, recompose.aside(), recompose.DIFFERS)
        removals.add_orphans(conn, row["instance_id"], [o.path for o in objects], now)
        return not marked
    finished = sa.update(report).where(*open_one)
    changed = conn.execute(finished.values(state="composed", cause="", finished_at=now)).rowcount
    if changed != 1:  # it was cancelled while it was composed, or this is a repetition
        removals.add_orphans(conn, row["instance_id"], [o.path for o in objects], now)
        return True
    left = recompose.heal(conn, report_id, objects, now)
    removals.withdraw(conn, [o.path for o in objects])
    removals.add_orphans(conn, row["instance_id"], left, now)
    for composed in objects:
        object_id = _add_object(conn, row, composed, now)
        for destination in dict.fromkeys(json.loads(row["destinations"])):  # may name one twice
            takes = not row["demonstration"] or allowed.get(destination, False)
            _add_delivery(conn, object_id, destination, row["deliver"], now, takes=takes)
    return True


def fail_report(engine: sa.Engine, report_id: int, cause: str) -> None:
    """Put a report that cannot be composed aside, with its cause (a code, no patient data)."""
    with engine.begin() as conn:
        due = [report.c.id == report_id, report.c.state == "due"]
        _mark(conn, due, recompose.aside(), cause)


def retry_reports(conn: sa.Connection, cause: str | None = None) -> int:
    """Queue failed reports again, all or by cause, in the caller's transaction."""
    which = [report.c.state == "failed"]
    if cause is not None:
        which.append(report.c.cause == cause)
    return _mark(conn, which, "due", "")


_PREDECESSOR = (
    dicom_object.c.sop_instance_uid,
    dicom_object.c.sop_class_uid,
    dicom_object.c.kind,
    outcome.c.demonstration,
)


def _mark(
    conn: sa.Connection,
    which: Sequence[sa.ColumnElement[bool]],
    state: str | sa.Case[str],
    cause: str,
) -> int:
    return conn.execute(sa.update(report).where(*which).values(state=state, cause=cause)).rowcount


def _task(conn: sa.Connection, objects: ObjectStore, row: sa.RowMapping) -> ReportTask:
    scored: Scored | None = None
    refused: Refused | None = None
    if row["kind"] == "retracted":
        return _retraction(conn, row)
    if row["kind"] == "refused":
        fields = json.loads(row["o_findings"])
        refused = Refused(reason=Reason(fields["reason"]), detail=fields["detail"])
    else:
        path = row["o_heatmap_path"]
        maps = findings.load_heatmaps(objects.read_intact(path)) if path else []
        scored = findings.load_scored(row["o_findings"], maps)
    sources = _sources(conn, row)
    return ReportTask(
        report_id=row["id"],
        outcome_id=row["outcome_id"],
        kind=row["kind"],
        paths=tuple(path for path, _ in sources),
        dataset_sha256s=tuple(digest for _, digest in sources),
        header=load_header(row["header"]) if row["header"] else None,
        scored=scored,
        refused=refused,
        created_at=row["created_at"],
        pipeline_digest=row["o_pipeline_digest"],
        destinations=tuple(json.loads(row["destinations"])),
        deliver=row["deliver"],
        demonstration=bool(row["o_demonstration"]),
        predecessor=_predecessor(conn, row),
    )


def _retraction(conn: sa.Connection, row: sa.RowMapping) -> ReportTask:
    """Composed from the retracted report alone: its image may be purged."""
    retracts = json.loads(row["o_findings"])["retracts"]
    columns = [dicom_object.c.path, outcome.c.retract_reason, *_PREDECESSOR]
    query = (
        sa.select(*columns)
        .join(outcome, outcome.c.id == dicom_object.c.outcome_id)
        .where(dicom_object.c.outcome_id == retracts, dicom_object.c.kind == "sr")
    )
    found = conn.execute(query).mappings().one_or_none()
    if found is None:
        raise ValueError("The retracted result has no report.")
    predecessor = _as_predecessor(found)
    return ReportTask(
        report_id=row["id"],
        outcome_id=row["outcome_id"],
        kind="retracted",
        paths=(found["path"],),
        dataset_sha256s=(),
        header=load_header(row["header"]) if row["header"] else None,
        scored=None,
        refused=None,
        created_at=row["created_at"],
        pipeline_digest=row["o_pipeline_digest"],
        destinations=tuple(json.loads(row["destinations"])),
        deliver=row["deliver"],
        demonstration=False,
        predecessor=predecessor,
        retracted=found["retract_reason"],
    )


def _sources(conn: sa.Connection, row: sa.RowMapping) -> list[tuple[str, str]]:
    query = sa.select(instance.c.path, instance.c.dataset_sha256)
    if row["kind"] == "aggregate":
        query = (
            query.join(outcome, outcome.c.instance_id == instance.c.id)
            .join(outcome_source, outcome_source.c.source_id == outcome.c.id)
            .where(outcome_source.c.outcome_id == row["outcome_id"])
            .order_by(outcome.c.hands)  # "left" before "right"
        )
    else:
        query = query.where(instance.c.id == row["o_instance_id"])
    return [(str(path), str(digest)) for path, digest in conn.execute(query)]


def _predecessor(conn: sa.Connection, row: sa.RowMapping) -> Predecessor | None:
    """The last report about the same thing before this outcome."""
    aggregate = row["kind"] == "aggregate"
    same = (
        instance.c.study_instance_uid == row["study_instance_uid"]
        if aggregate
        else outcome.c.instance_id == row["o_instance_id"]
    )
    kind = outcome.c.kind.in_(TOTALS) if aggregate else outcome.c.kind.not_in(TOTALS)
    query = (
        sa.select(*_PREDECESSOR)
        .join(outcome, outcome.c.id == dicom_object.c.outcome_id)
        .join(instance, instance.c.id == outcome.c.instance_id)
        .where(
            same,
            kind,
            outcome.c.status == "superseded",
            outcome.c.id < row["outcome_id"],
            dicom_object.c.kind != "capture",
        )
        .order_by(outcome.c.id.desc(), dicom_object.c.id)
        .limit(1)
    )
    found = conn.execute(query).mappings().first()
    return None if found is None else _as_predecessor(found)


def _as_predecessor(found: sa.RowMapping) -> Predecessor:
    return Predecessor(
        sop_instance_uid=found["sop_instance_uid"],
        sop_class_uid=found["sop_class_uid"],
        kind=found["kind"],
        demonstration=bool(found["demonstration"]),
    )


def _finishing(report_id: int) -> sa.Select[Any]:
    return (
        sa.select(
            report,
            outcome.c.demonstration,
            outcome.c.kind,
            outcome.c.instance_id,
            instance.c.study_instance_uid,
        )
        .join(outcome, outcome.c.id == report.c.outcome_id)
        .join(instance, instance.c.id == outcome.c.instance_id)
        .where(report.c.id == report_id)
    )


def _add_object(conn: sa.Connection, row: sa.RowMapping, composed: Composed, now: datetime) -> int:
    uid = composed.sop_instance_uid
    values = {
        "report_id": row["id"],
        "outcome_id": row["outcome_id"],
        "kind": composed.kind,
        "sop_class_uid": composed.sop_class_uid,
        "sop_instance_uid": uid,
        "study_instance_uid": row["study_instance_uid"],
        "path": composed.path,
        "sha256": composed.sha256,
        "created_at": now,
    }
    object_id = insert_new(conn, dicom_object, values)
    if object_id is not None:
        return object_id
    # The same UID means the same bytes: keep the object that is there.
    query = sa.select(dicom_object.c.id).where(dicom_object.c.sop_instance_uid == uid)
    return int(conn.execute(query).scalar_one())


def _add_delivery(
    conn: sa.Connection,
    object_id: int,
    destination: str,
    deliver: str,
    now: datetime,
    *,
    takes: bool,
) -> None:
    state = DeliveryState.HELD if deliver == "hold" else DeliveryState.PENDING
    insert_new(
        conn,
        delivery,
        {
            "object_id": object_id,
            "destination": destination,
            "state": (state if takes else DeliveryState.PARKED).value,
            "cause": "" if takes else DEMONSTRATION_NOT_ALLOWED,
            "not_before": now,
            "created_at": now,
        },
    )
