"""A database of the first version, with rows in every table, is brought to this version whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from ra_daemon.domain import Composed, Reason, Refused
from ra_daemon.store import audit, reports, schema
from ra_daemon.store.engine import open_engine
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.tables import metadata
from tests.support.verdicts import admission, admit, full, record, scored

Rows = dict[str, list[dict[str, Any]]]
FIRST = "0001"
MIGRATIONS = Path(schema.__file__).parent / "migrations"


@pytest.fixture
def old(empty_url: str) -> Iterator[sa.Engine]:
    """A database as the first version made it, empty."""
    opened = open_engine(empty_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    with opened.begin() as conn:
        context = MigrationContext.configure(conn)
        with Operations.context(context):
            script.get_revision(FIRST).module.upgrade()
        context.stamp(script, FIRST)
    yield opened
    opened.dispose()


def tables_of(engine: sa.Engine) -> dict[str, sa.Table]:
    """Every table with its columns, parents first."""
    found = sa.MetaData()
    found.reflect(engine)
    return {t.name: t for t in found.sorted_tables if t.name != "alembic_version"}


def rows_of(engine: sa.Engine, columns: dict[str, list[str]]) -> Rows:
    """All rows of those tables and columns, in the order of their keys."""
    held = tables_of(engine)
    found: Rows = {}
    with engine.connect() as conn:
        for name, wanted in columns.items():
            table = held[name]
            query = sa.select(*(table.c[c] for c in wanted)).order_by(*table.primary_key)
            found[name] = [dict(row) for row in conn.execute(query).mappings()]
    return found


def lived_in(engine: sa.Engine, queue: JobQueue, objects: ObjectStore) -> None:
    """A verdict that was superseded, its objects, a refusal, a changed header, a person's act."""
    made = admission()
    record(engine, queue, made, scored())
    (task,) = reports.due_reports(engine, objects, 9)
    sr = Composed(
        kind="sr", sop_class_uid="1.2", sop_instance_uid="2.25.1", path="x", sha256="0" * 64
    )
    reports.finish_report(engine, task.report_id, [sr], {"PACS": True})
    record(engine, queue, made, full(), pipeline="q" * 64)
    record(engine, queue, admission("1.2.4"), Refused(reason=Reason.CAST), refusal_report=True)
    admit(engine, admission(content="another header"))
    with engine.begin() as conn:
        ids = conn.execute(sa.select(metadata.tables["outcome"].c.id)).scalars().all()
        sources = metadata.tables["outcome_source"]
        conn.execute(sa.insert(sources).values(outcome_id=ids[1], source_id=ids[0]))
        audit.append(conn, who="op", what="job.retry", old="failed", new="queued", why="disk")


def copy(rows: Rows, target: sa.Engine) -> None:
    """Write rows as they are; an outcome after the one that took its place."""
    tables = tables_of(target)
    with target.begin() as conn:
        for name, table in tables.items():
            for row in reversed(rows[name]) if name == "outcome" else rows[name]:
                conn.execute(sa.insert(table).values(row))


def test_rows_of_the_first_version_are_whole_after_an_upgrade(
    old: sa.Engine, engine: sa.Engine, queue: JobQueue, objects: ObjectStore
) -> None:
    columns = {name: [c.name for c in table.columns] for name, table in tables_of(old).items()}
    lived_in(engine, queue, objects)
    before = rows_of(engine, columns)
    assert [name for name, rows in before.items() if not rows] == []
    copy(before, old)
    assert rows_of(old, columns) == before

    schema.upgrade(old)
    schema.check_version(old)

    assert rows_of(old, columns) == before
    with old.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert audit.verify(conn) == before["audit"][-1]["hash"]
        for view in schema.VIEWS:
            assert conn.execute(sa.text(f"SELECT * FROM {view}")).first() is not None, view
    added = rows_of(old, {"result": ["engine", "device"], "instance": ["purged_at"]})
    assert {bool(r["engine"]): r["device"] for r in added["result"]} == {True: "cpu"}
    assert {r["purged_at"] for r in added["instance"]} == {None}
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), old.begin() as conn:
        conn.execute(sa.text("DELETE FROM audit"))
