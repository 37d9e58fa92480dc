"""The dispatcher: what overlaps, what a dead process or a bad verdict costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ra_daemon.config import Config, Route, Scoring
from ra_daemon.domain import Claim, Failed, Lane, Origin, Outcome, Reason, Refused, Scored
from ra_daemon.errors import EngineLostError, ScorerCrashError, ScorerUnreadyError
from ra_daemon.worker.dispatcher import Dispatcher
from ra_daemon.worker.messages import ScoreTask
from ra_engine.types import Side
from tests.support.verdicts import header

ANSWER = Refused(reason=Reason.NOT_A_HAND)
SCORE = Scored(views=(), findings=(), laterality=Side.LEFT, laterality_source="tag", hands="left")


def claim(number: int) -> Claim:
    return Claim(
        job_id=number, token="t", instance_id=number, path=f"{number}.dcm", header=header(),
        origin=Origin(), attempt=1, lane=Lane.NORMAL, pipeline_digest="p", route="all",
        lease_until=datetime(2030, 1, 1, tzinfo=UTC), dataset_sha256="ab" * 32,
    )  # fmt: skip


class Desk:
    """Queue, process, selection and records at once, with a diary of what came when."""

    engine = "double"
    answer: Outcome = ANSWER

    def __init__(
        self,
        jobs: int,
        *,
        poison: Sequence[int] = (),
        fatal: Sequence[int] = (),
        bad: Sequence[int] = (),
        loses: Sequence[int] = (),
        unready: int = 0,
        lost: int = 0,
    ) -> None:
        self.jobs = [claim(n) for n in range(1, jobs + 1)]
        self.poison, self.bad = set(poison), set(bad)
        self.fatal = set(fatal)  # these kill the process as soon as they are handed over
        self.loses = set(loses)  # the engine fails on these
        self.unready = unready  # so many starts fail
        self.lost = lost  # so many batches fail, whatever is in them
        self.alive = False
        self.takes_shadows = True
        self.ended = False
        self.lanes: list[Lane] = []
        self.in_hand: list[list[int]] = []
        self.diary: list[tuple[str, list[int]]] = []
        self.recorded: dict[int, Outcome] = {}
        self.released: list[int] = []
        self.extended: list[int] = []

    def claim(
        self, _owner: str, limit: int, _lease: float, lanes: Sequence[Lane], _s: timedelta | None
    ) -> list[Claim]:
        self.lanes = list(lanes)
        taken, self.jobs = self.jobs[:limit], self.jobs[limit:]
        if taken:
            self.diary.append(("claim", [c.job_id for c in taken]))
        return taken

    def heartbeat(self, claims: Sequence[Claim], _lease: float) -> None:
        self.extended = sorted(c.job_id for c in claims)

    def release(self, claims: Sequence[Claim], _delay: float = 0.0) -> int:
        self.released += [c.job_id for c in claims]
        self.jobs += claims
        return len(claims)

    def split(self, claims: list[Claim]) -> tuple[list[Claim], list[Any]]:
        return claims, []

    def start(self) -> bool:
        if self.ended:
            return False
        if self.unready:
            self.unready -= 1
            raise ScorerUnreadyError("There is no GPU.")
        self.alive = True
        return True

    def beat(self) -> None:
        self.diary.append(("beat", []))

    def end(self) -> None:
        self.ended = True

    def crash(self, error: ScorerCrashError) -> ScorerCrashError:
        self.alive, self.in_hand = False, []
        return error

    def submit(self, tasks: Sequence[ScoreTask]) -> None:
        self.diary.append(("submit", [t.job_id for t in tasks]))
        assert self.alive, "handed to no process"
        self.in_hand = [[t.job_id for t in tasks]]

    def ahead(self, tasks: Sequence[ScoreTask]) -> bool:
        self.diary.append(("ahead", [t.job_id for t in tasks]))
        self.in_hand.append([t.job_id for t in tasks])
        return True

    def collect(self, tasks: Sequence[ScoreTask]) -> Iterator[tuple[int, Outcome]]:
        assert [t.job_id for t in tasks] == self.in_hand[0], "collected out of order"
        for task in tasks:
            if self.fatal & {job for batch in self.in_hand for job in batch}:
                raise self.crash(ScorerCrashError("The scorer process died at decode."))
            if task.job_id in self.poison:
                raise self.crash(ScorerCrashError("The scorer process died at score."))
            if self.lost or task.job_id in self.loses:
                self.lost = max(0, self.lost - 1)
                raise self.crash(EngineLostError("The engine failed."))
            yield task.job_id, self.answer
        self.in_hand.pop(0)

    def close(self) -> None:
        self.alive = False
        self.diary.append(("close", []))

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


def again(worker: Dispatcher, until: int, desk: Desk) -> int:
    """Step as a loop does, until so many verdicts are recorded; how often it had to pause."""
    pauses = 0
    for _ in range(60):
        try:
            worker.step()
        except (ScorerUnreadyError, EngineLostError):
            pauses += 1
        if len(desk.recorded) >= until:
            return pauses
    raise AssertionError(f"{len(desk.recorded)} of {until} recorded")


def test_without_a_process_nothing_is_claimed_and_the_jobs_are_scored_later() -> None:
    desk = Desk(3, unready=4)
    worker = dispatcher(desk)
    for _ in range(4):
        with pytest.raises(ScorerUnreadyError):
            worker.step()
    assert desk.diary == []
    drain(worker)
    assert desk.recorded == dict.fromkeys([1, 2, 3], ANSWER)


def test_a_process_that_dies_before_it_is_handed_a_job_is_replaced_and_charges_none() -> None:
    desk = Desk(1)
    claimed = desk.claim

    def dies(*words: Any) -> list[Claim]:
        desk.alive, desk.claim = False, claimed  # type: ignore[method-assign]
        return claimed(*words)

    desk.claim = dies  # type: ignore[method-assign]
    worker = dispatcher(desk)
    drain(worker)
    assert desk.recorded == {1: ANSWER}


def test_what_is_in_hand_is_given_back_when_no_other_process_can_be_had() -> None:
    desk = Desk(4, poison=[3])
    worker = dispatcher(desk, batch=4)
    worker.step()  # 3 brings it down; 3 and 4 are suspect
    desk.unready = 2
    assert again(worker, 4, desk) == 2
    assert sorted(desk.released) == [3, 4]
    assert isinstance(desk.recorded.pop(3), Failed)
    assert set(desk.recorded.values()) == {ANSWER}


def test_verdicts_are_recorded_also_when_no_other_process_can_be_had() -> None:
    desk = Desk(4, poison=[2])
    worker = dispatcher(desk, batch=4)
    worker.step()
    assert desk.recorded == {}  # 2, 3 and 4 go on
    desk.unready = 1
    with pytest.raises(ScorerUnreadyError):
        worker.step()
    assert list(desk.recorded) == [1]


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("lost", [1, 3, 9])
def test_an_engine_that_fails_is_no_image_s_fault(lost: int, batch: int) -> None:
    desk = Desk(6, lost=lost)
    desk.answer = SCORE
    again(dispatcher(desk, batch=batch), 6, desk)
    assert desk.recorded == dict.fromkeys(range(1, 7), SCORE)


def test_an_engine_that_fails_on_one_image_only_is_that_image_s_fault() -> None:
    desk = Desk(6, loses=[4])
    desk.answer = SCORE
    pauses = again(dispatcher(desk, batch=4), 6, desk)
    failed = desk.recorded.pop(4)
    assert isinstance(failed, Failed)
    assert failed.code == "scorer.engine_lost"
    assert set(desk.recorded) == {1, 2, 3, 5, 6}
    assert (pauses, desk.released) == (1, [4])


def test_a_lone_image_is_never_blamed_for_an_engine_that_scored_no_other() -> None:
    desk = Desk(1, loses=[1])
    worker = dispatcher(desk)
    for _ in range(20):
        with pytest.raises(EngineLostError):
            worker.step()
    assert desk.recorded == {}
    assert desk.released == [1] * 20


def test_shadow_jobs_wait_while_the_shadow_cannot_be_had() -> None:
    desk = Desk(1)
    desk.takes_shadows = False
    worker = dispatcher(desk)
    worker.step()
    assert Lane.SHADOW not in desk.lanes
    desk.takes_shadows = True
    worker.step()
    assert Lane.SHADOW in desk.lanes


def test_a_shadow_s_image_is_to_blame_and_holds_up_no_other() -> None:
    desk = Desk(1, loses=[1])
    desk.jobs = [replace(desk.jobs[0], lane=Lane.SHADOW)]
    drain(dispatcher(desk))
    assert isinstance(desk.recorded[1], Failed)


def test_a_start_that_is_given_up_ends_the_step() -> None:
    desk = Desk(1)
    worker = dispatcher(desk)
    worker.end()
    assert not worker.step()
    assert desk.diary == []


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
