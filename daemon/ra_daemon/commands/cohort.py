"""ra-daemon cohort: export a cohort, verify an export."""

from __future__ import annotations

from pathlib import Path

import click

from ra_daemon.commands.common import config_option, emit_json, json_option, load, say
from ra_daemon.errors import StoreError


@click.group("cohort")
def command() -> None:
    """Export a cohort: table, statistics, data dictionary, manifest."""


@command.command("export")
@click.option("--visits", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="CSV: subject, visit, accession_number or patient_id and date.")  # fmt: skip
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder."
)
@click.option("--baseline", help="Name of the visit that changes are counted from.")
@click.option("--lock", "locked", metavar="REASON",
              help="Freeze the snapshot; goes into manifest and audit trail: no patient data.",
              )  # fmt: skip
@config_option
@json_option
def export(
    visits: Path,
    out: Path,
    baseline: str | None,
    locked: str | None,
    config_path: Path | None,
    *,
    as_json: bool,
) -> None:
    """Write the cohort into the new or empty folder OUT."""
    import getpass

    from ra_daemon.cohort.export import Lock, export_cohort
    from ra_daemon.cohort.table import FIRST
    from ra_daemon.cohort.visits import read_mapping

    if locked is not None and not locked.strip():
        raise click.BadParameter("give the reason", param_hint="--lock")
    config = load(config_path)
    lock = Lock(who=getpass.getuser(), why=locked) if locked else None
    manifest = export_cohort(
        config.database_url, read_mapping(visits), out, baseline or FIRST, lock=lock
    )
    if as_json:
        emit_json(manifest)
    say(f"The cohort is in {out}.")


@command.command("verify")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
def verify(folder: Path) -> None:
    """Compare an export with its manifest; exit status 5 when it was changed."""
    from ra_daemon.cohort.export import manifest_sha256, verify_export

    wrong = verify_export(folder)
    if wrong:
        raise StoreError(
            f"{len(wrong)} files differ from the manifest: {', '.join(wrong)}.",
            hint="Export again from the database.",
        )
    say(f"{folder} is as it was written; sha256 of its manifest: {manifest_sha256(folder)}.")
