"""ra-daemon jobs: list, show, retry, cancel; with the deliveries of what jobs made."""

from __future__ import annotations

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
from ra_daemon.commands.deliveries import (
    give_up,
    list_deliveries,
    note,
    release,
    takers,
    tell_demonstrations,
)
from ra_daemon.errors import DaemonError

STATES = ("queued", "leased", "scored", "refused", "failed", "cancelled")
_COLUMNS = ("job_id", "state", "lane", "attempts", "cause", "blame", "created_at")


@click.group("jobs")
def command() -> None:
    """List, show, retry and cancel jobs; list, release and give up deliveries."""


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
@click.argument("job_id", type=NUMBER)
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
@click.argument("ids", nargs=-1, type=NUMBER)
@click.option("--cause", help="All that failed or was parked with this cause.")
@click.option(
    "--delivery", "deliveries", multiple=True, type=NUMBER, metavar="ID",
    help="This delivery, and no jobs; repeatable.",
)  # fmt: skip
@click.option("--destination", metavar="PEER", help="Deliveries to this peer, and no jobs.")
@config_option
def retry(
    ids: tuple[int, ...],
    config_path: Path | None,
    *,
    cause: str | None,
    deliveries: tuple[int, ...],
    destination: str | None,
) -> None:
    """Queue again what failed: jobs, reports that could not be composed, parked deliveries.

    A report or heatmap whose file is gone or damaged is composed again, under the same UIDs, and
    then sent to all that wait for it.

    IDS are jobs, and then nothing else is tried. Without a choice all is, but for results of
    demonstration models that a peer did not take: those by --cause demonstration_not_allowed or
    by --delivery only, once the peer takes them (allow_demonstration_until).
    """
    from ra_daemon.store import reports
    from ra_daemon.store.outbox import DEMONSTRATION_NOT_ALLOWED, Outbox, Which
    from ra_daemon.store.queue import JobQueue

    of_peers = bool(deliveries or destination)
    if ids and of_peers:
        raise click.UsageError("Name jobs, or deliveries by --delivery and --destination.")
    config = load(config_path)
    chosen = Which(ids=deliveries, destination=destination, cause=cause)
    with database(config) as engine:
        outbox = Outbox(engine, config.root)
        lost = [] if ids else outbox.lost(chosen)
        with engine.begin() as conn:
            jobs = 0 if of_peers else JobQueue(engine).retry(conn, list(ids) or None, cause)
            composed = 0 if of_peers or ids else reports.retry_reports(conn, cause)
            composed += outbox.compose_again(conn, lost, chosen)
            parked = 0 if ids else outbox.retry_parked(conn, chosen, takes=takers(config))
            note(conn, "jobs.retry", f"{jobs} jobs, {composed} reports, {parked} deliveries")
        stay = {} if ids else outbox.parked(DEMONSTRATION_NOT_ALLOWED)
    say(f"{jobs} jobs queued again, {composed} reports and {parked} parked deliveries due again.")
    tell_demonstrations(config, stay)


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
    scored. A refused image takes the route that it would take now. New reports name the old ones
    as predecessors and go where the route says.
    """
    import getpass

    from ra_daemon import models, pipelines, routing
    from ra_daemon.domain import Header, Origin
    from ra_daemon.store.queue import JobQueue
    from ra_daemon.store.rescore import rescore as queue_again

    if not (study or patient or everything):
        raise click.UsageError("Name --study, --patient or --all.")
    config = load(config_path)
    with database(config) as engine:
        config = models.effective(config, engine)
        ours = {r.name: (pipelines.digest_of(config, r), routing.lane_of(r)) for r in config.route}

        def route_of(origin: Origin, header: Header) -> str | None:
            route = routing.match_route(config, origin, header)
            return None if route is None else route.name

        done = queue_again(
            engine, JobQueue(engine), ours, route_of=route_of,
            who=getpass.getuser(), study=study, patient=patient,
        )  # fmt: skip
    if as_json:
        emit_json(asdict(done))
    say(f"{done.queued} images queued again, {done.known} known, {done.purged} purged.")


@command.command("cancel")
@click.argument("ids", nargs=-1, type=NUMBER, required=True)
@config_option
def cancel(ids: tuple[int, ...], config_path: Path | None) -> None:
    """Take jobs out of the queue, also those that are being worked."""
    from ra_daemon.store.queue import JobQueue

    with database(load(config_path)) as engine, engine.begin() as conn:
        number = JobQueue(engine).cancel(conn, ids)
        note(conn, "jobs.cancel", ",".join(map(str, ids)))
    say(f"{number} jobs cancelled.")


for _other in (list_deliveries, release, give_up):
    command.add_command(_other)
