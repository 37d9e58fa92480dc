"""A loop's pauses: ended by work, not ended by work after a failure."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from ra_daemon.worker.loop import Loop


class Step:
    """A step that is idle, or fails, and tells how often it was called."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.error = error
        self.called = threading.Semaphore(0)

    def __call__(self) -> bool:
        self.calls += 1
        self.called.release()
        if self.error is not None:
            raise self.error
        return False


@pytest.fixture
def loops() -> Iterator[list[Loop]]:
    made: list[Loop] = []
    yield made
    for loop in made:
        loop.stop()
        assert loop.join(5)


def started(step: Step, loops: list[Loop]) -> Loop:
    loop = Loop("test", step, idle_s=60)
    loops.append(loop)
    loop.start()
    assert step.called.acquire(timeout=5)
    return loop


def test_work_ends_the_pause_of_an_idle_loop(loops: list[Loop]) -> None:
    step = Step()
    loop = started(step, loops)
    loop.wake()
    assert step.called.acquire(timeout=5), "long before the 60 s of its pause"


def test_work_does_not_end_the_pause_after_a_failure(loops: list[Loop]) -> None:
    step = Step(OSError("the database is away"))
    loop = started(step, loops)
    for _ in range(20):
        loop.wake()
    assert not step.called.acquire(timeout=0.5), "the first pause after a failure is 1 s"


def test_stopping_ends_any_pause(loops: list[Loop]) -> None:
    for step in (Step(), Step(OSError("away"))):
        loop = started(step, loops)
        loop.stop()
        assert loop.join(5)
        assert loop.stopping


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "disk.full"),
        (
            sa.exc.OperationalError("", {}, sqlite3.OperationalError("database or disk is full")),
            "disk.full",
        ),
        (
            sa.exc.OperationalError("", {}, sqlite3.OperationalError("database is locked")),
            "store.failed",
        ),
        (KeyError("ZQX"), "unexpected"),
    ],
)
def test_a_failure_is_told_by_its_code_and_remedy(
    loops: list[Loop], error: Exception, code: str
) -> None:
    with capture_logs() as told:
        loop = started(Step(error), loops)
        loop.stop()
        assert loop.join(5)
    assert told[0]["event"] == "loop.failed"
    assert (told[0]["code"], told[0]["error"]) == (code, type(error).__name__)
    assert ("hint" in told[0]) == (code != "unexpected")
    assert "ZQX" not in str(told)
