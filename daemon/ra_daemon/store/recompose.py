"""Composed objects whose file is gone or damaged: made again, under the UIDs that they had."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from ra_daemon.domain import OBJECT_FILE, Composed, DeliveryState
from ra_daemon.store.engine import reading
from ra_daemon.store.objects import intact
from ra_daemon.store.tables import delivery, dicom_object, report

DIFFERS = "report_differs"
"""Cause of a report: what was composed again is not what was composed before."""

_LOST = delivery.c.cause.startswith(OBJECT_FILE)
_PARKED = delivery.c.state == DeliveryState.PARKED.value
_REACHED = sa.or_(
    delivery.c.state.in_(
        [s.value for s in (DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.COMMITTED)]
    ),
    delivery.c.was_sending == 1,
    delivery.c.sent_at.is_not(None),
)


BATCH = 500
"""Reports that one statement names."""


def lost(engine: sa.Engine, root: Path, which: Sequence[sa.ColumnElement[bool]]) -> list[int]:
    """Reports of these parked deliveries whose object is still gone or damaged.

    It reads every file, so it is no part of a transaction that writes.

    Args:
        engine: the database.
        root: of the store.
        which: conditions on rows of ``delivery``.
    """
    query = sa.select(dicom_object.c.report_id, dicom_object.c.path).join(
        delivery, delivery.c.object_id == dicom_object.c.id
    )
    with reading(engine) as conn:
        rows = conn.execute(query.where(_PARKED, _LOST, *which).distinct()).all()
    return sorted({row.report_id for row in rows if not _readable(root / row.path)})


def order(
    conn: sa.Connection, reports: Sequence[int], which: Sequence[sa.ColumnElement[bool]]
) -> int:
    """Queue those of the ``lost`` reports that a delivery still waits for.

    Such a delivery stays parked until its report is composed (``heal``): it is never sent, and
    parked again, in between.

    Returns:
        How many reports are due.
    """
    waits = (
        sa.select(dicom_object.c.report_id)
        .join(delivery, delivery.c.object_id == dicom_object.c.id)
        .where(_PARKED, _LOST, *which)
    )
    again = sa.update(report).where(
        report.c.id.in_(waits), report.c.state.in_(["composed", "failed"])
    )
    queued = 0
    for start in range(0, len(reports), BATCH):
        some = again.where(report.c.id.in_(reports[start : start + BATCH]))
        queued += conn.execute(some.values(state="due", cause="")).rowcount
    return queued


def waits() -> sa.ColumnElement[bool]:
    """Whether a delivery was parked for its object, whose report is to be composed again."""
    again = (
        sa.select(dicom_object.c.id)
        .join(report, report.c.id == dicom_object.c.report_id)
        .where(report.c.state == "due")
    )
    return sa.and_(_LOST, delivery.c.object_id.in_(again))


def aside() -> sa.Case[str]:
    """State of a report that cannot be composed: one that has objects stays what it was.

    Their deliveries say what they wait for, and can be given up.
    """
    there = sa.exists().where(dicom_object.c.report_id == report.c.id).correlate(report)
    return sa.case((there, "composed"), else_="failed")


def class_of(conn: sa.Connection, report_id: int) -> str:
    """SOP class UID that a report was composed as before, which is a part of its UID; else ""."""
    query = sa.select(dicom_object.c.sop_class_uid).where(
        dicom_object.c.report_id == report_id, dicom_object.c.kind != "capture"
    )
    return str(conn.execute(query).scalar() or "")


def agrees(conn: sa.Connection, report_id: int, objects: Sequence[Composed]) -> bool:
    """Whether these may take the place of what the report had before, if it had anything.

    One result never has two UIDs, and what a peer may hold never has other bytes elsewhere.
    """
    made = {o.sop_instance_uid: o.sha256 for o in objects}
    before = conn.execute(_before(report_id)).all()
    if before and {row.sop_instance_uid for row in before} != made.keys():
        return False
    changed = [row.id for row in before if row.sha256 != made[row.sop_instance_uid]]
    # Locked: none of them is claimed, with the old path, before the new one is written.
    seen = sa.select(_REACHED).where(delivery.c.object_id.in_(changed)).with_for_update()
    return not any(conn.execute(seen).scalars().all())


def heal(
    conn: sa.Connection, report_id: int, objects: Sequence[Composed], now: datetime
) -> list[str]:
    """Take over the new files, and queue the deliveries that waited for them.

    Returns:
        Paths that the rows named before and name no more.
    """
    left: list[str] = []
    made = {o.sop_instance_uid: o for o in objects}
    for row in conn.execute(_before(report_id)).all():
        one = made[row.sop_instance_uid]
        if row.path != one.path:
            left.append(row.path)
        conn.execute(
            sa.update(dicom_object)
            .where(dicom_object.c.id == row.id)
            .values(path=one.path, sha256=one.sha256)
        )
        conn.execute(
            sa.update(delivery)
            .where(delivery.c.object_id == row.id, _PARKED, _LOST)
            .values(state=DeliveryState.PENDING.value, not_before=now, attempts=0)
        )
    return left


def _before(report_id: int) -> sa.Select[tuple[int, str, str, str]]:
    d = dicom_object.c
    return sa.select(d.id, d.sop_instance_uid, d.sha256, d.path).where(d.report_id == report_id)


def _readable(path: Path) -> bool:
    try:
        return intact(path)
    except OSError:
        return False
