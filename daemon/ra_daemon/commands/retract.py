"""ra-daemon retract: withdraw a result that must not be used."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from pathlib import Path

import click

from ra_daemon.commands.common import (
    config_option,
    database,
    emit_json,
    json_option,
    load,
    say,
)
from ra_daemon.errors import DaemonError


@click.command("retract")
@click.argument("what", metavar="SOP|RESULT")
@click.option("--reason", required=True, help="Goes into the PACS and the audit: no patient data.")
@config_option
@json_option
def command(what: str, reason: str, config_path: Path | None, *, as_json: bool) -> None:
    """Retract the current result of an image: its row says so and nothing more of it is sent.

    WHAT is the SOP instance UID of the image, of our report or of our capture, or the number of
    the result (outcome_id in v1_results). A peer that got the report gets a second one that names
    the first and says that it must not be used. A total made of the result is retracted with it.
    """
    from ra_daemon.store import retract

    if not reason.strip():
        raise click.UsageError("Give a reason.")
    with database(load(config_path)) as engine:
        found = retract.find(engine, what)
        if len(found) != 1:
            raise DaemonError(
                f"{len(found) or 'No'} current results are named {what!r}.",
                hint="ra-daemon trace UID shows the results of an image; name one by its number.",
            )
        done = retract.retract(engine, found[0], who=getpass.getuser(), reason=reason.strip())
    if as_json:
        emit_json([asdict(one) for one in done])
    for one in done:
        told = ", ".join(one.destinations) or "nobody had it"
        say(f"Result {one.outcome_id} ({one.kind}) is retracted; told: {told}.")
