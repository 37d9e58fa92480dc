"""Databases of tests: a SQLite file, and a real PostgreSQL cluster of our own.

The cluster is started from the Debian package's binaries in a temporary folder, listens on a unix
socket only, and every test gets a database of its own in it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ra_daemon.store.engine import open_engine
from ra_daemon.store.schema import upgrade
from tests.support.peers import find_tool, require_tool
from tests.support.processes import free_port

PACKAGE = "postgresql"


def _binary(name: str) -> Path:
    """A server program of any installed major version, the newest first."""
    if find_tool(name) is None:
        for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
            if (folder / name).exists():
                return folder / name
    return require_tool(name, PACKAGE)


def _run(arguments: list[str], folder: Path) -> None:
    # The server refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    subprocess.run(
        arguments, cwd=folder, user=user, group=user, check=True, capture_output=True, timeout=120
    )


@contextlib.contextmanager
def postgres_cluster() -> Iterator[str]:
    """A running server; yields the URL of its maintenance database."""
    initdb, control = _binary("initdb"), _binary("pg_ctl")
    folder = Path(tempfile.mkdtemp(prefix="ra-pg-"))
    port = free_port()
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        data = folder / "data"
        _run([str(initdb), "-D", str(data), "-A", "trust", "-U", "ra", "-E", "UTF8"], folder)
        # Collation and time zone unlike the tests' own: nothing may depend on them.
        options = f"-k {folder} -p {port} -c listen_addresses='' -c timezone=Asia/Kathmandu"
        log = folder / "log"
        _run([str(control), "-D", str(data), "-l", str(log), "-o", options, "-w", "start"], folder)
        try:
            yield f"postgresql://ra@/postgres?host={folder}&port={port}"
        finally:
            _run([str(control), "-D", str(data), "-m", "immediate", "-w", "stop"], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _execute(maintenance_url: str, sql: str) -> None:
    admin = sa.create_engine(
        maintenance_url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as conn:
        conn.exec_driver_sql(sql)
    admin.dispose()


@contextlib.contextmanager
def postgres_database(maintenance_url: str, template: str = "template1") -> Iterator[str]:
    """A new database in a running cluster, a copy of ``template``; yields its URL."""
    name = f"t{uuid.uuid4().hex}"
    _execute(maintenance_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield maintenance_url.replace("/postgres?", f"/{name}?")
    _execute(maintenance_url, f"DROP DATABASE {name} WITH (FORCE)")


def _upgraded(url: str) -> None:
    opened = open_engine(url)
    upgrade(opened)
    opened.dispose()  # closing the last connection folds the WAL into the file


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Maintenance URL of the session's PostgreSQL cluster."""
    with postgres_cluster() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> str:
    """Name of an upgraded database to copy: migrations run once a session."""
    _execute(postgres_url, "CREATE DATABASE upgraded")
    _upgraded(postgres_url.replace("/postgres?", "/upgraded?"))
    return "upgraded"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upgraded SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "ra-daemon.db"
    _upgraded(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Runs a test once for each kind of database."""
    return str(request.param)


@pytest.fixture
def empty_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    with postgres_database(request.getfixturevalue("postgres_url")) as url:
        yield url


@pytest.fixture
def database_url(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    """URL of an upgraded database without rows."""
    if database_kind == "sqlite":
        path = tmp_path / "ra-daemon.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    template = request.getfixturevalue("postgres_template")
    with postgres_database(request.getfixturevalue("postgres_url"), template) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """An engine on an upgraded database, once of each kind."""
    opened = open_engine(database_url)
    yield opened
    opened.dispose()


@contextlib.contextmanager
def full_disk(engine: sa.Engine) -> Iterator[None]:
    """An SQLite file that cannot grow meanwhile: the same error as of a full disk (SQLITE_FULL)."""

    def limit(pages: int) -> None:
        with engine.connect() as conn:
            conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    with engine.connect() as conn:
        now = int(conn.exec_driver_sql("PRAGMA page_count").scalar_one())
    limit(now)
    try:
        yield
    finally:
        limit(1 << 30)
