"""Jobs as values: a claim for the worker, a row for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ra_daemon.domain import Claim, JobState, Lane
from ra_daemon.store.rows import load_header, origin_of
from ra_daemon.store.tables import instance, job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job as ``ra-daemon jobs`` shows it; ``attempts`` charged, ``lost_leases`` not."""

    job_id: int
    instance_id: int
    sop_instance_uid: str
    accession_number: str
    state: JobState
    lane: Lane
    route: str
    pipeline_digest: str
    attempts: int
    lost_leases: int
    cause: str
    message: str
    blame: str
    owner: str
    created_at: datetime
    not_before: datetime
    lease_until: datetime | None
    finished_at: datetime | None


def joined() -> sa.Select[tuple[object, ...]]:
    """Every job with its instance's columns."""
    columns = [c for c in instance.c if c.name not in ("id", "route")]
    return sa.select(*job.c, *columns).join(instance, instance.c.id == job.c.instance_id)


def claims_of(conn: sa.Connection, job_ids: Sequence[int]) -> list[Claim]:
    """Leased jobs as claims, in the order of service."""
    if not job_ids:
        return []
    query = joined().where(job.c.id.in_(job_ids)).order_by(job.c.lane, job.c.not_before, job.c.id)
    return [
        Claim(
            job_id=row["id"],
            instance_id=row["instance_id"],
            token=row["token"],
            attempt=row["attempts"] + 1,
            lane=Lane(row["lane"]),
            lease_until=row["lease_until"],
            path=row["path"],
            dataset_sha256=row["dataset_sha256"],
            origin=origin_of(row),
            header=load_header(row["header"]),
            route=row["route"],
            pipeline_digest=row["pipeline_digest"],
        )
        for row in conn.execute(query).mappings()
    ]


def job_row(row: sa.RowMapping) -> JobRow:
    """A row of ``joined`` as a value."""
    return JobRow(
        job_id=row["id"],
        instance_id=row["instance_id"],
        sop_instance_uid=row["sop_instance_uid"],
        accession_number=row["accession_number"],
        state=JobState(row["state"]),
        lane=Lane(row["lane"]),
        route=row["route"],
        pipeline_digest=row["pipeline_digest"],
        attempts=row["attempts"],
        lost_leases=row["lost_leases"],
        cause=row["cause"],
        message=row["message"],
        blame=row["blame"],
        owner=row["owner"],
        created_at=row["created_at"],
        not_before=row["not_before"],
        lease_until=row["lease_until"],
        finished_at=row["finished_at"],
    )
