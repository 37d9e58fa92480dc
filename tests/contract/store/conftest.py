"""The same suite runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from tests.support.databases import (
    database_kind,
    database_url,
    empty_url,
    engine,
    postgres_template,
    postgres_url,
    sqlite_template,
)

__all__ = [
    "database_kind",
    "database_url",
    "empty_url",
    "engine",
    "objects",
    "postgres_template",
    "postgres_url",
    "queue",
    "sqlite_template",
]


@pytest.fixture
def queue(engine: sa.Engine) -> JobQueue:
    """A queue on the database's own clock."""
    return JobQueue(engine)


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    """An empty object store."""
    return ObjectStore(tmp_path / "root")
