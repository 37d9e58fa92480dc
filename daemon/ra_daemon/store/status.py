"""What ``ra-daemon status`` and the metrics say: every instance is in exactly one place."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from ra_daemon.domain import DeliveryState, JobState, Lane
from ra_daemon.store.clock import database_now
from ra_daemon.store.engine import reading
from ra_daemon.store.tables import delivery, instance, job, outcome, report

_ACTIVE = job.c.lane != int(Lane.SHADOW)
_PENDING = (DeliveryState.PENDING, DeliveryState.SENDING)


def snapshot(engine: sa.Engine) -> dict[str, Any]:
    """Counts of one moment.

    ``received`` instances are each ``queued``, ``leased``, ``scored``, ``refused``, ``retracted``,
    ``failed`` or ``cancelled``; ``unaccounted`` is what is left and must be 0. Jobs of a shadow
    model are counted apart. ``delivered`` counts objects that
    a peer took (SENT or COMMITTED), ``pending_delivery`` those on their way, and ``due_reports``
    results whose objects are not composed yet.
    """
    with reading(engine) as conn:
        jobs = _by(conn, job.c.state, _ACTIVE)
        shadows = _by(conn, job.c.state, ~_ACTIVE)
        deliveries = _by(conn, delivery.c.state)
        verdicts = _verdicts(conn)
        reports = _by(conn, report.c.state)
        received = conn.execute(sa.select(sa.func.count()).select_from(instance)).scalar_one()
        conflicts = conn.execute(
            sa.select(sa.func.count()).select_from(instance).where(instance.c.conflict == 1)
        ).scalar_one()
        purged = conn.execute(
            sa.select(sa.func.count()).where(instance.c.purged_at.is_not(None))
        ).scalar_one()
        open_jobs = _without_verdict(conn)
        oldest = conn.execute(
            sa.select(sa.func.min(job.c.created_at)).where(
                job.c.state == JobState.QUEUED.value, _ACTIVE
            )
        ).scalar()
        now = database_now(conn)
    committed = deliveries.get(DeliveryState.COMMITTED.value, 0)
    scored, refused = verdicts.get("scored", 0), verdicts.get("refused", 0)
    retracted = verdicts.get("retracted", 0)
    return {
        "received": received,
        "queued": jobs.get(JobState.QUEUED.value, 0),
        "leased": jobs.get(JobState.LEASED.value, 0),
        "scored": scored,
        "refused": refused,
        "retracted": retracted,
        "failed": jobs.get(JobState.FAILED.value, 0),
        "cancelled": jobs.get(JobState.CANCELLED.value, 0),
        "delivered": deliveries.get(DeliveryState.SENT.value, 0) + committed,
        "committed": committed,
        "pending_delivery": sum(deliveries.get(s.value, 0) for s in _PENDING),
        "held": deliveries.get(DeliveryState.HELD.value, 0),
        "parked": deliveries.get(DeliveryState.PARKED.value, 0),
        "due_reports": reports.get("due", 0),
        "failed_reports": reports.get("failed", 0),
        "aggregates": verdicts.get("aggregate", 0),
        "conflicts": conflicts,
        "purged": purged,
        "shadow_jobs": dict(sorted(shadows.items())),
        "unaccounted": received - scored - refused - retracted - open_jobs,
        "oldest_queued_s": None if oldest is None else (now - oldest).total_seconds(),
        "at": now.isoformat(),
    }


def refusal_counts(engine: sa.Engine) -> dict[str, int]:
    """Current refusals by reason code."""
    query = sa.text(
        "SELECT reason_code, COUNT(*) FROM v1_refusals WHERE status = 'current' "
        "AND role = 'active' GROUP BY reason_code ORDER BY reason_code"
    )
    with reading(engine) as conn:
        return {str(code): int(number) for code, number in conn.execute(query)}


def _by(
    conn: sa.Connection, column: sa.Column[Any], *which: sa.ColumnElement[bool]
) -> dict[str, int]:
    query = sa.select(column, sa.func.count()).where(*which).group_by(column)
    return {str(name): int(number) for name, number in conn.execute(query)}


def _verdicts(conn: sa.Connection) -> dict[str, int]:
    """Instances by the kind of their current verdict (aggregates apart)."""
    query = (
        sa.select(outcome.c.kind, sa.func.count(sa.distinct(outcome.c.instance_id)))
        .where(outcome.c.status == "current", outcome.c.role == "active")
        .group_by(outcome.c.kind)
    )
    return {str(kind): int(number) for kind, number in conn.execute(query)}


def _without_verdict(conn: sa.Connection) -> int:
    """Instances that have a job and no current verdict."""
    judged = sa.exists().where(
        outcome.c.instance_id == job.c.instance_id,
        outcome.c.status == "current",
        outcome.c.role == "active",
        outcome.c.kind.in_(["scored", "refused", "retracted"]),
    )
    query = sa.select(sa.func.count(sa.distinct(job.c.instance_id))).where(_ACTIVE, ~judged)
    return int(conn.execute(query).scalar_one())
