"""Record: rows, the job's end and the report that is due, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import sqlalchemy as sa

from ra_daemon.domain import Claim, JobState, Lane, Refused, Scored
from ra_daemon.store import outcomes, reports
from ra_daemon.store.clock import database_now
from ra_daemon.store.queue import JobQueue

Deliver = Literal["send", "hold", "database-only"]
Role = outcomes.Role


def record(
    engine: sa.Engine,
    queue: JobQueue,
    claim: Claim,
    outcome: Scored | Refused,
    *,
    pipeline_digest: str,
    heatmap_path: str | None = None,
    destinations: Sequence[str] = (),
    deliver: Deliver = "send",
    refusal_report: bool = False,
    role: Role = "active",
    demonstration: bool = False,
    veto: Callable[[sa.Connection], Refused | None] = lambda _conn: None,
    shadow_digest: str = "",
) -> Scored | Refused:
    """Write an outcome, settle its job and queue its report, all or nothing.

    Earlier current rows of the instance become superseded (unless ``role`` is shadow: shadow
    results are stored and never reported). ``demonstration`` marks a refusal; scored rows carry
    it by their models. With ``shadow_digest`` a scored image gets a job of that pipeline in the
    shadow lane. ``veto`` may turn a score into a refusal, in the same transaction.

    Returns:
        What was written.

    Raises:
        LeaseLostError: another worker holds the job now; nothing was written.
    """
    with engine.begin() as conn:
        return record_in(
            conn,
            queue,
            claim,
            outcome,
            pipeline_digest=pipeline_digest,
            heatmap_path=heatmap_path,
            destinations=destinations,
            deliver=deliver,
            refusal_report=refusal_report,
            role=role,
            demonstration=demonstration,
            veto=veto,
            shadow_digest=shadow_digest,
        )


def record_in(
    conn: sa.Connection,
    queue: JobQueue,
    claim: Claim,
    outcome: Scored | Refused,
    *,
    pipeline_digest: str,
    heatmap_path: str | None = None,
    destinations: Sequence[str] = (),
    deliver: Deliver = "send",
    refusal_report: bool = False,
    role: Role = "active",
    demonstration: bool = False,
    veto: Callable[[sa.Connection], Refused | None] = lambda _conn: None,
    shadow_digest: str = "",
) -> Scored | Refused:
    """``record`` in a savepoint of the caller's transaction, so that a batch goes in with one.

    Raises:
        LeaseLostError: as for ``record``; the caller's transaction goes on.
    """
    with conn.begin_nested():
        if isinstance(outcome, Scored):
            outcome = veto(conn) or outcome
        if isinstance(outcome, Refused):
            queue.settle(conn, claim, JobState.REFUSED, cause=outcome.reason.value)
        else:
            queue.settle(conn, claim, JobState.SCORED)
        now = database_now(conn)
        source = outcomes.Source(
            instance_id=claim.instance_id,
            # A job judges an image once more when a refused one came with another header, or when
            # its file was mended; each lease settles it once.
            source_key=f"job:{claim.job_id}:{claim.token}",
            created_at=now,
            job_id=claim.job_id,
            pipeline_digest=pipeline_digest,
            role=role,
        )
        if isinstance(outcome, Refused):
            outcome_id = outcomes.add_refusal(conn, outcome, source, demonstration=demonstration)
        else:
            outcome_id = outcomes.add_scored(conn, outcome, source, heatmap_path=heatmap_path)
        if outcome_id is None or role == "shadow":
            return outcome
        outcomes.supersede_instance(conn, claim.instance_id, outcome_id)
        if isinstance(outcome, Scored):
            reports.add(conn, outcome_id, "scored", destinations, deliver, now)
            if shadow_digest:
                queue.enqueue(conn, claim.instance_id, shadow_digest, Lane.SHADOW, claim.route)
        elif refusal_report:
            reports.add(conn, outcome_id, "refused", destinations, deliver, now)
    return outcome
