"""ra-daemon start: run the node in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from ra_daemon.commands.common import config_option, load

PARTS = ("receive", "score", "deliver", "web")


@click.command("start")
@config_option
@click.option(
    "--only", default=",".join(PARTS), help="Parts, by commas: receive,score,deliver,web."
)
@click.pass_context
def command(ctx: click.Context, config_path: Path | None, *, only: str) -> None:
    """Run until SIGTERM or Ctrl-C, which drain; SIGKILL loses nothing either."""
    parts = frozenset(filter(None, (p.strip() for p in only.split(","))))
    unknown = sorted(parts - set(PARTS))
    if unknown or not parts:
        raise click.BadParameter(
            f"{', '.join(unknown) or 'nothing'}: choose of {', '.join(PARTS)}", param_hint="--only"
        )
    config = load(config_path)
    from ra_daemon import service

    ctx.exit(service.run(config, only=parts))
