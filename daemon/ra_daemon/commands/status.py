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
    say,
)


@click.command("status")
@config_option
@json_option
def command(config_path: Path | None, *, as_json: bool) -> None:
    """Count what came in, what is worked on and what went out; what the scorers have."""
    from ra_daemon import scorers
    from ra_daemon.store import reconcile, status
    from ra_daemon.store.objects import ObjectStore

    config = load(config_path)
    pid = running_pid(config)
    with database(config) as engine:
        counts = {"running": pid is not None, "pid": pid, **status.snapshot(engine)}
        counts["refusals"] = status.refusal_counts(engine)
        compared, by_files = reconcile.last(config.root)
        found = reconcile.rows(engine, ObjectStore(config.root)) + by_files
    states = list(scorers.states(config.root))
    counts["scorers"] = [
        {"node": s.node, "name": s.name, "ready": s.ready, "found": s.words} for s in states
    ]
    counts["files_compared_at"] = compared or None
    counts["discrepancies"] = [one.told() for one in found]
    if as_json:
        emit_json(counts)
    else:
        counts["discrepancies"] = ", ".join(f"{one.code} {one.number}" for one in found)
        counts["scorers"] = "; ".join(f"{s.name}: {s.words}" for s in states)
        emit_table(("what", "value"), list(counts.items()))
        for one in found:
            say(f"{one.code} {one.number}: {one.remedy}")
        for told in states:
            if told.fault is not None:
                say(f"{told.name} {told.fault.code}: {told.fault.hint}")
