"""Contract of the schema: migrations match the tables, the public views keep their columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ra_daemon.errors import DatabaseLostError, StoreError
from ra_daemon.store import audit, schema
from ra_daemon.store.engine import open_engine, read_only, reading
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.query import open_query, run_query
from ra_daemon.store.tables import metadata

IDENTITY = "patient_id accession_number study_instance_uid sop_instance_uid study_date"
PINNED = {
    "v1_results": f"{IDENTITY} hands laterality laterality_source joint kind label value low high "
    "level units scale_max rubric bundle bundle_version bundle_digest engine precision "
    "preprocessing_digest source_sha256 role demonstration status superseded_by sr_instance_uid "
    "created_at outcome_id view spread detail derived_from intended_use retracted_at "
    "retract_reason device",
    "v1_refusals": f"{IDENTITY} source_sha256 reason_code reason role demonstration status "
    "superseded_by sr_instance_uid created_at outcome_id",
    "v1_instances": f"{IDENTITY} source_sha256 pixel_sha256 path size calling_ae called_ae address "
    "route conflict received_at instance_id purged_at purge_reason seen_again_at",
    "v1_jobs": "job_id patient_id accession_number study_instance_uid sop_instance_uid "
    "source_sha256 pipeline_digest state lane route attempts lost_leases cause message blame owner "
    "created_at not_before lease_until finished_at instance_id",
    "v1_deliveries": "delivery_id patient_id accession_number study_instance_uid "
    "source_sop_instance_uid sop_instance_uid sop_class_uid kind path sha256 destination state "
    "attempts cause status_code created_at not_before sent_at committed_at demonstration "
    "outcome_id",
}


@pytest.fixture
def bare(empty_url: str) -> Iterator[sa.Engine]:
    opened = open_engine(empty_url)
    yield opened
    opened.dispose()


@pytest.mark.parametrize("name", sorted(PINNED))
def test_the_columns_of_the_public_views_are_pinned(engine: sa.Engine, name: str) -> None:
    with engine.connect() as conn:
        found = conn.execute(sa.text(f"SELECT * FROM {name}"))
        assert list(found.keys()) == PINNED[name].split()


def test_all_views_are_pinned() -> None:
    assert set(schema.VIEWS) == set(PINNED)


def test_migrations_build_what_the_tables_say(engine: sa.Engine) -> None:
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_upgrading_twice_changes_nothing(engine: sa.Engine) -> None:
    schema.upgrade(engine)
    schema.check_version(engine)
    there, head = schema.revisions(engine)
    assert there == head


def test_an_empty_database_is_told_how_to_upgrade(bare: sa.Engine) -> None:
    with pytest.raises(StoreError) as caught:
        schema.check_version(bare)
    assert "ra-daemon db upgrade" in caught.value.hint
    schema.upgrade(bare)
    schema.check_version(bare)


def test_no_new_database_is_made_beside_objects(bare: sa.Engine, objects: ObjectStore) -> None:
    there, _program = schema.revisions(bare)
    schema.check_lost(there, objects.root)
    objects.put_bytes(b"image", ".dcm")
    with pytest.raises(DatabaseLostError):
        schema.check_lost(there, objects.root)
    if bare.dialect.name == "sqlite":
        assert not Path(str(bare.url.database)).exists()  # a look makes none
    schema.upgrade(bare)
    there, _program = schema.revisions(bare)
    schema.check_lost(there, objects.root)


def test_a_newer_database_is_left_alone(engine: sa.Engine) -> None:
    with engine.begin() as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for act in (schema.upgrade, schema.check_version):
        with pytest.raises(StoreError, match="newer"):
            act(engine)


def test_the_audit_chain_holds_and_cannot_be_changed(engine: sa.Engine) -> None:
    with engine.begin() as conn:
        assert audit.verify(conn) == audit.GENESIS
        audit.append(conn, who="op", what="job.retry", old="failed", new="queued", why="disk")
        head = audit.append(conn, who="op", what="lock", why="endpoint")
        assert audit.verify(conn) == head
        assert [e.what for e in audit.entries(conn)] == ["job.retry", "lock"]
        assert [e.what for e in audit.entries(conn, limit=1)] == ["lock"]
    for sql in ("UPDATE audit SET who = 'x'", "DELETE FROM audit"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as conn:
            conn.execute(sa.text(sql))


def test_a_forged_entry_breaks_the_chain(engine: sa.Engine) -> None:
    with engine.begin() as conn:
        audit.append(conn, who="op", what="a")
        for trigger in ("audit_no_update", "audit_no_delete", "audit_no_change"):
            if engine.dialect.name == "sqlite":
                conn.execute(sa.text(f"DROP TRIGGER IF EXISTS {trigger}"))
            else:
                conn.execute(sa.text(f"DROP TRIGGER IF EXISTS {trigger} ON audit"))
        conn.execute(sa.text("UPDATE audit SET who = 'someone else'"))
        with pytest.raises(StoreError, match="entry 1"):
            audit.verify(conn)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM report",
        "WITH gone AS (DELETE FROM report RETURNING 1) SELECT * FROM gone",
        "SELECT 1; DELETE FROM report",
        "SELECT 1; SELECT 2",
        "PRAGMA query_only = OFF",
        "ATTACH DATABASE 'x' AS y",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SET default_transaction_read_only = off",
        "SELECT nope FROM v1_results",
        "EXPLAIN ANALYZE DELETE FROM report",
        "SELECT 1 INTO TEMP t",
        "VALUES (1); COMMIT; DELETE FROM report",
        "SELECT '\\'; DELETE FROM report; --'",
        "SELECT $a$ $a$; DELETE FROM report",
        "SELECT load_extension('x')",
        "WITH off AS (SELECT set_config('transaction_read_only', 'off', false)) DELETE FROM report",
        "",
        "-- nothing",
    ],
)
def test_a_query_only_reads(engine: sa.Engine, database_url: str, sql: str) -> None:
    with pytest.raises(StoreError):
        run_query(database_url, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a;b' AS x, 1 AS n WHERE 'abc' LIKE 'a%'",
        "-- first; second\nSELECT 'a;b' AS x, 1 AS n /* ; */;",
        "WITH t AS (SELECT 'a;b' AS x, 1 AS n) SELECT * FROM t",
    ],
)
def test_one_reading_statement_runs(engine: sa.Engine, database_url: str, sql: str) -> None:
    assert run_query(database_url, sql) == (["x", "n"], [("a;b", 1)])


def test_rows_come_as_they_are_asked_for(engine: sa.Engine, database_url: str) -> None:
    many = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5000) "
    with open_query(database_url, many + "SELECT n, 'x' AS x FROM t") as (columns, rows):
        assert columns == ["n", "x"]
        assert next(rows) == (1, "x")
        assert sum(1 for _ in rows) == 4999
    with open_query(database_url, many + "SELECT n FROM t") as (_columns, rows):
        next(rows)  # the rest is left: the connection must still close


def test_no_rows_have_columns_too(engine: sa.Engine, database_url: str) -> None:
    assert run_query(database_url, "SELECT 1 AS n WHERE 1 = 0") == (["n"], [])


def test_a_setting_cannot_open_the_connection(engine: sa.Engine, database_url: str) -> None:
    if engine.dialect.name == "sqlite":
        run_query(database_url, "SELECT * FROM pragma_table_info('report')")
    else:
        sql = "SELECT set_config('transaction_read_only', 'off', false)"
        with pytest.raises(StoreError):
            run_query(database_url, sql)


def test_the_reading_connection_itself_refuses_to_write(
    engine: sa.Engine, database_url: str
) -> None:
    reader = read_only(database_url)
    with pytest.raises(sa.exc.DBAPIError), reader.begin() as conn:
        conn.execute(sa.text("DELETE FROM report"))
    reader.dispose()


def test_one_reading_sees_one_moment(engine: sa.Engine, database_url: str) -> None:
    """Else a report that is composed between two counts is neither due nor on its way."""
    add = sa.text("INSERT INTO moment VALUES (1)")
    count = sa.text("SELECT COUNT(*) FROM moment")
    with engine.begin() as conn:
        conn.execute(sa.text("CREATE TABLE moment (x INTEGER)"))
    for reader in (read_only(database_url), engine):
        with reading(reader) as conn:
            before = conn.execute(count).scalar_one()
            with engine.begin() as writer:
                writer.execute(add)
            assert conn.execute(count).scalar_one() == before
        with reading(reader) as conn:
            assert conn.execute(count).scalar_one() == before + 1
