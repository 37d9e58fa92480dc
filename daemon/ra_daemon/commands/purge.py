"""ra-daemon purge: remove received pixels whose results are delivered."""

from __future__ import annotations

import getpass
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ra_daemon.commands.common import (
    config_option,
    database,
    emit_json,
    emit_table,
    json_option,
    load,
    say,
)
from ra_daemon.errors import ConfigError

if TYPE_CHECKING:
    from ra_daemon.config import Config
    from ra_daemon.store.retention import Candidate, Selection


@click.command("purge")
@click.option("--patient", help="Images of this patient ID.")
@click.option("--study", help="Images of this study instance UID.")
@click.option(
    "--older-than",
    type=click.FloatRange(0, 365_000),
    metavar="DAYS",
    help="Images received before that.",
)
@click.option("--scheduled", is_flag=True, help="What schedule.retain_pixels_days takes.")
@click.option("--results", is_flag=True, help="Also our reports, captures and heatmaps of them.")
@click.option("--reason", help="Kept in the rows and the audit trail: no patient data.")
@click.option("--dry-run/--yes", default=True, show_default=True, help="Only show, or do it.")
@config_option
@json_option
def command(
    patient: str | None,
    study: str | None,
    older_than: float | None,
    scheduled: bool,  # noqa: FBT001 - click passes options by name
    results: bool,  # noqa: FBT001
    reason: str | None,
    dry_run: bool,  # noqa: FBT001
    config_path: Path | None,
    *,
    as_json: bool,
) -> None:
    """Show, or with --yes remove, received files; their rows and results stay.

    Every option narrows the choice. A file stays while its image has an open job, a result that is
    not delivered, or a legal hold; the table says so, and the remedy.
    """
    config = load(config_path)
    selection = _selection(config, patient, study, older_than, scheduled=scheduled)
    from ra_daemon.store import removals, retention
    from ra_daemon.store.objects import ObjectStore

    with database(config) as engine:
        found = retention.candidates(engine, selection)
        told = _told(found, dry_run=dry_run)
        if not dry_run:
            why = reason or "asked for by command"
            done = retention.purge(
                engine, selection, who=getpass.getuser(), why=why, results=results
            )
            told |= {"purged": done.images, "files": done.files}
            removals.finish(engine, ObjectStore(config.root))
    if as_json:
        emit_json(told)
        return
    emit_table(("what", "images", "bytes", "remedy"), _rows(told))
    say("Nothing was removed; --yes does it." if dry_run else f"{told['purged']} images purged.")


def _selection(
    config: Config,
    patient: str | None,
    study: str | None,
    older_than: float | None,
    *,
    scheduled: bool,
) -> Selection:
    from ra_daemon.store.retention import Selection

    days = older_than
    if scheduled:
        kept = config.schedule.retain_pixels_days
        if kept is None:
            raise ConfigError(
                "No retention is set.", hint="Set schedule.retain_pixels_days = DAYS."
            )
        days = kept if days is None else max(days, kept)
    if (patient, study, days) == (None, None, None):
        raise click.UsageError("Name --patient, --study, --older-than or --scheduled.")
    return Selection(
        patient_id=patient,
        study_instance_uid=study,
        older_than=None if days is None else timedelta(days=days),
    )


def _told(found: list[Candidate], *, dry_run: bool) -> dict[str, Any]:
    from ra_daemon.store.blocks import BLOCKS

    images = Counter(c.block for c in found)
    sizes: Counter[str] = Counter()
    for one in found:
        sizes[one.block] += one.size
    return {
        "dry_run": dry_run,
        "may_go": {"images": images[""], "bytes": sizes[""]},
        "stay": {
            code: {"images": images[code], "bytes": sizes[code], "remedy": BLOCKS[code]}
            for code in BLOCKS
            if images[code]
        },
    }


def _rows(told: dict[str, Any]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = [
        ("may go", told["may_go"]["images"], told["may_go"]["bytes"], "")
    ]
    rows += [
        (f"stays: {code}", kept["images"], kept["bytes"], kept["remedy"])
        for code, kept in told["stay"].items()
    ]
    return rows
