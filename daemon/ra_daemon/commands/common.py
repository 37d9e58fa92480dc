"""What commands share: options, tables, JSON, the database."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ra_daemon.config import Config, Peer

_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_COMMANDING = str.maketrans(
    {c: f"\\x{c:02x}" for c in (*range(32), *range(127, 160)) if chr(c) not in "\t\n"}
    | {c: f"\\u{c:04x}" for c in (*range(0x2028, 0x202F), *range(0x2066, 0x206A))}
)
"""What would command a terminal or turn its text round; headers come from anywhere."""

NUMBER = click.IntRange(1, 2**63 - 1)
"""Number of a row: more than a database can hold is a slip of the keyboard."""
F = TypeVar("F", bound=Callable[..., Any])


class RegularFile(click.Path):
    """A file that is there: no folder, and no pipe or device, whose reading may never end."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, exists=True, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; else a usage error (status 2)."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.is_file():
            self.fail(f"{str(path)!r} is no regular file.", param, ctx)
        return path


def config_option(function: F) -> F:
    """``--config FILE``."""
    return click.option(
        "--config",
        "config_path",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Configuration; else RA_DAEMON_CONFIG, ./ra-daemon.toml, /etc/ra-daemon/.",
    )(function)


def json_option(function: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def load(config_path: Path | None, *, required: bool = True) -> Config:
    """The configuration; errors carry their own words."""
    from ra_daemon import settings

    return settings.load(config_path, required=required)


def peer_named(config: Config, name: str) -> Peer:
    """The peer of that name.

    Raises:
        ConfigError: none has it.
    """
    from ra_daemon.errors import ConfigError

    peer = config.peer_named(name)
    if peer is None:
        known = ", ".join(p.name for p in config.peer) or "none"
        raise ConfigError(f"There is no peer {name!r}; the file names {known}.")
    return peer


def emit_json(value: object) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=1, default=str))


def emit_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table: drawn on a terminal, separated by tabs elsewhere.

    A tab, a line end or a backslash in a cell is written ``\\t``, ``\\n``, ``\\r`` or ``\\\\``, as
    PostgreSQL's COPY does: one line stays one row. On a terminal control characters and those that
    change the direction of text are shown as escapes.
    """
    cells = [["" if v is None else str(v) for v in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *cells):
            click.echo("\t".join(cell.translate(_ESCAPES) for cell in line))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        drawn.add_column(Text(name.translate(_COMMANDING)))
    for line in cells:
        drawn.add_row(*(Text(cell.translate(_COMMANDING)) for cell in line))
    Console().print(drawn)


def say(text: str) -> None:
    """Talk, on standard error."""
    click.echo(text, err=True)


@contextmanager
def database(config: Config) -> Iterator[sa.Engine]:
    """The node's database, of this program's version.

    Raises:
        DatabaseLostError: it is gone or empty, and the store has objects.
        StoreError: there is none yet, or its version is another.
    """
    from ra_daemon.faults import of_database
    from ra_daemon.store.engine import open_engine
    from ra_daemon.store.schema import check_lost, check_version, revisions

    check_there(config)
    import sqlalchemy

    engine = open_engine(config.database_url)
    try:
        check_lost(revisions(engine)[0], config.root)
        check_version(engine)
        yield engine
    except sqlalchemy.exc.DatabaseError as error:
        raise of_database(error.orig or error) from error
    finally:
        engine.dispose()


def check_there(config: Config) -> None:
    """Refuse an SQLite file that is not there, or empty; opened for writing it would be made.

    Raises:
        DatabaseLostError: it is gone, and the store has objects.
        StoreError: there is none yet.
    """
    from ra_daemon.errors import StoreError
    from ra_daemon.store.schema import check_lost

    path = sqlite_path(config)
    if path is not None and not (path.is_file() and path.stat().st_size):
        check_lost(None, config.root)
        raise StoreError(
            "There is no database yet.", hint="ra-daemon start makes it; or ra-daemon db upgrade."
        )


def sqlite_path(config: Config) -> Path | None:
    """The SQLite file, or None with another database."""
    url = config.database_url
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def running_pid(config: Config) -> int | None:
    """Process id of the running node, or None."""
    import psutil

    try:
        pid = int((config.root / "run" / "ra-daemon.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    try:
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        ours = any("ra-daemon" in p or "ra_daemon" in p for p in process.cmdline())
    except psutil.Error:
        return None
    return pid if alive and ours else None
