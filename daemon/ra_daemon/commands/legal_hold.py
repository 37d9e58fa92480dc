"""ra-daemon legal-hold: patients and studies whose files must stay."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from pathlib import Path

import click

from ra_daemon.commands.common import (
    NUMBER,
    config_option,
    database,
    emit_json,
    emit_table,
    json_option,
    load,
    say,
)
from ra_daemon.errors import DaemonError

_COLUMNS = ("hold_id", "scope", "name", "reason", "who", "created_at", "lifted_at")


@click.group("legal-hold")
def command() -> None:
    """Hold files of a patient or a study, whatever the retention says; lift and list holds."""


@command.command("add")
@click.option("--patient", help="Patient ID.")
@click.option("--study", help="Study instance UID.")
@click.option("--reason", required=True, help="For the audit trail: no patient data.")
@config_option
def add(patient: str | None, study: str | None, reason: str, config_path: Path | None) -> None:
    """Hold a patient or a study; images that come later are held too."""
    from ra_daemon.store import holds

    if (patient is None) == (study is None):
        raise click.UsageError("Name --patient or --study, one of them.")
    scope: holds.Scope = "study" if patient is None else "patient"
    with database(load(config_path)) as engine:
        number = holds.add(
            engine, scope, patient or study or "", who=getpass.getuser(), reason=reason
        )
    click.echo(str(number))
    say(f"Hold {number} is in force.")


@command.command("lift")
@click.argument("hold_id", type=NUMBER)
@click.option("--reason", required=True, help="For the audit trail: no patient data.")
@config_option
def lift(hold_id: int, reason: str, config_path: Path | None) -> None:
    """End a hold by its number."""
    from ra_daemon.store import holds

    with database(load(config_path)) as engine:
        done = holds.lift(engine, hold_id, who=getpass.getuser(), reason=reason)
    if not done:
        raise DaemonError(
            f"No hold {hold_id} is in force.", hint="ra-daemon legal-hold list names them."
        )
    say(f"Hold {hold_id} is lifted.")


@command.command("list")
@config_option
@json_option
def list_holds(config_path: Path | None, *, as_json: bool) -> None:
    """List holds, the lifted ones too."""
    from ra_daemon.store import holds

    with database(load(config_path)) as engine:
        found = [asdict(h) for h in holds.entries(engine)]
    if as_json:
        emit_json(found)
    else:
        emit_table(_COLUMNS, [[row[c] for c in _COLUMNS] for row in found])
