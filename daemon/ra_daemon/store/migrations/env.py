"""Run migrations on the connection that ``schema.upgrade`` hands over; there is no ini file."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from ra_daemon.store.schema import create_views, drop_views
from ra_daemon.store.tables import metadata

_LOCK = 5_282_614_100_002  # two nodes that start together must not both migrate


def run() -> None:
    """Migrate between two views of the tables; on PostgreSQL one node at a time."""
    connection: sa.Connection = context.config.attributes["connection"]
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    drop_views(connection)
    with context.begin_transaction():
        context.run_migrations()
    create_views(connection)


run()
