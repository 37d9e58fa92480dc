"""ra-daemon jobs: list, show, retry, cancel, release."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

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
from ra_daemon.errors import DaemonError

if TYPE_CHECKING:
    import sqlalchemy as sa

STATES = ("queued", "leased", "scored", "refused", "failed", "cancelled")
_COLUMNS = ("job_id", "state", "lane", "attempts", "cause", "blame", "created_at")


@click.group("jobs")
def command() -> None:
    """List, show, retry and cancel jobs; release held results."""


@command.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--cause", help="Only jobs that failed with this error code.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most.")
@config_option
@json_option
def list_jobs(
    config_path: Path | None, *, state: str | None, cause: str | None, limit: int, as_json: bool
) -> None:
    """List jobs, newest first."""
    from ra_daemon.domain import JobState
    from ra_daemon.store.queue import JobQueue

    with database(load(config_path)) as engine:
        found = JobQueue(engine).list(JobState(state) if state else None, cause, limit)
    rows = [asdict(job) for job in found]
    if as_json:
        emit_json(rows)
    else:
        emit_table(_COLUMNS, [[row.get(c) for c in _COLUMNS] for row in rows])


@command.command("show")
@click.argument("job_id", type=int)
@config_option
@json_option
def show(job_id: int, config_path: Path | None, *, as_json: bool) -> None:
    """Show one job: state, attempts, cause, and the plugin or step at fault."""
    from ra_daemon.store.queue import JobQueue

    with database(load(config_path)) as engine:
        found = JobQueue(engine).show(job_id)
    if found is None:
        raise DaemonError(f"There is no job {job_id}.", hint="ra-daemon jobs list names them.")
    if as_json:
        emit_json(asdict(found))
    else:
        emit_table(("what", "value"), list(asdict(found).items()))


@command.command("retry")
@click.argument("ids", nargs=-1, type=int)
@click.option("--cause", help="All that failed with this error code.")
@config_option
def retry(ids: tuple[int, ...], config_path: Path | None, *, cause: str | None) -> None:
    """Queue failed jobs again (all, by ID or by cause).

    Without ID and cause also compose failed reports again, and send parked objects again.
    """
    from ra_daemon.store import reports
    from ra_daemon.store.outbox import Outbox
    from ra_daemon.store.queue import JobQueue

    config = load(config_path)
    with database(config) as engine:
        jobs = JobQueue(engine).retry(list(ids) or None, cause)
        parked = 0 if ids or cause else Outbox(engine, config.root).retry_parked()
        composed = 0 if ids or cause else reports.retry_reports(engine)
        _note(engine, "jobs.retry", f"{jobs} jobs, {composed} reports, {parked} deliveries")
    say(f"{jobs} jobs queued again, {composed} reports and {parked} parked deliveries due again.")


@command.command("rescore")
@click.option("--study", metavar="UID", help="Only images of this study.")
@click.option("--patient", metavar="ID", help="Only images of this patient ID.")
@click.option("--all", "everything", is_flag=True, help="All images.")
@config_option
@json_option
def rescore(
    study: str | None,
    patient: str | None,
    config_path: Path | None,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    """Score images again with the bundle that is active now; new results supersede the old ones.

    Images that this pipeline judged already are left alone, those that were purged cannot be
    scored. New reports name the old ones as predecessors and go where the route says.
    """
    import getpass

    from ra_daemon import models, routing
    from ra_daemon.steps import gate, score
    from ra_daemon.store.queue import JobQueue
    from ra_daemon.store.rescore import rescore as queue_again

    if not (study or patient or everything):
        raise click.UsageError("Name --study, --patient or --all.")
    config = load(config_path)
    with database(config) as engine:
        config = models.effective(config, engine)
        version = gate.version(config.gate)
        pipelines = {
            r.name: (score.pipeline_digest(config, r.scorers, version), routing.lane_of(r))
            for r in config.route
        }
        done = queue_again(
            engine, JobQueue(engine), pipelines,
            who=getpass.getuser(), study=study, patient=patient,
        )  # fmt: skip
    if as_json:
        emit_json(asdict(done))
    say(f"{done.queued} images queued again, {done.known} known, {done.purged} purged.")


@command.command("cancel")
@click.argument("ids", nargs=-1, type=int, required=True)
@config_option
def cancel(ids: tuple[int, ...], config_path: Path | None) -> None:
    """Take jobs out of the queue, also those that are being worked."""
    from ra_daemon.store.queue import JobQueue

    with database(load(config_path)) as engine:
        number = JobQueue(engine).cancel(ids)
        _note(engine, "jobs.cancel", ",".join(map(str, ids)))
    say(f"{number} jobs cancelled.")


@command.command("release")
@click.option("--destination", metavar="PEER", help="Only what waits for this peer.")
@click.option(
    "--study", "studies", multiple=True, metavar="UID", help="Only this study; repeatable."
)
@config_option
def release(config_path: Path | None, *, destination: str | None, studies: tuple[str, ...]) -> None:
    """Send what a route with deliver = "hold" keeps back: all of it, or of a peer or of studies."""
    from ra_daemon.store.outbox import Outbox

    config = load(config_path)
    with database(config) as engine:
        number = Outbox(engine, config.root).release_held(destination, list(studies) or None)
        _note(engine, "deliveries.release", f"{number} deliveries")
    say(f"{number} held objects are due now.")


def _note(engine: sa.Engine, what: str, new: str) -> None:
    """One audit row: a person changed the queue."""
    import getpass

    from ra_daemon.store import audit

    with engine.begin() as conn:
        audit.append(conn, who=getpass.getuser(), what=what, new=new)
