"""ra-daemon status: counts of one moment."""

from __future__ import annotations

from pathlib import Path

import click

from ra_daemon.commands.common import (
    config_option,
    database,
    emit_json,
    emit_table,
    json_option,
    load,
    running_pid,
)


@click.command("status")
@config_option
@json_option
def command(config_path: Path | None, *, as_json: bool) -> None:
    """Count what came in, what is worked on and what went out."""
    from ra_daemon.store import status

    config = load(config_path)
    pid = running_pid(config)
    with database(config) as engine:
        counts = {"running": pid is not None, "pid": pid, **status.snapshot(engine)}
        counts["refusals"] = status.refusal_counts(engine)
    if as_json:
        emit_json(counts)
    else:
        emit_table(("what", "value"), list(counts.items()))
