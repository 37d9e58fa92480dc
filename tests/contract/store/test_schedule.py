"""The schedule at work: routes, queue, selection and dispatcher; the scorer alone is a double."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from ra_daemon.config import Config, Route, Schedule, Scoring
from ra_daemon.domain import Claim, JobState, Lane, Outcome, Reason, Refused
from ra_daemon.steps import admit
from ra_daemon.store.queue import JobQueue
from ra_daemon.worker.dispatcher import Dispatcher
from ra_daemon.worker.messages import ScoreTask
from ra_daemon.worker.selection import Selection
from tests.support.verdicts import admission

LANES = ("stat", "normal", "off-hours")
STARVATION_H = 48.0


class Worker:
    """A scorer that refuses all; ``worked`` names the routes of its images in their order."""

    engine = "double"
    alive = True
    takes_shadows = False

    def __init__(self, store: sa.Engine, queue: JobQueue) -> None:
        self._store, self._queue = store, queue
        self.worked: list[str] = []

    def submit(self, tasks: Sequence[ScoreTask]) -> None: ...

    def ahead(self, tasks: Sequence[ScoreTask]) -> bool:
        return False

    def collect(self, tasks: Sequence[ScoreTask]) -> Iterator[tuple[int, Outcome]]:
        for task in tasks:
            self.worked.append(task.route.name)
            yield task.job_id, Refused(reason=Reason.NOT_A_HAND)

    def record(self, verdicts: Sequence[tuple[Claim, Outcome]], *, engine: str) -> None:
        with self._store.begin() as conn:
            for claim, _outcome in verdicts:
                self._queue.settle(conn, claim, JobState.REFUSED)


def window(start_h: float, end_h: float) -> str:
    """A window by hours from now."""
    now = datetime.now(UTC)
    start, end = (now + timedelta(hours=h) for h in (start_h, end_h))
    return f"{start:%H:%M}-{end:%H:%M} UTC"


def configured(off_hours: str) -> Config:
    """One route for each lane, chosen by the calling title."""
    routes = [Route.model_validate({"name": n, "calling_ae": n, "lane": n}) for n in LANES]
    schedule = Schedule(off_hours=off_hours, starvation_h=STARVATION_H)
    return Config(
        route=tuple(routes), schedule=schedule, scoring=Scoring(batch=2, wait_ms=0, lease_s=60)
    )


def receive(store: sa.Engine, config: Config, lane: str, *, ago_h: float = 0.0) -> None:
    """Admit an image from the sender whose route has this lane."""
    earlier = timedelta(hours=ago_h)
    queue = JobQueue(store, clock=lambda _conn: datetime.now(UTC) - earlier)
    made = admission(f"1.2.{LANES.index(lane)}", pixels=lane, study_instance_uid=f"2.{lane}")
    made = replace(made, origin=replace(made.origin, calling_ae=lane))
    with store.begin() as conn:
        admit.admit(conn, made, config=config, queue=queue, digest_of=lambda _route: "p" * 64)


def work(store: sa.Engine, config: Config) -> list[str]:
    """Dispatch until nothing is due; the lanes in the order of their work."""
    queue = JobQueue(store)
    routes = {r.name: r for r in config.route}
    worker: Any = Worker(store, queue)

    def route_of(claim: Claim) -> Route:
        return routes[claim.route]

    dispatcher = Dispatcher(
        config, queue, worker, owner="me", route_of=route_of, record=worker.record,
        digest_of=lambda _route, *, shadow: None,
        selection=Selection(config, store, queue, route_of),
    )  # fmt: skip
    while dispatcher.step():
        pass
    return list(worker.worked)


def waiting(store: sa.Engine) -> list[Lane]:
    return [j.lane for j in JobQueue(store).list(JobState.QUEUED)]


def test_outside_its_window_an_off_hours_job_waits_while_others_are_worked(
    engine: sa.Engine,
) -> None:
    config = configured(window(2, 3))
    for lane in ("off-hours", "normal", "stat"):
        receive(engine, config, lane)
    assert work(engine, config) == ["stat", "normal"]
    assert waiting(engine) == [Lane.OFF_HOURS]
    receive(engine, config, "off-hours")  # known already
    assert work(engine, config) == []


def test_in_its_window_an_off_hours_job_is_worked_last(engine: sa.Engine) -> None:
    config = configured(window(-1, 1))
    for lane in ("off-hours", "normal", "stat"):
        receive(engine, config, lane)
    assert work(engine, config) == ["stat", "normal", "off-hours"]
    assert waiting(engine) == []


def test_what_waited_outside_is_worked_when_the_window_opens(engine: sa.Engine) -> None:
    receive(engine, configured(window(2, 3)), "off-hours")
    assert work(engine, configured(window(2, 3))) == []
    assert work(engine, configured(window(-1, 1))) == ["off-hours"]


@pytest.mark.parametrize(
    ("ago_h", "worked"), [(STARVATION_H - 1, []), (STARVATION_H + 1, ["off-hours"])]
)
def test_an_off_hours_job_that_starves_is_worked_at_any_time(
    engine: sa.Engine, ago_h: float, worked: list[str]
) -> None:
    config = configured(window(2, 3))
    receive(engine, config, "off-hours", ago_h=ago_h)
    assert work(engine, config) == worked
