"""What keeps a received file from being purged, as one SQL expression over ``instance``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from ra_daemon.domain import DeliveryState, JobState, Lane
from ra_daemon.store.tables import (
    delivery,
    dicom_object,
    instance,
    job,
    legal_hold,
    outcome,
    outcome_source,
    report,
)

BLOCKS: Mapping[str, str] = {
    "legal_hold": "ra-daemon legal-hold list; lift the hold first.",
    "open_job": "ra-daemon jobs list; wait, retry or cancel the job.",
    "no_verdict": "ra-daemon trace UID; the image was neither scored nor refused.",
    "report_due": "wait until its report is composed; ra-daemon jobs retry for a failed one.",
    "delivery_due": "ra-daemon jobs deliveries; wait, or ra-daemon jobs retry, release or give-up.",
    "study_open": "wait: another image of the study came within the hour or is being worked.",
}
"""Why a file stays, and the remedy."""

_DONE = [s.value for s in (DeliveryState.SENT, DeliveryState.COMMITTED, DeliveryState.SKIPPED)]
_OPEN = [JobState.QUEUED.value, JobState.LEASED.value]


def blocked(closed_before: datetime) -> sa.Case[str]:
    """The first reason of ``BLOCKS`` that keeps the file of a row of ``instance``, or "".

    ``closed_before``: a study with a later image is not closed.
    """
    return sa.case(
        (_held(), "legal_hold"),
        (_open_job(), "open_job"),
        (~_judged(), "no_verdict"),
        (sa.exists(_related(_report_due())), "report_due"),
        (sa.exists(_related(_delivery_due())), "delivery_due"),
        (_study_open(closed_before), "study_open"),
        else_="",
    )


def _held() -> sa.ColumnElement[bool]:
    by_patient = sa.and_(
        legal_hold.c.scope == "patient", legal_hold.c.name == instance.c.patient_id
    )
    by_study = sa.and_(
        legal_hold.c.scope == "study", legal_hold.c.name == instance.c.study_instance_uid
    )
    return sa.exists().where(legal_hold.c.lifted_at.is_(None), sa.or_(by_patient, by_study))


def _open_job() -> sa.ColumnElement[bool]:
    """Queued or leased; a dead letter too, for it may be retried, unless it is a shadow's."""
    dead = sa.and_(job.c.state == JobState.FAILED.value, job.c.lane != int(Lane.SHADOW))
    return sa.exists().where(
        job.c.instance_id == instance.c.id, sa.or_(job.c.state.in_(_OPEN), dead)
    )


def _judged() -> sa.ColumnElement[bool]:
    verdict = sa.exists().where(
        outcome.c.instance_id == instance.c.id,
        outcome.c.status == "current",
        outcome.c.role == "active",
    )
    cancelled = sa.exists().where(
        job.c.instance_id == instance.c.id, job.c.state == JobState.CANCELLED.value
    )
    return sa.or_(verdict, cancelled)


def _related(due: sa.ColumnElement[bool]) -> sa.Select[tuple[int]]:
    """Verdicts of the image, and aggregates made of them, for which ``due`` holds."""
    source = outcome.alias("source")
    made_of_it = (
        sa.select(outcome_source.c.outcome_id)
        .join(source, source.c.id == outcome_source.c.source_id)
        .where(source.c.instance_id == instance.c.id)
        .correlate(instance)
    )
    own = outcome.c.instance_id == instance.c.id
    return sa.select(outcome.c.id).where(sa.or_(own, outcome.c.id.in_(made_of_it)), due)


def _report_due() -> sa.ColumnElement[bool]:
    return sa.exists().where(
        report.c.outcome_id == outcome.c.id, report.c.state.in_(["due", "failed"])
    )


def _delivery_due() -> sa.ColumnElement[bool]:
    return sa.exists().where(
        dicom_object.c.outcome_id == outcome.c.id,
        delivery.c.object_id == dicom_object.c.id,
        delivery.c.state.not_in(_DONE),
    )


def _study_open(closed_before: datetime) -> sa.ColumnElement[bool]:
    other = instance.alias("sibling")
    working = sa.exists().where(job.c.instance_id == other.c.id, job.c.state.in_(_OPEN))
    return sa.exists().where(
        instance.c.study_instance_uid != "",
        other.c.study_instance_uid == instance.c.study_instance_uid,
        sa.or_(other.c.received_at >= closed_before, working),
    )
