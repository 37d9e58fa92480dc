"""The database's version: upgrade it, and refuse to run on another one."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from ra_daemon.errors import DatabaseLostError, StoreError
from ra_daemon.store.engine import has_file

_FOLDER = Path(__file__).parent
VIEWS = ("v1_results", "v1_refusals", "v1_instances", "v1_jobs", "v1_deliveries")


def upgrade(engine: sa.Engine) -> None:
    """Bring the database to this program's version; does nothing when it is there.

    Raises:
        StoreError: the database was written by a newer program.
    """
    if _state(engine) == "current":
        return
    if _state(engine) == "newer":
        raise _newer()
    config = _config()
    with engine.begin() as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "head")


def check_version(engine: sa.Engine) -> None:
    """Refuse a database of another version.

    Raises:
        StoreError: it is older, newer or empty.
    """
    state = _state(engine)
    if state == "newer":
        raise _newer()
    if state != "current":
        raise StoreError(
            "The database is older than this program.",
            hint="Make a backup (ra-daemon backup DIR), then run ra-daemon db upgrade.",
        )


def check_lost(there: str | None, root: Path) -> None:
    """Refuse to begin anew beside objects: the rows that explain them were in a lost database.

    Images in the inbox are no such sign: they have no rows yet.

    Args:
        there: revision of the database; None when it is missing or empty.
        root: of the store.

    Raises:
        DatabaseLostError: there are objects and no database.
    """
    if there is None and any((root / "objects").glob("*/*")):
        raise DatabaseLostError("objects/ has files, and their database is gone or empty.")


def revisions(engine: sa.Engine) -> tuple[str | None, str]:
    """(revision of the database or None, revision of this program); makes no SQLite file."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if not has_file(engine):
        return None, str(head)
    with engine.connect() as conn:
        return MigrationContext.configure(conn).get_current_revision(), str(head)


def drop_views(conn: sa.Connection) -> None:
    """Remove the public views, so that tables beneath them may change."""
    for name in VIEWS:
        conn.execute(sa.text(f"DROP VIEW IF EXISTS {name}"))


def create_views(conn: sa.Connection) -> None:
    """Create the public views as this program defines them."""
    for name in VIEWS:
        body = (_FOLDER / "views" / f"{name}.sql").read_text(encoding="utf-8")
        conn.execute(sa.text(f"CREATE VIEW {name} AS\n{body}"))


def _state(engine: sa.Engine) -> str:
    there, head = revisions(engine)
    if there == head:
        return "current"
    known = {s.revision for s in ScriptDirectory.from_config(_config()).walk_revisions()}
    return "older" if there is None or there in known else "newer"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER / "migrations").replace("%", "%%"))
    return config


def _newer() -> StoreError:
    return StoreError(
        "The database was written by a newer program.",
        hint="Install that version of ra-daemon, or restore the backup made before the upgrade; "
        "ra-daemon db upgrade goes forward only.",
    )
