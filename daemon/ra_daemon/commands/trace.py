"""ra-daemon trace: one study or image from arrival to delivery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ra_daemon.commands.common import (
    config_option,
    database,
    emit_json,
    json_option,
    load,
)
from ra_daemon.errors import DaemonError

if TYPE_CHECKING:
    import sqlalchemy as sa

# Jobs and verdicts by the data set: two of them may have come under one SOP instance UID.
_PARTS = {
    "jobs": "SELECT job_id, state, lane, route, attempts, cause, message, blame, created_at, "
    "finished_at, pipeline_digest FROM v1_jobs WHERE sop_instance_uid = :uid "
    "AND source_sha256 = :sha ORDER BY job_id",
    "results": "SELECT outcome_id, kind, value, low, high, laterality, bundle, bundle_version, "
    "engine, role, status, sr_instance_uid, created_at FROM v1_results "
    "WHERE sop_instance_uid = :uid AND source_sha256 = :sha "
    "AND kind <> 'svdh_member' ORDER BY outcome_id, kind",
    "refusals": "SELECT outcome_id, reason_code, reason, role, status, created_at FROM v1_refusals "
    "WHERE sop_instance_uid = :uid AND source_sha256 = :sha ORDER BY outcome_id",
    "deliveries": "SELECT outcome_id, kind, sop_instance_uid, destination, state, attempts, "
    "cause, created_at, sent_at, committed_at FROM v1_deliveries "
    "WHERE source_sop_instance_uid = :uid ORDER BY delivery_id",
}
_RECEIVED = (
    "SELECT sop_instance_uid, study_instance_uid, accession_number, received_at, calling_ae, "
    "called_ae, address, route, conflict, path, source_sha256 FROM v1_instances "
    "WHERE accession_number = :what OR sop_instance_uid = :what OR study_instance_uid = :what "
    "OR source_sha256 LIKE :prefix ORDER BY instance_id"
)


@click.command("trace")
@click.argument("what", metavar="ACCESSION|UID")
@config_option
@json_option
def command(what: str, config_path: Path | None, *, as_json: bool) -> None:
    """Show where a study or an image came from, what was done, and where its results went.

    WHAT is an accession number, a study or SOP instance UID, or the start of a data set's sha256.
    """
    with database(load(config_path)) as engine:
        found = follow(engine, what)
    if not found:
        raise DaemonError(
            f"Nothing here is named {what!r}.", hint="ra-daemon jobs list --limit 20."
        )
    if as_json:
        emit_json(found)
        return
    for image in found:
        _tell(image)


def follow(engine: sa.Engine, what: str) -> list[dict[str, Any]]:
    """One entry an instance: received, jobs, results, refusals, deliveries."""
    import sqlalchemy as sa

    from ra_daemon.store.engine import reading

    with reading(engine) as conn:
        prefix = f"{what}%" if len(what) >= 8 else what
        images = conn.execute(sa.text(_RECEIVED), {"what": what, "prefix": prefix}).mappings()
        return [_image(conn, dict(row)) for row in images.all()]


def _image(conn: sa.Connection, received: dict[str, Any]) -> dict[str, Any]:
    import sqlalchemy as sa

    named = {"uid": received["sop_instance_uid"], "sha": received["source_sha256"]}
    parts = {
        name: [dict(row) for row in conn.execute(sa.text(query), named).mappings()]
        for name, query in _PARTS.items()
    }
    return {"received": received, **parts}


def _tell(image: dict[str, Any]) -> None:
    got = image["received"]
    click.echo(f"image {got['sop_instance_uid']}")
    click.echo(
        f"  {got['received_at']} received from {got['calling_ae'] or 'unknown'}"
        f" at {got['address'] or 'unknown'}; route {got['route'] or 'none'}"
    )
    for job in image["jobs"]:
        why = " ".join(filter(None, (job["cause"], job["message"], job["blame"])))
        click.echo(f"  {job['finished_at'] or job['created_at']} job {job['job_id']}"
                   f" {job['state']}{': ' + why if why else ''}")  # fmt: skip
    for refusal in image["refusals"]:
        click.echo(f"  {refusal['created_at']} refused: {refusal['reason']}")
    for result in image["results"]:
        if result["value"] is not None:
            limits = "" if result["low"] is None else f" ({result['low']:.1f}-{result['high']:.1f})"
            click.echo(f"  {result['created_at']} result {result['outcome_id']}:"
                       f" {result['kind']} {result['value']:.1f}{limits}"
                       f" by {result['bundle']} {result['bundle_version']}")  # fmt: skip
    for sent in image["deliveries"]:
        when = sent["sent_at"] or sent["created_at"]
        click.echo(f"  {when} {sent['kind']} of {sent['outcome_id']}"
                   f" to {sent['destination']}: {sent['state']}"
                   f"{' ' + sent['cause'] if sent['cause'] else ''}")  # fmt: skip
