"""Filling a batch: a trickle is batched, nobody waits longer than told, a stat job not at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from ra_daemon.domain import Claim, Lane, Origin
from ra_daemon.worker.bucket import Bucket
from tests.support.verdicts import header

WAIT_S = 0.05


class Clinic:
    """A clock that only sleeping moves, and a queue in which jobs fall due as it moves."""

    def __init__(self, due: Sequence[tuple[float, Lane]]) -> None:
        self.now = 0.0
        self.due = [(at, claim(n, lane)) for n, (at, lane) in enumerate(due)]
        self.broken = False

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds

    def claim(self, limit: int) -> list[Claim]:
        if self.broken:
            raise OSError
        ready = [(at, c) for at, c in self.due if at <= self.now][:limit]
        self.due = [entry for entry in self.due if entry not in ready]
        return [c for _, c in ready]

    def bucket(self, size: int, wait_s: float = WAIT_S) -> Bucket:
        return Bucket(self.claim, size, wait_s, clock=self.clock, sleep=self.sleep)


def claim(number: int, lane: Lane) -> Claim:
    return Claim(
        job_id=number, token="t", instance_id=number, path=f"{number}.dcm", header=header(),
        origin=Origin(), attempt=1, lane=lane, pipeline_digest="p", route="all",
        lease_until=datetime(2030, 1, 1, tzinfo=UTC), dataset_sha256="ab" * 32,
    )  # fmt: skip


def normal(*moments: float) -> list[tuple[float, Lane]]:
    return [(at, Lane.NORMAL) for at in moments]


@pytest.mark.parametrize("wait_s", [0.0, 0.003, 0.05, 1.0])
def test_a_single_image_waits_as_long_as_told_and_no_longer(wait_s: float) -> None:
    clinic = Clinic(normal(0))
    assert len(clinic.bucket(4, wait_s).fill()) == 1
    assert clinic.now == pytest.approx(wait_s)


def test_a_trickle_is_batched() -> None:
    clinic = Clinic(normal(0, 0.01, 0.02, 0.03, 0.04))
    bucket = clinic.bucket(4)
    assert [c.job_id for c in bucket.fill()] == [0, 1, 2, 3]
    assert 0.03 <= clinic.now < WAIT_S  # a full bucket goes at once


def test_who_comes_after_the_wait_goes_with_the_next() -> None:
    clinic = Clinic(normal(0, 0.02, 0.06))
    bucket = clinic.bucket(4)
    assert [c.job_id for c in bucket.fill()] == [0, 1]
    clinic.now = 0.06
    assert [c.job_id for c in bucket.fill()] == [2]


def test_nothing_due_is_not_waited_for() -> None:
    clinic = Clinic(normal(0.01))
    assert clinic.bucket(4).fill() == []
    assert clinic.now == 0


def test_a_stat_job_never_waits() -> None:
    clinic = Clinic([(0, Lane.NORMAL), (0, Lane.STAT)])
    assert len(clinic.bucket(4).fill()) == 2
    assert clinic.now == 0


def test_a_stat_job_that_comes_ends_the_wait() -> None:
    clinic = Clinic([(0, Lane.NORMAL), (0.01, Lane.STAT)])
    assert len(clinic.bucket(4).fill()) == 2
    assert clinic.now <= 0.02


def test_the_tail_of_a_queue_does_not_wait() -> None:
    clinic = Clinic(normal(*[0] * 5, 1.0))
    bucket = clinic.bucket(4)
    assert len(bucket.fill()) == 4
    assert len(bucket.fill()) == 1
    assert clinic.now == 0
    clinic.now = 1.0
    assert len(bucket.fill()) == 1
    assert clinic.now == pytest.approx(1.0 + WAIT_S)  # a new head waits again


def test_what_is_taken_behind_a_batch_does_not_wait() -> None:
    clinic = Clinic(normal(0, 0.01))
    assert len(clinic.bucket(4).take()) == 1
    assert clinic.now == 0


def test_what_is_claimed_is_given_when_the_database_goes_away() -> None:
    clinic = Clinic(normal(0))

    def once(limit: int) -> list[Claim]:
        found = clinic.claim(limit)
        clinic.broken = True
        return found

    bucket = Bucket(once, 4, WAIT_S, clock=clinic.clock, sleep=clinic.sleep)
    assert len(bucket.fill()) == 1
    with pytest.raises(OSError):  # noqa: PT011 - the double's own
        bucket.fill()
