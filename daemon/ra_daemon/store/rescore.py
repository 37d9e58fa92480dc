"""Queue images that have a verdict once more, for the pipeline that is in force now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from ra_daemon.domain import Header, Lane, Origin
from ra_daemon.store import audit, instances
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.rows import load_header, origin_of
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
    route_of: Callable[[Origin, Header], str | None],
    who: str,
    study: str | None = None,
    patient: str | None = None,
) -> Rescored:
    """Queue the images of these routes; their new results supersede the old ones when they come.

    An image that was refused takes the route that it would take if it came now. Each batch is one
    transaction with its row of the audit trail.

    Args:
        engine: the database.
        queue: of that database.
        pipelines: route -> (pipeline digest in force, lane).
        route_of: the route for an image by its sender and header, None when none takes it.
        who: for the audit trail.
        study: only this study instance UID.
        patient: only this patient ID.
    """
    refused = _verdict("refused")
    which = _which(pipelines, study, patient)
    done = Rescored(queued=0, known=0, purged=0)
    last = 0
    while True:
        with engine.begin() as conn:
            query = (
                sa.select(instance, refused.label("refused"))
                .where(*which, instance.c.id > last)
                .order_by(instance.c.id)
                .limit(BATCH)
                .with_for_update()  # a purge that runs meanwhile waits, and then sees the job
            )
            rows = conn.execute(query).mappings().all()
            if not rows:
                return done
            queued = known = purged = 0
            for row in rows:
                route = _route(row, route_of)
                if route not in pipelines:
                    continue
                if row["purged_at"] is not None:
                    purged += 1
                elif queue.enqueue(conn, row["id"], *pipelines[route], route) is None:
                    known += 1
                else:
                    instances.set_route(conn, row["id"], route)
                    queued += 1
            if queued:
                told = f"{queued} queued, {known} known, {purged} purged"
                audit.append(conn, who=who, what="jobs.rescore", new=told)
        done = Rescored(
            queued=done.queued + queued, known=done.known + known, purged=done.purged + purged
        )
        last = rows[-1]["id"]


def _which(
    routes: Collection[str], study: str | None, patient: str | None
) -> list[sa.ColumnElement[bool]]:
    of_route = sa.and_(instance.c.route.in_(list(routes)), _verdict("scored", "retracted"))
    which = [instance.c.header.is_not(None), sa.or_(of_route, _verdict("refused"))]
    if study is not None:
        which.append(instance.c.study_instance_uid == study)
    if patient is not None:
        which.append(instance.c.patient_id == patient)
    return which


def _verdict(*kinds: str) -> sa.Exists:
    """Whether the verdict in force is of these kinds."""
    return sa.exists().where(
        outcome.c.instance_id == instance.c.id,
        outcome.c.status == "current",
        outcome.c.role == "active",
        outcome.c.kind.in_(kinds),
    )


def _route(row: sa.RowMapping, route_of: Callable[[Origin, Header], str | None]) -> str:
    found = route_of(origin_of(row), load_header(row["header"])) if row["refused"] else None
    return found or str(row["route"])
