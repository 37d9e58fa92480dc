"""Open the database: SQLite (WAL, synchronous FULL, BEGIN IMMEDIATE) or PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from ra_daemon.errors import StoreError

BUSY_TIMEOUT_MS = 30_000
_READING = "ra_reading"
_OPENED: WeakKeyDictionary[sa.Engine, tuple[int, int] | None] = WeakKeyDictionary()
"""File of the first connection of an engine: a later one may have made a new file."""
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs"})


def open_engine(url: str) -> sa.Engine:
    """Open the database for writing.

    Raises:
        StoreError: the address cannot be used, or SQLite lies on a network file system.
    """
    address = address_of(url)
    if address.get_backend_name() == "sqlite":
        return _open_sqlite(address)
    return sa.create_engine(address, pool_pre_ping=True, pool_size=10, max_overflow=20)


def read_only(url: str) -> sa.Engine:
    """Open the database so that the connection itself refuses to write.

    Raises:
        StoreError: the address cannot be used.
    """
    address = address_of(url)
    if address.get_backend_name() == "sqlite":
        path = Path(address.database or "").absolute()

        def connect() -> sqlite3.Connection:
            conn = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=BUSY_TIMEOUT_MS / 1000,
                check_same_thread=False,
            )
            conn.execute("PRAGMA query_only=ON")
            return conn

        engine = sa.create_engine("sqlite://", creator=connect, poolclass=NullPool)
        sa.event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("BEGIN"))
        return engine
    options = "-c default_transaction_read_only=on -c statement_timeout=300000"
    return sa.create_engine(address, connect_args={"options": options}, poolclass=NullPool)


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection that only reads, and sees one moment: counts of several statements agree.

    On SQLite it does not wait for the writer.
    """
    options: dict[str, Any] = {_READING: True}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"
    with engine.connect().execution_options(**options) as conn, conn.begin():
        yield conn


def insert_new(conn: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> int | None:
    """Insert a row unless a unique constraint has it already; its id, or None when there."""
    if conn.dialect.name == "postgresql":
        statement: Any = postgresql.insert(table)
    else:
        statement = sqlite.insert(table)
    statement = statement.values(dict(values)).on_conflict_do_nothing().returning(table.c.id)
    found: int | None = conn.execute(statement).scalar_one_or_none()
    return found


def address_of(url: str) -> URL:
    """The address as SQLAlchemy takes it.

    Raises:
        StoreError: it cannot be read, or names another database than the two.
    """
    try:
        address = make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:  # the second: a port that is no number
        raise StoreError(
            "The database URL cannot be read.",
            hint="Write store.url as sqlite:///PATH or postgresql://USER@HOST/NAME.",
        ) from error
    backend = address.get_backend_name()
    if backend == "sqlite":
        if not address.database or address.database == ":memory:":
            raise StoreError("SQLite needs a file.", hint="Write store.url as sqlite:///PATH.")
        return address.set(drivername="sqlite")
    if backend != "postgresql":
        raise StoreError(
            f"{backend} is not supported.",
            hint="Use sqlite:///PATH or postgresql://USER@HOST/NAME.",
        )
    return address.set(drivername="postgresql+psycopg")


def _open_sqlite(address: URL) -> sa.Engine:
    folder = Path(str(address.database)).absolute().parent
    kind = file_system(folder)
    if kind in _NETWORK:
        raise StoreError(
            f"SQLite on a network file system ({kind}) loses data.",
            hint="Put store.root on a local disk, or set store.url to a PostgreSQL database.",
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    timeout = BUSY_TIMEOUT_MS / 1000
    engine = sa.create_engine(address, connect_args={"timeout": timeout})
    sa.event.listen(engine, "connect", _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    file = Path(str(address.database))
    sa.event.listen(engine, "connect", lambda *_: _OPENED.setdefault(engine, _identity(file)))
    return engine


def in_place(engine: sa.Engine) -> bool:
    """Whether the file that is written still bears its name; a server answers for itself.

    SQLite goes on writing a file that was removed or replaced, and all is lost with the process.
    """
    if engine.dialect.name != "sqlite":
        return True
    opened = _OPENED.get(engine)
    return opened is None or opened == _identity(Path(engine.url.database or ""))


def has_file(engine: sa.Engine) -> bool:
    """Whether the file of an SQLite database is there, which a connection would make.

    A server answers for itself.
    """
    if engine.dialect.name != "sqlite":
        return True
    return _identity(Path(engine.url.database or "")) is not None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    path = Path(cursor.execute("PRAGMA database_list").fetchone()[2])
    with suppress(OSError):
        if path.stat().st_size == 0:  # new; journals get the mode that it has
            path.chmod(0o600)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(conn: sa.Connection) -> None:
    # A transaction that first reads and then writes fails at once, without waiting, when another
    # wrote in between; taking the write lock at the start makes it wait instead.
    reads = conn.get_execution_options().get(_READING, False)
    conn.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def file_system(path: Path) -> str:
    """Type of the file system that holds ``path`` (Linux), or "" when unknown."""
    table = Path("/proc/self/mounts")
    if not table.is_file():
        return ""
    best, kind = "", ""
    for line in table.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split()
        mount = fields[1].replace("\\040", " ")
        if len(mount) >= len(best) and path.resolve().is_relative_to(mount):
            best, kind = mount, fields[2]
    return kind
