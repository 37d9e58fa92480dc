"""Append-only record of who changed what, when and why, chained by hashes.

The database aborts updates and deletes by triggers. Each row's hash covers its fields and the hash
before it; cutting the end off shows when the head hash was noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ra_daemon.errors import StoreError
from ra_daemon.store.clock import database_now
from ra_daemon.store.columns import iso
from ra_daemon.store.tables import audit

GENESIS = "0" * 64
_LOCK = 5_282_614_100_001  # PostgreSQL advisory lock: appends queue up, so the chain never forks


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One entry; ``old`` and ``new`` as text, without patient data."""

    number: int
    at: datetime
    who: str
    what: str
    old: str
    new: str
    why: str
    previous: str
    hash: str


def append(
    conn: sa.Connection, *, who: str, what: str, old: str = "", new: str = "", why: str = ""
) -> str:
    """Add an entry in the caller's transaction; returns the new head hash."""
    if conn.dialect.name == "postgresql":
        conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    last = conn.execute(sa.select(audit).order_by(audit.c.id.desc()).limit(1)).mappings().first()
    row = _hashed(
        number=1 if last is None else int(last["id"]) + 1,
        at=database_now(conn),
        who=who,
        what=what,
        old=old,
        new=new,
        why=why,
        previous=GENESIS if last is None else str(last["hash"]),
    )
    conn.execute(
        sa.insert(audit).values(
            id=row.number,
            at=row.at,
            who=row.who,
            what=row.what,
            old=row.old,
            new=row.new,
            why=row.why,
            previous=row.previous,
            hash=row.hash,
        )
    )
    return row.hash


def entries(conn: sa.Connection, limit: int | None = None) -> list[AuditRow]:
    """Entries, oldest first; with ``limit`` the last ones."""
    query = sa.select(audit).order_by(audit.c.id.desc())
    if limit is not None:
        query = query.limit(limit)
    rows = [_entry(row) for row in conn.execute(query).mappings()]
    return rows[::-1]


def verify(conn: sa.Connection) -> str:
    """Check the chain from its start; returns the head hash (zeros when empty).

    Raises:
        StoreError: an entry was changed, removed or put in; the message names the first.
    """
    previous = GENESIS
    for number, row in enumerate(entries(conn), start=1):
        expected = _hashed(
            number=number,
            at=row.at,
            who=row.who,
            what=row.what,
            old=row.old,
            new=row.new,
            why=row.why,
            previous=previous,
        )
        if row != expected:
            raise StoreError(
                f"The audit chain breaks at entry {number}.",
                hint="Compare with the last backup and with the head hash in the system log.",
            )
        previous = row.hash
    return previous


def _hashed(
    *,
    number: int,
    at: datetime,
    who: str,
    what: str,
    old: str,
    new: str,
    why: str,
    previous: str,
) -> AuditRow:
    covered = json.dumps([number, iso(at), who, what, old, new, why, previous])
    return AuditRow(
        number=number,
        at=at,
        who=who,
        what=what,
        old=old,
        new=new,
        why=why,
        previous=previous,
        hash=hashlib.sha256(covered.encode()).hexdigest(),
    )


def _entry(row: sa.RowMapping) -> AuditRow:
    fields = {k: row[k] for k in ("at", "who", "what", "old", "new", "why", "previous", "hash")}
    return AuditRow(number=int(row["id"]), **fields)
