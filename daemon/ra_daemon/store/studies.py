"""Studies with one image a side: when they fall quiet, their two hands make one total."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from ra_daemon.domain import JobState, Scored
from ra_daemon.store import findings, outcomes, reports
from ra_daemon.store.clock import database_now
from ra_daemon.store.engine import reading
from ra_daemon.store.tables import instance, job, outcome, outcome_source

AGGREGATE_LABEL = "aggregate of two images"
_SIDES = ("left", "right")


@dataclass(frozen=True, slots=True, kw_only=True)
class HandSource:
    """One scored single-hand image (its heatmaps left out)."""

    outcome_id: int
    instance_id: int
    sop_instance_uid: str
    dataset_sha256: str
    route: str
    received_at: datetime
    scored: Scored


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyKey:
    """A quiet study whose left and right hand were scored apart by the same pipeline."""

    study_instance_uid: str
    pipeline_digest: str
    left: HandSource
    right: HandSource
    repeated: tuple[str, ...] = ()
    """Sides of which the study has more than one scored image."""

    @property
    def source_key(self) -> str:
        """Names this pair of verdicts: it is aggregated once."""
        return _source_key(self.left.outcome_id, self.right.outcome_id)

    @property
    def later(self) -> HandSource:
        """The image that was admitted last."""
        return max(self.left, self.right, key=lambda s: s.instance_id)


def quiet_studies(engine: sa.Engine, quiet_s: float) -> list[StudyKey]:
    """Studies that wait to be aggregated: nothing came for ``quiet_s`` and no job is open.

    Of several images of a side the one scored last counts, and the side is ``repeated``. Images
    that name two patients or two study dates are never one total; ``reconcile`` tells them.
    """
    with reading(engine) as conn:
        before = database_now(conn) - timedelta(seconds=quiet_s)
        pairs: dict[tuple[str, str], dict[str, sa.RowMapping]] = defaultdict(dict)
        images: Counter[tuple[str, str, str]] = Counter()
        for row in conn.execute(_candidates(before)).mappings():
            pairs[row["study_instance_uid"], row["pipeline_digest"]][row["hands"]] = row
            images[row["study_instance_uid"], row["pipeline_digest"], row["hands"]] += 1
        aggregates = sa.select(outcome.c.source_key).where(outcome.c.kind == "aggregate")
        done = set(conn.execute(aggregates).scalars())
        return [
            StudyKey(
                study_instance_uid=study,
                pipeline_digest=digest,
                left=_source(conn, sides["left"]),
                right=_source(conn, sides["right"]),
                repeated=tuple(side for side in _SIDES if images[study, digest, side] > 1),
            )
            for (study, digest), sides in sorted(pairs.items())
            if len(sides) == len(_SIDES)
            and _of_one(sides["left"], sides["right"])
            and _source_key(sides["left"]["id"], sides["right"]["id"]) not in done
        ]


def record_aggregate(
    engine: sa.Engine,
    key: StudyKey,
    scored: Scored,
    *,
    destinations: Sequence[str] = (),
    deliver: str = "send",
) -> bool:
    """Write the total of two hands and queue its report; an earlier one is superseded.

    Args:
        engine: the database.
        key: from ``quiet_studies``.
        scored: the total with its interval, calibrated on the sum by the caller; the rows are
            labelled as an aggregate and name both images.
        destinations: as for ``results.record``.
        deliver: as for ``results.record``.

    Returns:
        False when this pair was aggregated before.
    """
    with engine.begin() as conn:
        now = database_now(conn)
        source = outcomes.Source(
            instance_id=key.later.instance_id,
            source_key=key.source_key,
            created_at=now,
            pipeline_digest=key.pipeline_digest,
        )
        outcome_id = outcomes.add_scored(
            conn,
            scored,
            source,
            kind="aggregate",
            derived_from=[key.left.sop_instance_uid, key.right.sop_instance_uid],
            label=AGGREGATE_LABEL,
        )
        if outcome_id is None:
            return False
        for hand in (key.left, key.right):
            pair = {"outcome_id": outcome_id, "source_id": hand.outcome_id}
            conn.execute(sa.insert(outcome_source).values(**pair))
        earlier = (
            sa.select(outcome.c.id)
            .join(instance, instance.c.id == outcome.c.instance_id)
            .where(
                instance.c.study_instance_uid == key.study_instance_uid,
                outcome.c.kind.in_(outcomes.TOTALS),
            )
        )
        outcomes.supersede(conn, conn.execute(earlier).scalars(), outcome_id)
        reports.add(conn, outcome_id, "aggregate", destinations, deliver, now)
    return True


def _candidates(before: datetime) -> sa.Select[tuple[object, ...]]:
    """Current single-hand verdicts of quiet studies, oldest first."""
    other = instance.alias("other")
    noisy = sa.select(other.c.study_instance_uid).where(other.c.received_at > before)
    waiting = (
        sa.select(other.c.study_instance_uid)
        .join(job, job.c.instance_id == other.c.id)
        .where(job.c.state.in_([JobState.QUEUED.value, JobState.LEASED.value]))
    )
    return (
        sa.select(
            outcome.c.id,
            outcome.c.instance_id,
            outcome.c.pipeline_digest,
            outcome.c.hands,
            instance.c.study_instance_uid,
            instance.c.sop_instance_uid,
            instance.c.dataset_sha256,
            instance.c.received_at,
            instance.c.route,
            instance.c.patient_id,
            instance.c.study_date,
        )
        .join(instance, instance.c.id == outcome.c.instance_id)
        .where(
            outcome.c.kind == "scored",
            outcome.c.status == "current",
            outcome.c.role == "active",
            outcome.c.hands.in_(_SIDES),
            instance.c.study_instance_uid != "",
            instance.c.study_instance_uid.not_in(noisy),
            instance.c.study_instance_uid.not_in(waiting),
        )
        .order_by(outcome.c.id)
    )


def mixed_studies(conn: sa.Connection) -> list[str]:
    """Numbers of the images of studies whose scored hands name two patients or two study dates."""
    named = instance.c.patient_id + sa.literal("\n") + instance.c.study_date
    hands = (
        outcome.c.kind == "scored",
        outcome.c.status == "current",
        outcome.c.role == "active",
        outcome.c.hands.in_(_SIDES),
        instance.c.study_instance_uid != "",
    )
    mixed = (
        sa.select(instance.c.study_instance_uid)
        .join(outcome, outcome.c.instance_id == instance.c.id)
        .where(*hands)
        .group_by(instance.c.study_instance_uid)
        .having(sa.func.count(sa.distinct(named)) > 1)
    )
    found = (
        sa.select(instance.c.id)
        .join(outcome, outcome.c.instance_id == instance.c.id)
        .where(*hands, instance.c.study_instance_uid.in_(mixed))
        .distinct()
        .order_by(instance.c.id)
    )
    return [str(number) for number in conn.execute(found).scalars()]


def _of_one(left: sa.RowMapping, right: sa.RowMapping) -> bool:
    """Whether both images name the same patient and the same study date."""
    return all(left[name] == right[name] for name in ("patient_id", "study_date"))


def _source_key(left: int, right: int) -> str:
    return f"outcomes:{left},{right}"


def _source(conn: sa.Connection, row: sa.RowMapping) -> HandSource:
    text = conn.execute(sa.select(outcome.c.findings).where(outcome.c.id == row["id"]))
    return HandSource(
        outcome_id=row["id"],
        instance_id=row["instance_id"],
        sop_instance_uid=row["sop_instance_uid"],
        dataset_sha256=row["dataset_sha256"],
        route=row["route"],
        received_at=row["received_at"],
        scored=findings.load_scored(str(text.scalar_one())),
    )
