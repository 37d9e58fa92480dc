"""Queue images that have a verdict once more, for the pipeline that is in force now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from ra_daemon.domain import Lane
from ra_daemon.store import audit
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.tables import instance, outcome

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescored:
    """Images queued, known (this pipeline has judged them or will) and purged (no pixels left)."""

    queued: int
    known: int
    purged: int


def rescore(
    engine: sa.Engine,
    queue: JobQueue,
    pipelines: Mapping[str, tuple[str, Lane]],
    *,
    who: str,
    study: str | None = None,
    patient: str | None = None,
) -> Rescored:
    """Queue the images of these routes; their new results supersede the old ones when they come.

    Args:
        engine: the database.
        queue: of that database.
        pipelines: route -> (pipeline digest in force, lane).
        who: for the audit trail.
        study: only this study instance UID.
        patient: only this patient ID.
    """
    which = [
        instance.c.route.in_(list(pipelines)),
        instance.c.header.is_not(None),
        sa.exists().where(
            outcome.c.instance_id == instance.c.id,
            outcome.c.status == "current",
            outcome.c.role == "active",
            outcome.c.kind.in_(["scored", "refused", "retracted"]),
        ),
    ]
    if study is not None:
        which.append(instance.c.study_instance_uid == study)
    if patient is not None:
        which.append(instance.c.patient_id == patient)
    queued = known = purged = last = 0
    while True:
        with engine.begin() as conn:
            query = (
                sa.select(instance.c.id, instance.c.route, instance.c.purged_at)
                .where(*which, instance.c.id > last)
                .order_by(instance.c.id)
                .limit(BATCH)
                .with_for_update()  # a purge that runs meanwhile waits, and then sees the job
            )
            rows = conn.execute(query).all()
            if not rows:
                told = f"{queued} queued, {known} known, {purged} purged"
                audit.append(conn, who=who, what="jobs.rescore", new=told)
                return Rescored(queued=queued, known=known, purged=purged)
            for instance_id, route, purged_at in rows:
                digest, lane = pipelines[route]
                if purged_at is not None:
                    purged += 1
                elif queue.enqueue(conn, instance_id, digest, lane, route) is None:
                    known += 1
                else:
                    queued += 1
            last = rows[-1][0]
