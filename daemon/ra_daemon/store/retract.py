"""Retract a result that must not be used: it stays, marked; whoever got it gets told.

Totals made of a retracted hand are retracted with it. Objects that were not sent are not sent any
more; where one was, or may have been, sent, a retraction that names it follows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ra_daemon.domain import DeliveryState
from ra_daemon.errors import StoreError
from ra_daemon.store import audit, reports
from ra_daemon.store.clock import database_now
from ra_daemon.store.engine import insert_new, reading
from ra_daemon.store.tables import (
    delivery,
    dicom_object,
    instance,
    outcome,
    outcome_source,
    report,
)

_REACHED = (DeliveryState.SENT.value, DeliveryState.COMMITTED.value, DeliveryState.SENDING.value)
_WAITING = (DeliveryState.PENDING.value, DeliveryState.HELD.value, DeliveryState.PARKED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retracted:
    """One result that was retracted, and the peers that are told."""

    outcome_id: int
    kind: str
    destinations: tuple[str, ...]


def find(engine: sa.Engine, name: str) -> list[int]:
    """Current results by their number, or by the UID of their image, report or capture."""
    by_object = sa.select(dicom_object.c.outcome_id).where(dicom_object.c.sop_instance_uid == name)
    by_image = (
        sa.select(outcome.c.id)
        .join(instance, instance.c.id == outcome.c.instance_id)
        .where(instance.c.sop_instance_uid == name, outcome.c.kind == "scored")
    )
    named: list[sa.ColumnElement[bool]] = [outcome.c.id.in_(by_object), outcome.c.id.in_(by_image)]
    if name.isdecimal() and len(name) < 19:
        named.append(outcome.c.id == int(name))
    query = sa.select(outcome.c.id).where(
        sa.or_(*named),
        outcome.c.kind.in_(["scored", "aggregate"]),
        outcome.c.status == "current",
        outcome.c.role == "active",
    )
    with reading(engine) as conn:
        return list(conn.execute(query.order_by(outcome.c.id)).scalars())


def retract(engine: sa.Engine, outcome_id: int, *, who: str, reason: str) -> list[Retracted]:
    """Retract one current result, and the totals made of it; all or nothing.

    Raises:
        StoreError: it is no current result (any more).
    """
    with engine.begin() as conn:
        now = database_now(conn)
        totals = (
            sa.select(outcome_source.c.outcome_id)
            .join(outcome, outcome.c.id == outcome_source.c.outcome_id)
            .where(outcome_source.c.source_id == outcome_id, outcome.c.status == "current")
            .order_by(outcome_source.c.outcome_id)
        )
        made_of_it = list(conn.execute(totals).scalars())
        done = [_one(conn, i, reason, now) for i in (outcome_id, *made_of_it)]
        told = ", ".join(f"result {d.outcome_id} ({d.kind})" for d in done)
        audit.append(conn, who=who, what="retract", old="current", new=told, why=reason)
    return done


def _one(conn: sa.Connection, outcome_id: int, reason: str, now: datetime) -> Retracted:
    query = sa.select(outcome).where(outcome.c.id == outcome_id).with_for_update()
    row = conn.execute(query).mappings().one_or_none()
    if (
        row is None
        or row["kind"] not in ("scored", "aggregate")
        or (row["status"], row["role"]) != ("current", "active")
    ):
        raise StoreError(
            f"Result {outcome_id} is no current result.",
            hint="ra-daemon trace UID shows the results of an image and what became of them.",
        )
    conn.execute(
        sa.update(outcome)
        .where(outcome.c.id == outcome_id)
        .values(status="retracted", retracted_at=now, retract_reason=reason)
    )
    reached = _stop(conn, outcome_id)
    successor = _successor(conn, row, now)
    conn.execute(
        sa.update(outcome).where(outcome.c.id == outcome_id).values(superseded_by=successor)
    )
    if reached:
        reports.add(conn, successor, "retracted", reached, "send", now)
    return Retracted(outcome_id=outcome_id, kind=row["kind"], destinations=tuple(reached))


def _stop(conn: sa.Connection, outcome_id: int) -> Sequence[str]:
    """Stop what was not sent; the peers that got, or may have got, one of the objects."""
    conn.execute(
        sa.update(report)
        .where(report.c.outcome_id == outcome_id, report.c.state.in_(["due", "failed"]))
        .values(state="cancelled", cause="retracted")
    )
    of_it = delivery.c.object_id.in_(
        sa.select(dicom_object.c.id).where(dicom_object.c.outcome_id == outcome_id)
    )
    conn.execute(
        sa.update(delivery)
        .where(of_it, delivery.c.state.in_(_WAITING))
        .values(state=DeliveryState.SKIPPED.value, cause="retracted")
    )
    # Sent once and then lost, parked or given up: somebody there may have read it.
    maybe = sa.or_(
        delivery.c.state.in_(_REACHED), delivery.c.was_sending == 1, delivery.c.sent_at.is_not(None)
    )
    query = sa.select(delivery.c.destination).where(of_it, maybe).distinct()
    return sorted(conn.execute(query).scalars())


def _successor(conn: sa.Connection, row: sa.RowMapping, now: datetime) -> int:
    """The verdict that stands in its place, so that the image is still accounted for."""
    # Not marked as a demonstration: its report tells no score, and must reach whoever got one,
    # also when the peer takes no results of demonstration models any more.
    values = {
        "instance_id": row["instance_id"],
        "source_key": f"retraction:{row['id']}",
        "created_at": now,
        "job_id": row["job_id"],
        "pipeline_digest": row["pipeline_digest"],
        "kind": "retracted" if row["kind"] == "scored" else "retracted_total",
        "hands": row["hands"],
        "findings": json.dumps({"retracts": row["id"]}),
    }
    number = insert_new(conn, outcome, values)
    if number is None:
        raise StoreError(f"Result {row['id']} was retracted before.")
    return number
