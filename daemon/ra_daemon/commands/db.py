"""ra-daemon db: upgrade or check the database."""

from __future__ import annotations

from pathlib import Path

import click

from ra_daemon.commands.common import config_option, emit_json, emit_table, json_option, load, say


@click.group("db")
def command() -> None:
    """Upgrade or check the database."""


@command.command("upgrade")
@config_option
def upgrade(config_path: Path | None) -> None:
    """Bring the database to this program's version; make a backup first."""
    from ra_daemon import settings
    from ra_daemon.store import schema
    from ra_daemon.store.engine import open_engine

    config = load(config_path)
    settings.check_root(config)
    engine = open_engine(config.database_url)
    try:
        before, after = schema.revisions(engine)
        schema.check_lost(before, config.root)
        schema.upgrade(engine)
    finally:
        engine.dispose()
    say(f"The database is at {after}" + (", as before." if before == after else f", was {before}."))


@command.command("check")
@config_option
@json_option
def check(config_path: Path | None, *, as_json: bool) -> None:
    """Compare versions and verify the audit chain; exit status 5 when they do not fit."""
    from ra_daemon.commands.common import database
    from ra_daemon.store import audit, schema
    from ra_daemon.store.engine import reading

    with database(load(config_path)) as engine:
        there, program = schema.revisions(engine)
        with reading(engine) as conn:
            head = audit.verify(conn)
    found = {"database": there, "program": program, "audit_head": head}
    if as_json:
        emit_json(found)
    else:
        emit_table(("what", "value"), list(found.items()))
