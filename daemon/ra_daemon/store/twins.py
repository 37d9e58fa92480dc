"""Which other objects of a study show the same exposure, and whether one of them is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from ra_daemon.domain import Claim, Header, JobState, Lane
from ra_daemon.exposures import rank, same_exposure
from ra_daemon.store.rows import load_header
from ra_daemon.store.tables import instance, job, outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """Another object of the same exposure.

    ``lane`` is that of its open job, None when it has none; ``better``: it goes before ours.
    """

    header: Header
    route: str
    scored: bool
    lane: Lane | None
    better: bool


def twins(conn: sa.Connection, claims: Sequence[Claim]) -> dict[int, list[Twin]]:
    """Job id -> twins of its image, best first; images without twins are left out."""
    studies = sorted({c.header.study_instance_uid for c in claims if c.header.study_instance_uid})
    if not studies:
        return {}
    groups: dict[str, list[sa.RowMapping]] = {}
    for row in conn.execute(_in_studies(studies)).mappings():
        groups.setdefault(row["study_instance_uid"], []).append(row)
    found: dict[int, list[Twin]] = {}
    for claim in claims:
        others = groups.get(claim.header.study_instance_uid, [])
        if len(others) > 1 and (mine := _twins(claim, others)):
            found[claim.job_id] = mine
    return found


def scored_twin(conn: sa.Connection, claim: Claim) -> str | None:
    """SOP instance UID of a twin that has a score already; locks the study's rows until commit.

    Call in the transaction that would write this image's score: two that race cannot both pass.
    """
    if not claim.header.study_instance_uid:
        return None
    rows = instance.c.study_instance_uid == claim.header.study_instance_uid
    lock = sa.select(instance.c.id).where(rows).order_by(instance.c.id).with_for_update()
    if len(conn.execute(lock).all()) < 2:
        return None
    mine = twins(conn, [claim]).get(claim.job_id, [])
    return next((t.header.sop_instance_uid for t in mine if t.scored), None)


def _twins(claim: Claim, rows: Sequence[sa.RowMapping]) -> list[Twin]:
    pixels = next((r["pixel_sha256"] for r in rows if r["id"] == claim.instance_id), "")
    found = []
    for row in rows:
        if row["id"] == claim.instance_id:
            continue
        header = load_header(row["header"])
        if header.sop_instance_uid == claim.header.sop_instance_uid:
            continue  # two contents of one UID are a conflict, not twins
        if same_exposure(claim.header, pixels, header, row["pixel_sha256"]):
            lane = None if row["lane"] is None else Lane(row["lane"])
            twin = Twin(
                header=header,
                route=row["route"],
                scored=bool(row["scored"]),
                lane=lane,
                better=rank(header) < rank(claim.header),
            )
            found.append(twin)
    return sorted(found, key=lambda t: rank(t.header))


def _in_studies(studies: Sequence[str]) -> sa.Select[tuple[object, ...]]:
    scored = (
        sa.select(sa.func.count())
        .where(
            outcome.c.instance_id == instance.c.id,
            outcome.c.kind == "scored",
            outcome.c.status == "current",
            outcome.c.role == "active",
        )
        .scalar_subquery()
    )
    lane = (
        sa.select(sa.func.min(job.c.lane))
        .where(
            job.c.instance_id == instance.c.id,
            job.c.state.in_([JobState.QUEUED.value, JobState.LEASED.value]),
        )
        .scalar_subquery()
    )
    return (
        sa.select(
            instance.c.id,
            instance.c.study_instance_uid,
            instance.c.pixel_sha256,
            instance.c.header,
            instance.c.route,
            scored.label("scored"),
            lane.label("lane"),
        )
        .where(instance.c.study_instance_uid.in_(list(studies)), instance.c.header.is_not(None))
        .order_by(instance.c.id)
    )
