"""Column types that read and compare the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


class Utc(TypeDecorator[datetime]):
    """A moment, kept as ISO 8601 text of fixed width in UTC.

    Text of fixed width sorts as time does and leaves the views the same on both databases.
    """

    impl = sa.String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Aware datetime to text."""
        return None if value is None else iso(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Text to aware datetime."""
        return None if value is None else datetime.strptime(value, _FORM).replace(tzinfo=UTC)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds, e.g. ``2026-11-23T14:30:00.000000Z``."""
    return moment.astimezone(UTC).strftime(_FORM)


Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""Primary and foreign keys; SQLite numbers rows only in a column of type INTEGER."""
