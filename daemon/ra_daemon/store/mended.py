"""An image whose file was gone or damaged and came again: what that held up, or spoilt, goes on.

Nothing is scored of a file that is not what was received (``steps.decode``), but a verdict may be
older than that rule. So one that nothing bears out is not trusted once its file had to be mended:
it is judged again, and the report that it still lacks is never written of it. A verdict whose
report was composed stands: the composer compares the file as well, so it was whole after it was
scored; and to judge that one again would be a second answer under the UID that a peer holds.
"""

from __future__ import annotations

import sqlalchemy as sa

from ra_daemon.domain import JobState
from ra_daemon.errors import FileDamagedError, FindingsDamagedError
from ra_daemon.store.tables import dicom_object, instance, job, outcome, outcome_source, report

_OPEN = ("due", "failed")
_LOST = (FileDamagedError.code, FindingsDamagedError.code)


def waits(conn: sa.Connection, instance_id: int) -> bool:
    """Whether a job or a report of the image failed because of its file, or of its heatmaps'.

    Rows tell it also where a node ended between the mending of the file and its commit.
    """
    jobs = sa.select(job.c.id).where(
        job.c.instance_id == instance_id,
        job.c.cause == FileDamagedError.code,
        job.c.state == JobState.FAILED.value,
    )
    return any(conn.execute(q.limit(1)).first() for q in (jobs, _failed(instance_id)))


def route_of(conn: sa.Connection, instance_id: int, path: str) -> str | None:
    """Name of the image's route; None where it is not judged by this file but another header's."""
    row = sa.select(instance.c.route).where(instance.c.id == instance_id, instance.c.path == path)
    found = conn.execute(row).scalar()
    return None if found is None else str(found)


def doubtful(conn: sa.Connection, instance_id: int) -> bool:
    """Whether the pixels of a damaged file may have decided the verdict in force."""
    own = _verdict(instance_id)
    bearing = sa.select(dicom_object.c.id).where(
        sa.or_(dicom_object.c.outcome_id.in_(own), dicom_object.c.outcome_id.in_(_made_of(own)))
    )
    return conn.execute(own).first() is not None and conn.execute(bearing.limit(1)).first() is None


def drop_reports(conn: sa.Connection, instance_id: int) -> None:
    """Cancel what is not composed of the verdict in force, and of totals that it is a part of."""
    own = _verdict(instance_id)
    conn.execute(
        sa.update(report)
        .where(
            sa.or_(report.c.outcome_id.in_(own), report.c.outcome_id.in_(_made_of(own))),
            report.c.state.in_(_OPEN),
        )
        .values(state="cancelled", cause="file_mended")
    )


def retry_reports(conn: sa.Connection, instance_id: int) -> int:
    """Queue the reports that failed because of the file; how many."""
    again = sa.update(report).where(report.c.id.in_(_failed(instance_id)))
    return conn.execute(again.values(state="due", cause="")).rowcount


def _failed(instance_id: int) -> sa.Select[tuple[int]]:
    own = sa.select(outcome.c.id).where(outcome.c.instance_id == instance_id)
    current = sa.select(outcome.c.id).where(
        sa.or_(outcome.c.id.in_(own), outcome.c.id.in_(_made_of(own))),
        outcome.c.status == "current",
    )
    return sa.select(report.c.id).where(
        report.c.outcome_id.in_(current),
        report.c.state.in_(["failed", "composed"]),  # the second was to be composed once more
        report.c.cause.in_(_LOST),
    )


def _verdict(instance_id: int) -> sa.Select[tuple[int]]:
    """The score or refusal by a job that is in force."""
    return sa.select(outcome.c.id).where(
        outcome.c.instance_id == instance_id,
        outcome.c.status == "current",
        outcome.c.role == "active",
        outcome.c.kind.in_(["scored", "refused"]),
        outcome.c.job_id.is_not(None),
    )


def _made_of(own: sa.Select[tuple[int]]) -> sa.Select[tuple[int]]:
    return sa.select(outcome_source.c.outcome_id).where(outcome_source.c.source_id.in_(own))
