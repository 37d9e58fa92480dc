"""Deliveries: one object due at one destination. SENT is not COMMITTED."""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ra_daemon.domain import Delivered, Delivery, DeliveryOutcome, DeliveryState, Postponed
from ra_daemon.store import audit, recompose
from ra_daemon.store.clock import Clock, database_now
from ra_daemon.store.engine import reading
from ra_daemon.store.tables import delivery, dicom_object, outcome

DEMONSTRATION_NOT_ALLOWED = "demonstration_not_allowed"
"""Cause of a parked delivery: the peer does not take results of a demonstration model."""

GIVEN_UP = "given_up"
"""Cause of a delivery that a person gave up: it is SKIPPED and never leaves."""

LEASE_S = 900.0
"""A delivery that stays SENDING longer was left by a node that is gone: any node may take it."""

_FREE: dict[str, Any] = {"owner": "", "lease_until": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """A choice of deliveries; what is not named does not limit it, an empty one means all."""

    ids: Collection[int] = ()
    destination: str | None = None
    cause: str | None = None

    def where(self) -> list[sa.ColumnElement[bool]]:
        """The conditions on rows of ``delivery``."""
        found: list[sa.ColumnElement[bool]] = []
        if self.ids:
            found.append(delivery.c.id.in_(list(self.ids)))
        if self.destination is not None:
            found.append(delivery.c.destination == self.destination)
        if self.cause is not None:
            found.append(delivery.c.cause == self.cause)
        return found


EVERY = Which()


class Outbox:
    """Deliveries of one database; ``owner`` names this node among those that share it."""

    def __init__(
        self,
        engine: sa.Engine,
        root: Path = Path(),
        *,
        owner: str = "",
        lease_s: float = LEASE_S,
        clock: Clock = database_now,
    ) -> None:
        self._engine = engine
        self._root = root
        self._owner = owner or f"{socket.gethostname()}:{root.absolute()}"
        self._lease_s = lease_s
        self._now = clock

    def claim_due(self, limit: int, destinations: Sequence[str] | None = None) -> list[Delivery]:
        """Mark up to ``limit`` due deliveries as SENDING, oldest first, and return them.

        ``destinations`` limits the choice to these peers. ``was_sending`` is True when an earlier
        attempt may have reached the peer unnoticed: a crash, or no answer.
        """
        with self._engine.begin() as conn:
            now = self._now(conn)
            _drop_retracted(conn, now)
            lapsed = sa.and_(
                delivery.c.state == DeliveryState.SENDING.value, delivery.c.lease_until < now
            )
            ready = sa.and_(
                delivery.c.state == DeliveryState.PENDING.value, delivery.c.not_before <= now
            )
            due = sa.select(delivery.c.id).where(sa.or_(ready, lapsed))
            if destinations is not None:
                due = due.where(delivery.c.destination.in_(list(destinations)))
            chosen = (
                due.order_by(delivery.c.not_before, delivery.c.id)
                .limit(limit)
                .with_for_update(skip_locked=True)
                .cte("due")
            )
            sending = delivery.c.state == DeliveryState.SENDING.value
            taken = conn.execute(
                sa.update(delivery)
                .where(delivery.c.id.in_(sa.select(chosen.c.id)))
                .values(
                    was_sending=sa.case((sending, 1), else_=delivery.c.was_sending),
                    state=DeliveryState.SENDING.value,
                    attempts=delivery.c.attempts + 1,
                    owner=self._owner,
                    lease_until=now + timedelta(seconds=self._lease_s),
                )
                .returning(delivery.c.id)
            ).scalars()
            return self._deliveries(conn, list(taken))

    def recover(self, destination: str | None = None) -> int:
        """What this node left in SENDING is due again, marked ``was_sending``, behind the others.

        At start, and for one peer after a turn that ended in its middle.
        """
        which = [
            delivery.c.state == DeliveryState.SENDING.value,
            delivery.c.owner == self._owner,
        ]
        if destination is not None:
            which.append(delivery.c.destination == destination)
        values = {"state": DeliveryState.PENDING.value, "was_sending": 1, **_FREE}
        with self._engine.begin() as conn:
            return self._change(conn, which, **values, not_before=None)

    def settle(self, item: Delivery, outcome_: DeliveryOutcome, retry_delay_s: float = 0.0) -> bool:
        """Write what became of a delivery.

        Returns:
            False when another node took the delivery meanwhile; nothing is written then, for the
            same UID and the same bytes went out either way.
        """
        with self._engine.begin() as conn:
            now = self._now(conn)
            changed = conn.execute(
                sa.update(delivery)
                .where(
                    delivery.c.id == item.delivery_id,
                    delivery.c.state == DeliveryState.SENDING.value,
                    delivery.c.owner == self._owner,
                    delivery.c.attempts == item.attempt,
                )
                .values(**_settled(outcome_, now, retry_delay_s), **_FREE)
            ).rowcount
        return changed == 1

    def commit(self, sop_instance_uids: Sequence[str], destination: str | None = None) -> int:
        """Mark sent objects as committed: the peer said that it keeps them."""
        ids = sa.select(dicom_object.c.id).where(
            dicom_object.c.sop_instance_uid.in_(list(sop_instance_uids))
        )
        which = [delivery.c.state == DeliveryState.SENT.value, delivery.c.object_id.in_(ids)]
        if destination is not None:
            which.append(delivery.c.destination == destination)
        with self._engine.begin() as conn:
            values = {"state": DeliveryState.COMMITTED.value, "committed_at": None}
            return self._change(conn, which, **values)

    def release_held(
        self,
        conn: sa.Connection,
        destination: str | None = None,
        study_instance_uids: Sequence[str] | None = None,
    ) -> int:
        """Let held deliveries go, all or those of a peer or of studies.

        In the caller's transaction, as ``retry_parked``: its audit row goes with it.
        """
        which = [delivery.c.state == DeliveryState.HELD.value]
        if destination is not None:
            which.append(delivery.c.destination == destination)
        if study_instance_uids is not None:
            ids = sa.select(dicom_object.c.id).where(
                dicom_object.c.study_instance_uid.in_(list(study_instance_uids))
            )
            which.append(delivery.c.object_id.in_(ids))
        return self._change(conn, which, state=DeliveryState.PENDING.value, not_before=None)

    def retry_parked(
        self, conn: sa.Connection, chosen: Which = EVERY, *, takes: Collection[str] = ()
    ) -> int:
        """Queue parked deliveries again, with fresh attempts.

        Those whose report is to be composed again (``compose_again``, first) wait for it.

        Args:
            conn: the caller's transaction.
            chosen: results of demonstration models that a peer did not take come back only by
                their own cause or by number, never with all the others.
            takes: peers that take results of demonstration models (now). Those of other peers
                stay: ``park_demonstrations`` would stop them again.
        """
        named = bool(chosen.ids) or chosen.cause == DEMONSTRATION_NOT_ALLOWED
        free = delivery.c.cause != DEMONSTRATION_NOT_ALLOWED
        if named:
            free = sa.or_(free, delivery.c.destination.in_(list(takes)))
        which = [delivery.c.state == DeliveryState.PARKED.value, free, *chosen.where()]
        which.append(sa.not_(recompose.waits()))
        values = {"state": DeliveryState.PENDING.value, "not_before": None, "attempts": 0}
        return self._change(conn, which, **values)

    def lost(self, chosen: Which = EVERY) -> list[int]:
        """Reports of parked deliveries whose object is gone or damaged, for ``compose_again``.

        It reads those files: not in a transaction.
        """
        return recompose.lost(self._engine, self._root, chosen.where())

    def compose_again(self, conn: sa.Connection, lost: Sequence[int], chosen: Which = EVERY) -> int:
        """Queue the reports that ``lost`` found, in the caller's transaction.

        All their deliveries leave when the report is composed.

        Returns:
            How many reports are due.
        """
        return recompose.order(conn, lost, chosen.where())

    def give_up(self, chosen: Which, *, who: str, why: str) -> int:
        """Let parked, held and pending deliveries never leave, with one row of the audit trail.

        What is on its way at this moment is not stopped. A late word of the peer that it keeps an
        object after all changes nothing.
        """
        waiting = [DeliveryState.PARKED, DeliveryState.HELD, DeliveryState.PENDING]
        which = [delivery.c.state.in_([s.value for s in waiting]), *chosen.where()]
        values = {"state": DeliveryState.SKIPPED.value, "cause": GIVEN_UP}
        with self._engine.begin() as conn:
            change = sa.update(delivery).where(*which).values(**values)
            ids = sorted(conn.execute(change.returning(delivery.c.id)).scalars())
            if ids:
                told = ",".join(map(str, ids))
                audit.append(conn, who=who, what="deliveries.give_up", new=told, why=why)
        return len(ids)

    def parked(self, cause: str) -> dict[str, int]:
        """Number of deliveries parked with a cause, by destination."""
        query = (
            sa.select(delivery.c.destination, sa.func.count())
            .where(delivery.c.state == DeliveryState.PARKED.value, delivery.c.cause == cause)
            .group_by(delivery.c.destination)
        )
        with reading(self._engine) as conn:
            return {str(name): int(number) for name, number in conn.execute(query)}

    def park_demonstrations(self, destination: str) -> int:
        """Park what a demonstration model made for a peer that does not take it (any more).

        Call before ``claim_due`` for every peer that forbids demonstration results: permission
        may have run out since the report was composed.
        """
        ids = (
            sa.select(dicom_object.c.id)
            .join(outcome, outcome.c.id == dicom_object.c.outcome_id)
            .where(outcome.c.demonstration == 1)
        )
        which = [
            delivery.c.state.in_([DeliveryState.PENDING.value, DeliveryState.HELD.value]),
            delivery.c.destination == destination,
            delivery.c.object_id.in_(ids),
        ]
        values = {"state": DeliveryState.PARKED.value, "cause": DEMONSTRATION_NOT_ALLOWED}
        with self._engine.begin() as conn:
            return conn.execute(sa.update(delivery).where(*which).values(**values)).rowcount

    def counts(self) -> dict[str, int]:
        """Number of deliveries by state; every state is named."""
        query = sa.select(delivery.c.state, sa.func.count()).group_by(delivery.c.state)
        with reading(self._engine) as conn:
            found = {state: int(number) for state, number in conn.execute(query)}
        return {s.value: found.get(s.value, 0) for s in DeliveryState}

    def oldest_uncommitted_age(self) -> float | None:
        """Seconds since the oldest SENT and not COMMITTED delivery was sent; None when none."""
        query = sa.select(sa.func.min(delivery.c.sent_at)).where(
            delivery.c.state == DeliveryState.SENT.value
        )
        with reading(self._engine) as conn:
            oldest = conn.execute(query).scalar()
            return None if oldest is None else (self._now(conn) - oldest).total_seconds()

    def _change(
        self, conn: sa.Connection, which: Sequence[sa.ColumnElement[bool]], **values: Any
    ) -> int:
        """Update; a value of None stands for the present moment."""
        now = self._now(conn)
        filled = {k: now if v is None else v for k, v in values.items()}
        return conn.execute(sa.update(delivery).where(*which).values(**filled)).rowcount

    def _deliveries(self, conn: sa.Connection, ids: Sequence[int]) -> list[Delivery]:
        query = (
            sa.select(
                delivery.c.id,
                delivery.c.destination,
                delivery.c.attempts,
                delivery.c.was_sending,
                dicom_object.c.path,
                dicom_object.c.sop_class_uid,
                dicom_object.c.sop_instance_uid,
                dicom_object.c.study_instance_uid,
                outcome.c.demonstration,
            )
            .join(dicom_object, dicom_object.c.id == delivery.c.object_id)
            .join(outcome, outcome.c.id == dicom_object.c.outcome_id)
            .where(delivery.c.id.in_(ids))
            .order_by(delivery.c.not_before, delivery.c.id)
        )
        return [
            Delivery(
                delivery_id=row["id"],
                object_path=self._root / row["path"],
                sop_class_uid=row["sop_class_uid"],
                sop_instance_uid=row["sop_instance_uid"],
                study_instance_uid=row["study_instance_uid"],
                destination=row["destination"],
                attempt=row["attempts"],
                demonstration=bool(row["demonstration"]),
                was_sending=bool(row["was_sending"]),
            )
            for row in conn.execute(query).mappings()
        ]


def _drop_retracted(conn: sa.Connection, now: datetime) -> None:
    """What was retracted after it was queued, or came back from a failed attempt, never leaves."""
    retracted = (
        sa.select(dicom_object.c.id)
        .join(outcome, outcome.c.id == dicom_object.c.outcome_id)
        .where(outcome.c.status == sa.literal_column("'retracted'"))
    )
    lapsed = sa.and_(delivery.c.state == DeliveryState.SENDING.value, delivery.c.lease_until < now)
    waiting = delivery.c.state == DeliveryState.PENDING.value
    conn.execute(
        sa.update(delivery)
        .where(sa.or_(waiting, lapsed), delivery.c.object_id.in_(retracted))
        .values(state=DeliveryState.SKIPPED.value, cause="retracted", **_FREE)
    )


def _settled(outcome_: DeliveryOutcome, now: datetime, retry_delay_s: float) -> dict[str, Any]:
    if isinstance(outcome_, Delivered):
        values = {"state": DeliveryState.SENT.value, "status_code": outcome_.status}
        return {**values, "sent_at": now, "cause": "", "was_sending": 0}
    if isinstance(outcome_, Postponed):
        later = now + timedelta(seconds=retry_delay_s)
        values = {"state": DeliveryState.PENDING.value, "cause": outcome_.cause}
        maybe = {"was_sending": 1} if outcome_.unanswered else {}
        return {**values, "not_before": later, **maybe}
    # ``was_sending`` stays: this refusal does not say that an earlier attempt did not arrive.
    return {"state": DeliveryState.PARKED.value, "cause": outcome_.cause}
