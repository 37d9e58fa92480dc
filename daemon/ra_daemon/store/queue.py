"""The leased job table: claim in batches, heartbeat, completion fenced by token.

The same statements run on SQLite and PostgreSQL; only ``FOR UPDATE SKIP LOCKED`` (which SQLite's
compiler leaves out) and ``BEGIN IMMEDIATE`` differ.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from ra_daemon.domain import Claim, Failed, JobState, Lane
from ra_daemon.errors import LeaseLostError
from ra_daemon.store.clock import Clock, database_now
from ra_daemon.store.columns import Utc
from ra_daemon.store.engine import insert_new, reading
from ra_daemon.store.job_rows import JobRow, claims_of, job_row, joined
from ra_daemon.store.tables import job

MAX_LOST_LEASES = 10
"""A job that lost more leases than this brings its workers down: it becomes a dead letter."""

_FREE: dict[str, Any] = {"owner": "", "token": "", "lease_until": None}
_Claims = list[Claim]
_Jobs = list[JobRow]
_Numbers = list[int]


class JobQueue:
    """Jobs of one database; safe to share between threads."""

    def __init__(self, engine: sa.Engine, clock: Clock = database_now) -> None:
        self._engine = engine
        self._now = clock

    def enqueue(
        self,
        conn: sa.Connection,
        instance_id: int,
        pipeline_digest: str,
        lane: Lane,
        route: str,
        not_before: datetime | None = None,
    ) -> int | None:
        """Add a job in the caller's transaction; None when this pipeline has the image already."""
        now = self._now(conn)
        return insert_new(
            conn,
            job,
            {
                "instance_id": instance_id,
                "pipeline_digest": pipeline_digest,
                "lane": int(lane),
                "route": route,
                "state": JobState.QUEUED.value,
                "not_before": not_before or now,
                "created_at": now,
            },
        )

    def judge_again(
        self,
        conn: sa.Connection,
        instance_id: int,
        pipeline_digest: str,
        lane: Lane,
        route: str,
        settled: Sequence[JobState] = (JobState.REFUSED,),
    ) -> int | None:
        """Queue the job that refused an image once more, in the caller's transaction.

        For an image whose header has changed, or whose file was mended: the same pipeline may judge
        it otherwise.

        Args:
            settled: states of a job that is queued once more.

        Returns:
            The job's id; None when this pipeline did not refuse it.
        """
        now = self._now(conn)
        values = {"state": JobState.QUEUED.value, "lane": int(lane), "route": route, **_FREE}
        values |= {"attempts": 0, "lost_leases": 0, "cause": "", "finished_at": None}
        found = conn.execute(
            sa.update(job)
            .where(
                job.c.instance_id == instance_id,
                job.c.pipeline_digest == pipeline_digest,
                job.c.state.in_([state.value for state in settled]),
            )
            .values(**values, not_before=now)
            .returning(job.c.id)
        ).scalar()
        return None if found is None else int(found)

    def claim(
        self,
        owner: str,
        limit: int,
        lease_s: float,
        lanes: Sequence[Lane],
        starvation: timedelta | None = None,
    ) -> _Claims:
        """Lease up to ``limit`` due jobs, stat before normal before off-hours, oldest first.

        Expired leases return to the queue first. Off-hours jobs that were due longer than
        ``starvation`` ago move to the normal lane, so that a busy node serves them in the end.
        """
        token = uuid.uuid4().hex
        with self._engine.begin() as conn:
            now = self._now(conn)
            self._reclaim(conn, now)
            if starvation is not None:
                self._promote(conn, now - starvation)
            due = _due(now, lanes, limit).cte("due")
            taken = conn.execute(
                sa.update(job)
                .where(job.c.id.in_(sa.select(due.c.id)))
                .values(
                    state=JobState.LEASED.value,
                    owner=owner,
                    token=token,
                    lease_until=now + timedelta(seconds=lease_s),
                )
                .returning(job.c.id)
            ).scalars()
            return claims_of(conn, list(taken))

    def heartbeat(self, claims: Sequence[Claim], lease_s: float) -> _Claims:
        """Extend the leases of those claims that are still ours, and return these."""
        with self._engine.begin() as conn:
            until = self._now(conn) + timedelta(seconds=lease_s)
            extended = conn.execute(
                sa.update(job).where(_held(claims)).values(lease_until=until).returning(job.c.id)
            ).scalars()
            return claims_of(conn, list(extended))

    def release(self, claims: Sequence[Claim], delay_s: float = 0.0) -> int:
        """Give claims back unworked, due after ``delay_s``; no attempt is charged.

        Returns:
            How many were still ours.
        """
        with self._engine.begin() as conn:
            values: dict[str, Any] = {"state": JobState.QUEUED.value, **_FREE}
            if delay_s:
                values["not_before"] = self._now(conn) + timedelta(seconds=delay_s)
            return conn.execute(sa.update(job).where(_held(claims)).values(**values)).rowcount

    def settle(self, conn: sa.Connection, claim: Claim, state: JobState, cause: str = "") -> None:
        """End a job in the caller's transaction.

        Raises:
            LeaseLostError: another worker holds the job, or it was settled or cancelled.
        """
        values = {"state": state.value, "cause": cause, "finished_at": self._now(conn), **_FREE}
        self._fenced(conn, claim, {**values, "message": "", "blame": ""})

    def repin(self, claim: Claim, pipeline_digest: str) -> Claim | None:
        """Move a claim to the pipeline that will work it; None when that has the image already.

        The job is then cancelled: two jobs of one pipeline never answer for one image. With an
        empty digest (there is no such pipeline any more) it is cancelled as well.
        """
        with self._engine.begin() as conn:
            other = sa.select(job.c.id).where(
                job.c.instance_id == claim.instance_id, job.c.pipeline_digest == pipeline_digest
            )
            if not pipeline_digest or conn.execute(other).first() is not None:
                values = {"state": JobState.CANCELLED.value, "cause": "pipeline_changed", **_FREE}
                conn.execute(
                    sa.update(job)
                    .where(_held([claim]))
                    .values(**values, finished_at=self._now(conn))
                )
                return None
            moved = conn.execute(
                sa.update(job).where(_held([claim])).values(pipeline_digest=pipeline_digest)
            ).rowcount
        return replace(claim, pipeline_digest=pipeline_digest) if moved else None

    def fail(self, claim: Claim, failed: Failed, max_attempts: int, backoff_s: float) -> JobState:
        """Charge an attempt: queued again after ``backoff_s``, or a dead letter with its cause.

        Raises:
            LeaseLostError: as for ``settle``.
        """
        again = failed.retriable and claim.attempt < max_attempts
        state = JobState.QUEUED if again else JobState.FAILED
        with self._engine.begin() as conn:
            now = self._now(conn)
            values: dict[str, Any] = {
                "state": state.value,
                "attempts": claim.attempt,
                "cause": failed.code,
                "message": failed.message,
                "blame": failed.blame,
                **_FREE,
            }
            if again:
                values["not_before"] = now + timedelta(seconds=backoff_s)
            else:
                values["finished_at"] = now
            self._fenced(conn, claim, values)
        return state

    def retry(
        self, conn: sa.Connection, ids: Sequence[int] | None = None, cause: str | None = None
    ) -> int:
        """Queue dead letters again, all or by id or by cause, with fresh attempts.

        In the caller's transaction, as ``cancel``: its audit row goes with it.
        """
        which = [job.c.state == JobState.FAILED.value]
        if ids is not None:
            which.append(job.c.id.in_(list(ids)))
        if cause is not None:
            which.append(job.c.cause == cause)
        values = {"state": JobState.QUEUED.value, "attempts": 0, "lost_leases": 0}
        return conn.execute(
            sa.update(job)
            .where(*which)
            .values(**values, not_before=self._now(conn), finished_at=None, **_FREE)
        ).rowcount

    def resume(self, conn: sa.Connection, instance_id: int) -> _Numbers:
        """Queue an image's open and failed jobs with fresh attempts: its file was mended.

        What a worker has in hand it may have read before that; its answer is fenced. In the
        caller's transaction.
        """
        open_ones = [JobState.LEASED.value, JobState.FAILED.value]
        values = {"state": JobState.QUEUED.value, "attempts": 0, "lost_leases": 0, **_FREE}
        queued = conn.execute(
            sa.update(job)
            .where(job.c.instance_id == instance_id, job.c.state.in_(open_ones))
            .values(**values, not_before=self._now(conn), finished_at=None)
            .returning(job.c.id)
        ).scalars()
        return sorted(queued)

    def cancel(self, conn: sa.Connection, ids: Sequence[int]) -> int:
        """Take jobs out, also from under a worker: its completion is then fenced."""
        live = [JobState.QUEUED.value, JobState.LEASED.value]
        values = {"state": JobState.CANCELLED.value, "finished_at": self._now(conn), **_FREE}
        return conn.execute(
            sa.update(job).where(job.c.id.in_(list(ids)), job.c.state.in_(live)).values(**values)
        ).rowcount

    def counts(self) -> dict[str, int]:
        """Number of jobs by state; every state is named."""
        with reading(self._engine) as conn:
            query = sa.select(job.c.state, sa.func.count()).group_by(job.c.state)
            found = {state: int(number) for state, number in conn.execute(query)}
        return {s.value: found.get(s.value, 0) for s in JobState}

    def oldest_age(self) -> float | None:
        """Seconds that the oldest queued job has waited; None when the queue is empty."""
        with reading(self._engine) as conn:
            query = sa.select(sa.func.min(job.c.created_at)).where(
                job.c.state == JobState.QUEUED.value
            )
            oldest = conn.execute(query).scalar()
            return None if oldest is None else (self._now(conn) - oldest).total_seconds()

    def show(self, job_id: int) -> JobRow | None:
        """One job, or None."""
        with reading(self._engine) as conn:
            row = conn.execute(joined().where(job.c.id == job_id)).mappings().one_or_none()
        return None if row is None else job_row(row)

    def list(
        self, state: JobState | None = None, cause: str | None = None, limit: int = 100
    ) -> _Jobs:
        """Jobs, newest first."""
        query = joined().order_by(job.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(job.c.state == state.value)
        if cause is not None:
            query = query.where(job.c.cause == cause)
        with reading(self._engine) as conn:
            return [job_row(row) for row in conn.execute(query).mappings()]

    def _fenced(self, conn: sa.Connection, claim: Claim, values: dict[str, Any]) -> None:
        changed = conn.execute(sa.update(job).where(_held([claim])).values(**values)).rowcount
        if changed != 1:
            raise LeaseLostError(f"Job {claim.job_id} is no longer ours.")

    def _reclaim(self, conn: sa.Connection, now: datetime) -> None:
        """Queue expired leases again; uncharged, unless the job keeps killing its workers."""
        lapsed = (
            sa.select(job.c.id)
            .where(job.c.state == JobState.LEASED.value, job.c.lease_until < now)
            .with_for_update(skip_locked=True)
            .cte("lapsed")
        )
        hopeless = job.c.lost_leases >= MAX_LOST_LEASES
        conn.execute(
            sa.update(job)
            .where(job.c.id.in_(sa.select(lapsed.c.id)))
            .values(
                state=sa.case((hopeless, JobState.FAILED.value), else_=JobState.QUEUED.value),
                cause="job.lease_lost",
                message=sa.literal("The worker's lease ran out."),
                blame=job.c.owner,
                lost_leases=job.c.lost_leases + 1,
                finished_at=sa.case((hopeless, sa.literal(now, Utc())), else_=None),
                **_FREE,
            )
        )

    def _promote(self, conn: sa.Connection, before: datetime) -> None:
        starved = (
            sa.select(job.c.id)
            .where(
                job.c.state == sa.literal_column("'queued'"),
                job.c.lane == int(Lane.OFF_HOURS),
                job.c.not_before <= before,
            )
            .with_for_update(skip_locked=True)
            .cte("starved")
        )
        conn.execute(
            sa.update(job)
            .where(job.c.id.in_(sa.select(starved.c.id)))
            .values(lane=int(Lane.NORMAL))
        )


def recall(conn: sa.Connection, instance_id: int) -> None:
    """Take an image's job back from its worker, uncharged: what it is to judge has changed."""
    conn.execute(
        sa.update(job)
        .where(
            job.c.instance_id == instance_id,
            job.c.state == JobState.LEASED.value,
            job.c.lane != int(Lane.SHADOW),
        )
        .values(state=JobState.QUEUED.value, **_FREE)
    )


def _due(now: datetime, lanes: Sequence[Lane], limit: int) -> sa.Select[tuple[int]]:
    return (
        sa.select(job.c.id)
        .where(
            job.c.state == sa.literal_column("'queued'"),  # literal: lets the partial index serve
            job.c.not_before <= now,
            job.c.lane.in_([int(lane) for lane in lanes]),
        )
        .order_by(job.c.lane, job.c.not_before, job.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


def _held(claims: Sequence[Claim]) -> sa.ColumnElement[bool]:
    """Jobs of these claims that are still leased under their tokens."""
    pairs = [sa.and_(job.c.id == c.job_id, job.c.token == c.token) for c in claims]
    return sa.and_(job.c.state == JobState.LEASED.value, sa.or_(sa.false(), *pairs))
