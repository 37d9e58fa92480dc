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


@contextlib.contextmanager
def postgres_database(maintenance_url: str) -> Iterator[str]:
    """A new empty database in a running cluster; yields its URL."""
    name = f"t{uuid.uuid4().hex}"
    admin = sa.create_engine(
        maintenance_url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    try:
        with admin.connect() as conn:
            conn.exec_driver_sql(f"CREATE DATABASE {name}")
        yield maintenance_url.replace("/postgres?", f"/{name}?")
        with admin.connect() as conn:
            conn.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        admin.dispose()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Maintenance URL of the session's PostgreSQL cluster."""
    with postgres_cluster() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ra-daemon.db'}"
        return
    with postgres_database(request.getfixturevalue("postgres_url")) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """An engine on an upgraded database, once of each kind."""
    opened = open_engine(database_url)
    upgrade(opened)
    yield opened
    opened.dispose()
