"""ra-daemon doctor: check everything around the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import click

from ra_daemon.commands import checks
from ra_daemon.commands.checks import Check
from ra_daemon.commands.common import (
    config_option,
    emit_json,
    emit_table,
    json_option,
    load,
    say,
)
from ra_daemon.commands.model_states import effective
from ra_daemon.config import Config
from ra_daemon.faults import translated


@click.command("doctor")
@config_option
@json_option
@click.pass_context
def command(ctx: click.Context, config_path: Path | None, *, as_json: bool) -> None:
    """Check the node's surroundings; each fault names its remedy. Exit status 1 with a fault."""
    config = effective(load(config_path))
    found = list(examine(config, config_path))
    faults = [c for c in found if not c.ok]
    if as_json:
        emit_json({"ok": not faults, "checks": [asdict(c) for c in found]})
    else:
        rows = [("ok" if c.ok else "FAULT", c.name, c.found, c.remedy) for c in found]
        emit_table(("", "check", "found", "remedy"), rows)
        say("All is well." if not faults else f"{len(faults)} of {len(found)} checks failed.")
    ctx.exit(int(bool(faults)))


def examine(config: Config, config_path: Path | None) -> Iterator[Check]:
    """All checks; one that breaks is a fault of its own and stops no other."""
    every: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("python", checks.python),
        ("config", lambda: checks.permissions(config_path)),
        ("keys", lambda: checks.idle_keys(config_path)),
        ("port", lambda: checks.ports(config)),
        ("web", lambda: checks.web(config)),
        ("database", lambda: checks.database_state(config)),
        ("reconciliation", lambda: checks.reconciliation(config)),
        ("disk", lambda: checks.disk(config)),
        ("clock", lambda: checks.clock(config)),
        ("bundles", lambda: checks.bundles(config)),
        ("engine", lambda: checks.engine(config)),
        ("decoder", lambda: checks.decoder(config)),
        ("plugins", lambda: checks.plugins_state(config)),
        ("fonts", checks.fonts),
        ("tls", lambda: checks.tls(config)),
        ("peers", lambda: checks.peers(config)),
    ]
    for name, check in every:
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 - a broken check must not hide the others
            told = translated(error)
            yield Check(
                name=name,
                ok=False,
                found=f"{type(error).__name__}: {error}" if told is None else str(told),
                remedy="A fault of this program: report it with the log." if told is None
                else told.hint,
            )  # fmt: skip
