"""One read-only statement by a person, and its rows as JSON, CSV or Parquet.

The connection itself refuses to write; the statement is checked as well, because a few commands
reach outside the database (COPY ... TO PROGRAM, ATTACH).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from ra_daemon.errors import StoreError
from ra_daemon.faults import of_database
from ra_daemon.store.engine import read_only

Columns = list[str]
Rows = list[tuple[Any, ...]]

_ALLOWED = frozenset({"select", "with", "values", "explain"})
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_SKIP = re.compile(
    r"""
      --[^\n]*                      # comment to the end of the line
    | /\*.*?\*/                     # comment
    | '(?:[^']|'')*'                # text
    | "(?:[^"]|"")*"                # name
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$   # text between dollar signs (PostgreSQL)
    """,
    re.VERBOSE | re.DOTALL,
)


def run_query(url: str, sql: str) -> tuple[Columns, Rows]:
    """Run one reading statement on the database at ``url``.

    Returns:
        Column names and rows; moments as ISO 8601 text in UTC.

    Raises:
        StoreError: more than one statement, not a reading one, or the database refuses it.
    """
    with open_query(url, sql) as (columns, rows):
        return columns, list(rows)


@contextmanager
def open_query(url: str, sql: str) -> Iterator[tuple[Columns, Iterator[tuple[Any, ...]]]]:
    """``run_query`` for results that memory should not hold: rows come as they are asked for.

    Raises:
        StoreError: as for ``run_query``; also in the middle of the rows.
    """
    statement = _checked(sql)
    engine = read_only(url)
    try:
        with engine.connect() as conn, _rows(conn, statement) as found:
            yield found
    except sa.exc.DBAPIError as error:  # of the connection: statements go by the driver's cursor
        raise of_database(error.orig or error) from error
    except Exception as error:
        if not _from_driver(error):
            raise
        raise _refused(error) from error
    finally:
        engine.dispose()


def sorted_rows(rows: Iterable[Sequence[Any]]) -> Rows:
    """Rows in one fixed order, whatever the database's was: empty, then numbers, then text."""
    return sorted((tuple(r) for r in rows), key=lambda row: [_rank(v) for v in row])


def write_json(columns: Sequence[str], rows: Iterable[Sequence[Any]], out: IO[str]) -> None:
    """A JSON list with one object a row; numbers as they are, empty values as null."""
    out.write("[")
    for number, row in enumerate(rows):
        record = dict(zip(columns, row, strict=True))
        told = json.dumps([record], ensure_ascii=False, indent=1)
        out.write(("," if number else "") + told[1:-2])  # between the brackets
    out.write("\n]\n")


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], out: IO[str]) -> None:
    """CSV with a header (RFC 4180, open the file with ``newline=""``).

    Text that a spreadsheet would run as a formula gets a leading apostrophe; numbers do not.
    """
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_cell(c) for c in columns])
    writer.writerows([_cell(v) for v in row] for row in rows)


def write_parquet(columns: Sequence[str], rows: Iterable[Sequence[Any]], path: Path) -> None:
    """Parquet; a column's type is that of its values, empty columns are text.

    Raises:
        StoreError: a column mixes text and numbers.
    """
    import pyarrow as pa
    from pyarrow import parquet

    held = [tuple(r) for r in rows]
    arrays = []
    for number, name in enumerate(columns):
        values = [row[number] for row in held]
        try:
            empty = all(v is None for v in values)
            arrays.append(pa.array(values, type=pa.string() if empty else None))
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise StoreError(
                f"Column {name} mixes text and numbers.", hint="Cast it in the query."
            ) from error
    parquet.write_table(pa.Table.from_arrays(arrays, names=list(columns)), path)


def _checked(sql: str) -> str:
    bare = _SKIP.sub(lambda m: " " if m[0].startswith(("-", "/")) else "''", sql)
    statements = [part for part in bare.split(";") if part.strip()]
    if len(statements) != 1:
        found = "none" if not statements else str(len(statements))
        raise StoreError(f"One statement is allowed, found {found}.", hint="Run them one by one.")
    first = statements[0].strip().lstrip("(").split(None, 1)[0].lower()
    if first not in _ALLOWED:
        raise StoreError(
            f"{first.upper()} is not allowed here.",
            hint="Write a SELECT over the views v1_results, v1_refusals, v1_instances, v1_jobs or "
            "v1_deliveries.",
        )
    return sql.strip()


@contextmanager
def _rows(
    conn: sa.Connection, statement: str
) -> Iterator[tuple[Columns, Iterator[tuple[Any, ...]]]]:
    # The driver's own cursor: a % in the text is no parameter there. psycopg streams by the
    # extended protocol, which takes one statement; sqlite3 takes no more than one by itself.
    driver: Any = conn.connection.driver_connection
    cursor = driver.cursor()
    stream: Any = None
    if conn.dialect.name == "postgresql":
        stream = cursor.stream(statement)
        first = next(stream, None)
        if first is None:  # without a row the columns are told by an execution only
            cursor.execute(statement, prepare=True)
            rows = iter(cursor)
        else:
            rows = chain([first], stream)
    else:
        rows = cursor.execute(statement)
    names = [str(d[0]) for d in cursor.description or ()]
    try:
        yield names, (tuple(_plain(v) for v in row) for row in rows)
    finally:
        if stream is not None:
            stream.close()  # rows that nobody took would keep the connection busy
        cursor.close()


def _from_driver(error: BaseException) -> bool:
    return type(error).__module__.split(".")[0] in ("sqlite3", "psycopg")


def _refused(error: BaseException) -> StoreError:
    # The database's message names tables, columns and positions; it can quote the statement.
    # Of SQLite these are the file's fault, not the statement's.
    if type(error).__name__ == "DatabaseError" or "is locked" in str(error):
        return of_database(error)
    return StoreError(
        f"The database refuses the query: {str(error).splitlines()[0]}",
        hint="docs/trials.md describes the views; select * ... limit 1 shows a view's columns.",
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value


def _rank(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, int | float):
        return 1, value
    return 2, str(value)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value
