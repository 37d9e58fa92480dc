"""Record: an outcome becomes rows and a report that is due, and its job is settled; all or none."""

from __future__ import annotations

from sqlalchemy import Connection, Engine

from ra_daemon.config import Config, Route
from ra_daemon.domain import Claim, Failed, Lane, Outcome, Reason, Refused, not_selected
from ra_daemon.store import findings, results
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


def record(
    engine: Engine,
    queue: JobQueue,
    store: ObjectStore,
    config: Config,
    claim: Claim,
    route: Route,
    outcome: Outcome,
    *,
    demonstration: bool = False,
    shadow_digest: str = "",
) -> str:
    """Settle a claim; return the state its job is in then.

    Args:
        demonstration: whether the gate's model is one; marks a refusal, scores carry their own.
        shadow_digest: pipeline of the shadow bundle that is to score the image as well.

    Raises:
        LeaseLostError: another worker holds the job now; nothing is written.
    """
    shadow = claim.lane is Lane.SHADOW
    if isinstance(outcome, Failed):
        delay = min(300.0, 2.0 * 2 ** min(claim.attempt, 10))
        return queue.fail(claim, outcome, config.scoring.max_attempts, delay).value
    heatmap_path = None
    if not isinstance(outcome, Refused) and not shadow:  # nobody looks at a shadow's map
        data = findings.dump_heatmaps(outcome)
        if data is not None:
            heatmap_path, _ = store.put_bytes(data, ".npz")
    written = results.record(
        engine,
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
        shadow_digest="" if shadow else shadow_digest,
    )
    return "refused" if isinstance(written, Refused) else "scored"


def _twin(conn: Connection, claim: Claim) -> Refused | None:
    """Never two answers for one exposure: a twin that was scored meanwhile stays the only one."""
    uid = scored_twin(conn, claim)
    return None if uid is None else not_selected(uid)
