"""Storage commitment: which sent objects a peer was asked to answer for, and what it said.

A request is written before it goes out, so an answer always finds it, also after a restart. SENT
becomes COMMITTED, or PENDING again when the peer lost the object, or PARKED with the cause when
asking again has no end.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from ra_daemon.domain import CommitReport, DeliveryState
from ra_daemon.store.clock import Clock, database_now
from ra_daemon.store.tables import commitment, delivery, dicom_object

PERMANENT = frozenset({0x0119, 0x0122})
"""Failure reasons (PS3.3 C.14.1.1) that a resend cannot cure: class conflict, class not taken."""

RECENT = timedelta(days=7)
"""Older objects are not asked about: an archive may have moved or deleted them since."""

_OPEN, _DONE, _FAILED, _VOID = "open", "committed", "failed", "void"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequest:
    """One transaction: pairs of SOP class and instance UID that a destination shall answer for."""

    transaction_uid: str
    destination: str
    references: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How many deliveries a report changed."""

    committed: int = 0
    resent: int = 0
    parked: int = 0


class Commitments:
    """Requests and answers of one database."""

    def __init__(self, engine: sa.Engine, clock: Clock = database_now) -> None:
        self._engine = engine
        self._now = clock

    def begin(self, destination: str, limit: int) -> CommitRequest | None:
        """Write a request for sent objects that wait for one; None when there are none."""
        with self._engine.begin() as conn:
            now = self._now(conn)
            found = (
                conn.execute(
                    _waiting(destination)
                    .where(delivery.c.not_before <= now, delivery.c.sent_at > now - RECENT)
                    .limit(limit)
                    .with_for_update(skip_locked=True, of=delivery)
                )
                .mappings()
                .all()
            )
            if not found:
                return None
            transaction = f"2.25.{uuid.uuid4().int}"
            rows = [
                {
                    "transaction_uid": transaction,
                    "delivery_id": row["id"],
                    "state": _OPEN,
                    "requested_at": now,
                }
                for row in found
            ]
            conn.execute(sa.insert(commitment), rows)
        return CommitRequest(
            transaction_uid=transaction,
            destination=destination,
            references=tuple((r["sop_class_uid"], r["sop_instance_uid"]) for r in found),
        )

    def withdraw(self, request: CommitRequest, delay_s: float) -> None:
        """Forget a request that never reached the peer; ask again after ``delay_s``."""
        mine = commitment.c.transaction_uid == request.transaction_uid
        with self._engine.begin() as conn:
            self._delay(conn, mine, delay_s)
            conn.execute(sa.delete(commitment).where(mine))

    def refuse(self, request: CommitRequest, cause: str, delay_s: float) -> None:
        """The peer would not take the request: it counts, and is made again after ``delay_s``."""
        mine = commitment.c.transaction_uid == request.transaction_uid
        with self._engine.begin() as conn:
            self._delay(conn, mine, delay_s)
            conn.execute(sa.update(commitment).where(mine).values(state=_FAILED, cause=cause))

    def lapse(self, destination: str, timeout_s: float) -> int:
        """End requests that nobody answered for ``timeout_s``; they are made again."""
        with self._engine.begin() as conn:
            before = self._now(conn) - timedelta(seconds=timeout_s)
            theirs = sa.select(delivery.c.id).where(delivery.c.destination == destination)
            return conn.execute(
                sa.update(commitment)
                .where(
                    commitment.c.state == _OPEN,
                    commitment.c.requested_at < before,
                    commitment.c.delivery_id.in_(theirs),
                )
                .values(state=_FAILED, cause="no answer")
            ).rowcount

    def park_hopeless(self, destination: str, attempts: int) -> int:
        """Park what was asked about ``attempts`` times in vain; the last cause is kept."""
        failed = (
            sa.select(commitment.c.delivery_id)
            .where(commitment.c.state == _FAILED)
            .group_by(commitment.c.delivery_id)
            .having(sa.func.count() >= attempts)
        )
        with self._engine.begin() as conn:
            which = [
                *(delivery.c.destination == destination, delivery.c.id.in_(failed)),
                delivery.c.state.in_([DeliveryState.SENT.value, DeliveryState.PENDING.value]),
            ]
            ids = list(conn.execute(sa.select(delivery.c.id).where(*which)).scalars())
            for delivery_id in ids:
                self._park(conn, delivery_id)
        return len(ids)

    def settle(self, report: CommitReport, destinations: Sequence[str], attempts: int) -> Settled:
        """Write what a peer said; idempotent, and deaf to peers that were not asked.

        Args:
            report: of one transaction.
            destinations: names of the peers with the AE title that sent it.
            attempts: failed requests after which an object is parked, not sent again.
        """
        with self._engine.begin() as conn:
            asked = {
                row["sop_instance_uid"]: row
                for row in conn.execute(_asked(report.transaction_uid, destinations)).mappings()
            }
            done = [asked[u] for u in report.committed if u in asked]
            for row in done:
                self._mark(conn, row["id"], _DONE, "")
                self._committed(conn, row["delivery_id"])
            open_ones = {u: row for u, row in asked.items() if row["state"] == _OPEN}
            lost = [(open_ones[u], code) for u, code in report.failed if u in open_ones]
            parked = sum(self._failed(conn, row, code, attempts) for row, code in lost)
        return Settled(committed=len(done), resent=len(lost) - parked, parked=parked)

    def _failed(self, conn: sa.Connection, row: sa.RowMapping, code: int, attempts: int) -> bool:
        """Send again, or park; True when parked."""
        self._mark(conn, row["id"], _FAILED, f"0x{code:04X}")
        tried = conn.execute(
            sa.select(sa.func.count()).where(
                commitment.c.delivery_id == row["delivery_id"], commitment.c.state == _FAILED
            )
        ).scalar_one()
        if code in PERMANENT or tried >= attempts:
            self._park(conn, row["delivery_id"])
            return True
        conn.execute(
            sa.update(delivery)
            .where(
                delivery.c.id == row["delivery_id"],
                delivery.c.state == DeliveryState.SENT.value,
            )
            .values(
                state=DeliveryState.PENDING.value,
                cause=f"lost: 0x{code:04X}",
                not_before=self._now(conn),
            )
        )
        return False

    def _committed(self, conn: sa.Connection, delivery_id: int) -> None:
        """A late yes also ends the worry about a parked object."""
        states = [DeliveryState.SENT.value, DeliveryState.PARKED.value]
        conn.execute(
            sa.update(delivery)
            .where(delivery.c.id == delivery_id, delivery.c.state.in_(states))
            .values(state=DeliveryState.COMMITTED.value, cause="", committed_at=self._now(conn))
        )

    def _park(self, conn: sa.Connection, delivery_id: int) -> None:
        """Park with the last cause; a retry by hand then begins to count anew."""
        own = commitment.c.delivery_id == delivery_id
        last = conn.execute(
            sa.select(commitment.c.cause).where(own).order_by(commitment.c.id.desc()).limit(1)
        ).scalar()
        conn.execute(
            sa.update(delivery)
            .where(delivery.c.id == delivery_id)
            .values(state=DeliveryState.PARKED.value, cause=f"not committed: {last}")
        )
        conn.execute(sa.update(commitment).where(own).values(state=_VOID))

    def _mark(self, conn: sa.Connection, row_id: int, state: str, cause: str) -> None:
        conn.execute(
            sa.update(commitment)
            .where(commitment.c.id == row_id)
            .values(state=state, cause=cause, answered_at=self._now(conn))
        )

    def _delay(self, conn: sa.Connection, mine: sa.ColumnElement[bool], delay_s: float) -> None:
        later = self._now(conn) + timedelta(seconds=delay_s)
        ids = sa.select(commitment.c.delivery_id).where(mine)
        conn.execute(sa.update(delivery).where(delivery.c.id.in_(ids)).values(not_before=later))


def _waiting(destination: str) -> sa.Select[Any]:
    """Sent objects of a destination that no open request names, oldest first."""
    open_ones = sa.select(commitment.c.delivery_id).where(commitment.c.state == _OPEN)
    return (
        sa.select(delivery.c.id, dicom_object.c.sop_class_uid, dicom_object.c.sop_instance_uid)
        .join(dicom_object, dicom_object.c.id == delivery.c.object_id)
        .where(
            delivery.c.state == DeliveryState.SENT.value,
            delivery.c.destination == destination,
            delivery.c.id.not_in(open_ones),
        )
        .order_by(delivery.c.id)
    )


def _asked(transaction_uid: str, destinations: Sequence[str]) -> sa.Select[Any]:
    return (
        sa.select(
            commitment.c.id,
            commitment.c.state,
            commitment.c.delivery_id,
            dicom_object.c.sop_instance_uid,
        )
        .join(delivery, delivery.c.id == commitment.c.delivery_id)
        .join(dicom_object, dicom_object.c.id == delivery.c.object_id)
        .where(
            commitment.c.transaction_uid == transaction_uid,
            commitment.c.state != _DONE,
            delivery.c.destination.in_(list(destinations)),
        )
    )
