"""Record: an outcome becomes rows and a report that is due, and its job is settled; all or none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from ra_daemon import checkpoints
from ra_daemon.config import Config, Route
from ra_daemon.domain import Claim, Failed, Lane, Outcome, Reason, Refused, Scored, not_selected
from ra_daemon.errors import LeaseLostError
from ra_daemon.store import findings, removals, results
from ra_daemon.store.clock import database_now
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.twins import scored_twin

POPULATION_REASONS = frozenset(Reason) - {
    Reason.OWN_OUTPUT,
    Reason.UNSUPPORTED_SOP_CLASS,
    Reason.DERIVED,
    Reason.NO_ROUTE,
    Reason.NOT_SELECTED,
    Reason.NOT_A_HAND,
    Reason.UNREADABLE,
    Reason.FOR_PROCESSING,
}
"""Refusals of the intended population: worth a visible report. A foot is nobody's news."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A verdict on its way into the database.

    Attributes:
        shadow_digest: pipeline of the shadow bundle that is to score the image as well.
    """

    claim: Claim
    route: Route
    outcome: Outcome
    shadow_digest: str = ""


def record(
    engine: Engine,
    queue: JobQueue,
    store: ObjectStore,
    config: Config,
    entries: Sequence[Entry],
    *,
    demonstration: bool = False,
) -> list[str]:
    """Settle claims, all scores and refusals in one transaction.

    Args:
        demonstration: whether the gate's model is one; marks a refusal, scores carry their own.

    Returns:
        The state that each job is in then; "" for one that another worker holds now, of which
        nothing is written.
    """
    kept = [_keep_maps(store, entry) for entry in entries]  # durable before the rows name them
    states = dict.fromkeys(range(len(entries)), "")
    with engine.begin() as conn:
        for index, (entry, path) in enumerate(zip(entries, kept, strict=True)):
            if not isinstance(entry.outcome, Failed):
                with suppress(LeaseLostError):
                    states[index] = _settle(
                        conn, queue, entry, entry.outcome, path, demonstration=demonstration
                    )
                if path is not None and states[index] != "scored":  # nothing will name its maps
                    removals.add_orphans(conn, entry.claim.instance_id, [path], database_now(conn))
        checkpoints.hit("written")
    checkpoints.hit("recorded")
    for index, entry in enumerate(entries):
        if isinstance(entry.outcome, Failed):
            with suppress(LeaseLostError):
                states[index] = _fail(queue, config, entry.claim, entry.outcome)
    return list(states.values())


def _keep_maps(store: ObjectStore, entry: Entry) -> str | None:
    """Where the heatmaps of a score lie; nobody looks at a shadow's."""
    if not isinstance(entry.outcome, Scored) or entry.claim.lane is Lane.SHADOW:
        return None
    data = findings.dump_heatmaps(entry.outcome)
    return None if data is None else store.put_bytes(data, ".npz")[0]


def _fail(queue: JobQueue, config: Config, claim: Claim, failed: Failed) -> str:
    delay = min(300.0, 2.0 * 2 ** min(claim.attempt, 10))
    return queue.fail(claim, failed, config.scoring.max_attempts, delay).value


def _settle(
    conn: Connection,
    queue: JobQueue,
    entry: Entry,
    outcome: Scored | Refused,
    heatmap_path: str | None,
    *,
    demonstration: bool,
) -> str:
    claim, route = entry.claim, entry.route
    shadow = claim.lane is Lane.SHADOW
    written = results.record_in(
        conn,
        queue,
        claim,
        outcome,
        pipeline_digest=claim.pipeline_digest,
        heatmap_path=heatmap_path,
        destinations=route.destinations,
        deliver=route.deliver,
        refusal_report=route.refusals
        and isinstance(outcome, Refused)
        and outcome.reason in POPULATION_REASONS,
        demonstration=demonstration,
        role="shadow" if shadow else "active",
        veto=lambda conn: None if shadow else _twin(conn, claim),
        shadow_digest="" if shadow else entry.shadow_digest,
    )
    return "refused" if isinstance(written, Refused) else "scored"


def _twin(conn: Connection, claim: Claim) -> Refused | None:
    """Never two answers for one exposure: a twin that was scored meanwhile stays the only one."""
    uid = scored_twin(conn, claim)
    return None if uid is None else not_selected(uid)
