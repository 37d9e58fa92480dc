"""Before a batch is scored: of the objects of one exposure only the best goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Engine

from ra_daemon import log
from ra_daemon.config import Config, Route
from ra_daemon.domain import Claim, Header, Refused, not_selected
from ra_daemon.steps import gate
from ra_daemon.store.engine import reading
from ra_daemon.store.queue import JobQueue
from ra_daemon.store.twins import Twin, twins

WAIT_S = 2.0
"""How long a job waits for its better twin before it asks again."""

_log = log.get(__name__)
_Split = tuple[list[Claim], list[tuple[Claim, Refused]]]


class Selection:
    """Splits claims into those to be scored, those that are not selected, and those that wait."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        queue: JobQueue,
        route_of: Callable[[Claim], Route],
    ) -> None:
        self._config = config
        self._engine = engine
        self._queue = queue
        self._route_of = route_of

    def split(self, claims: Sequence[Claim]) -> _Split:
        """(to be scored, not selected); what must wait is given back, uncharged."""
        with reading(self._engine) as conn:
            found = twins(conn, claims)
        go, refused, wait = [], [], []
        for claim in claims:
            rivals = found.get(claim.job_id, [])
            if not rivals or not self._eligible(claim.header, self._route_of(claim)):
                go.append(claim)  # alone, or refused for a plainer reason
            elif (scored := next((t for t in rivals if t.scored), None)) is not None:
                refused.append((claim, not_selected(scored.header.sop_instance_uid)))
            elif any(self._goes_first(t, claim) for t in rivals):
                wait.append(claim)
            else:
                go.append(claim)
        if wait:
            self._queue.release(wait, WAIT_S)
            _log.info("job.waits_for_twin", jobs=[c.job_id for c in wait])
        return go, refused

    def _goes_first(self, twin: Twin, claim: Claim) -> bool:
        """A better twin whose turn comes no later than ours, and that may be scored."""
        route = next((r for r in self._config.route if r.name == twin.route), None)
        if not twin.better or twin.lane is None or twin.lane > claim.lane or route is None:
            return False
        return self._eligible(twin.header, route)

    def _eligible(self, header: Header, route: Route) -> bool:
        return gate.judge_header(header, route, self._config.gate) is None
