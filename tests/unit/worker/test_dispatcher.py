"""The dispatcher: what overlaps, what a dead process or a bad verdict costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ra_daemon.config import Config, Route, Scoring
from ra_daemon.domain import Claim, Failed, Lane, Origin, Outcome, Reason, Refused
from ra_daemon.errors import ScorerCrashError
from ra_daemon.worker.dispatcher import Dispatcher
from ra_daemon.worker.messages import ScoreTask
from tests.support.verdicts import header

ANSWER = Refused(reason=Reason.NOT_A_HAND)


def claim(number: int) -> Claim:
    return Claim(
        job_id=number, token="t", instance_id=number, path=f"{number}.dcm", header=header(),
        origin=Origin(), attempt=1, lane=Lane.NORMAL, pipeline_digest="p", route="all",
        lease_until=datetime(2030, 1, 1, tzinfo=UTC), dataset_sha256="ab" * 32,
    )  # fmt: skip


class Desk:
    """Queue, process, selection and records at once, with a diary of what came when."""

    engine = "double"

    def __init__(
        self,
        jobs: int,
        *,
        poison: Sequence[int] = (),
        fatal: Sequence[int] = (),
        bad: Sequence[int] = (),
    ) -> None:
        self.jobs = [claim(n) for n in range(1, jobs + 1)]
        self.poison, self.bad = set(poison), set(bad)
        self.fatal = set(fatal)  # these kill the process as soon as they are handed over
        self.in_hand: list[list[int]] = []
        self.diary: list[tuple[str, list[int]]] = []
        self.recorded: dict[int, Outcome] = {}
        self.released: list[int] = []
        self.extended: list[int] = []

    def claim(
        self, _owner: str, limit: int, _lease: float, _lanes: object, _s: timedelta | None
    ) -> list[Claim]:
        taken, self.jobs = self.jobs[:limit], self.jobs[limit:]
        if taken:
            self.diary.append(("claim", [c.job_id for c in taken]))
        return taken

    def heartbeat(self, claims: Sequence[Claim], _lease: float) -> None:
        self.extended = sorted(c.job_id for c in claims)

    def release(self, claims: Sequence[Claim], _delay: float = 0.0) -> int:
        self.released += [c.job_id for c in claims]
        return len(claims)

    def split(self, claims: list[Claim]) -> tuple[list[Claim], list[Any]]:
        return claims, []

    def submit(self, tasks: Sequence[ScoreTask]) -> None:
        self.diary.append(("submit", [t.job_id for t in tasks]))
        self.in_hand = [[t.job_id for t in tasks]]

    def ahead(self, tasks: Sequence[ScoreTask]) -> bool:
        self.diary.append(("ahead", [t.job_id for t in tasks]))
        self.in_hand.append([t.job_id for t in tasks])
        return True

    def collect(self, tasks: Sequence[ScoreTask]) -> Iterator[tuple[int, Outcome]]:
        assert [t.job_id for t in tasks] == self.in_hand[0], "collected out of order"
        for task in tasks:
            if self.fatal & {job for batch in self.in_hand for job in batch}:
                self.in_hand = []
                raise ScorerCrashError("The scorer process died at decode.")
            if task.job_id in self.poison:
                self.in_hand = []
                raise ScorerCrashError("The scorer process died at score.")
            yield task.job_id, ANSWER
        self.in_hand.pop(0)

    def kill(self) -> None:
        self.diary.append(("kill", []))

    def record(self, verdicts: Sequence[tuple[Claim, Outcome]], *, engine: str) -> None:
        assert engine == self.engine
        if self.bad & {c.job_id for c, _ in verdicts}:
            raise ValueError("not this one")
        self.diary.append(("record", [c.job_id for c, _ in verdicts]))
        self.recorded |= {c.job_id: outcome for c, outcome in verdicts}


def dispatcher(desk: Desk, batch: int = 2) -> Dispatcher:
    config = Config(scoring=Scoring(batch=batch))
    double: Any = desk
    return Dispatcher(
        config, double, double, owner="me", route_of=lambda _c: Route(name="all"),
        record=desk.record, digest_of=lambda _r, *, shadow: None, selection=double,
    )  # fmt: skip


def drain(worker: Dispatcher) -> None:
    while worker.step():
        pass


def test_the_next_batch_is_claimed_and_the_last_recorded_while_the_process_works() -> None:
    desk = Desk(4)
    drain(dispatcher(desk))
    assert desk.diary == [
        ("claim", [1, 2]), ("submit", [1, 2]), ("claim", [3, 4]), ("ahead", [3, 4]),
        ("record", [1, 2]), ("record", [3, 4]),
    ]  # fmt: skip


def test_a_lone_image_is_recorded_at_once() -> None:
    desk = Desk(1)
    worker = dispatcher(desk)
    assert worker.step()
    assert desk.recorded == {1: ANSWER}


@pytest.mark.parametrize("poisoned", [1, 3, 4])
def test_only_the_image_that_kills_the_process_fails(poisoned: int) -> None:
    desk = Desk(6, poison=[poisoned])
    drain(dispatcher(desk, batch=4))
    assert isinstance(desk.recorded.pop(poisoned), Failed)
    assert set(desk.recorded.values()) == {ANSWER}
    assert len(desk.recorded) == 5


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("fatal", [[1], [3], [4], [6], [2, 5]])
def test_an_image_that_kills_while_it_is_decoded_ahead_is_the_one_that_fails(
    fatal: list[int], batch: int
) -> None:
    desk = Desk(6, fatal=fatal)
    drain(dispatcher(desk, batch=batch))
    assert sorted(desk.recorded) == [1, 2, 3, 4, 5, 6]
    assert sorted(n for n, o in desk.recorded.items() if isinstance(o, Failed)) == fatal


def test_nothing_is_handed_over_ahead_while_a_job_is_suspect() -> None:
    desk = Desk(8, fatal=[3])
    drain(dispatcher(desk, batch=2))
    steps = [what for what, _jobs in desk.diary if what in ("submit", "ahead")]
    # 1-2 with 3-4 ahead die; 1, 2, 3-4 (dies), 3 (fails), 4 go alone; then ahead again
    assert steps == ["submit", "ahead", *["submit"] * 6, "ahead"]


def test_a_verdict_that_cannot_be_recorded_harms_no_other() -> None:
    desk = Desk(3, bad=[2])
    worker = dispatcher(desk, batch=3)
    with pytest.raises(ValueError, match="not this one"):
        worker.step()
    assert sorted(desk.recorded) == [1, 3]
    worker.beat()
    assert desk.extended == []  # its lease runs out, nobody extends it


def test_leases_of_all_that_is_in_hand_are_extended() -> None:
    desk = Desk(4)
    worker = dispatcher(desk)
    worker.step()
    worker.beat()
    assert desk.extended == [1, 2, 3, 4]


def test_closing_records_what_is_worked_and_gives_back_the_rest() -> None:
    desk = Desk(4)
    worker = dispatcher(desk)
    worker.step()
    worker.close()
    assert sorted(desk.recorded) == [1, 2]
    assert desk.released == [3, 4]
