"""The time that leases and schedules are measured by: the database's, never a worker's.

Workers on several machines share one PostgreSQL, so its clock decides. An SQLite database lives on
the machine of its only node: there the process clock is the database's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import sqlalchemy as sa

Clock = Callable[[sa.Connection], datetime]
"""Gives the present moment, aware, UTC."""


def database_now(conn: sa.Connection) -> datetime:
    """The present moment by the database, aware, UTC; advances within a transaction."""
    if conn.dialect.name == "postgresql":
        moment: datetime = conn.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        return moment.astimezone(UTC)
    return datetime.now(UTC)
