"""The watchdog is fed while every loop moves within its limit, and not by those beside a hang."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from ra_daemon.config import Config, Delivering, Node, Scoring
from ra_daemon.worker.loop import Loop
from ra_daemon.worker.watchdog import Watchdog, limit_s

NAMES = ("admit", "watch", "score-0", "lease-0", "compose", "deliver-pacs", "commitments")
DAY_S = 86400.0


@dataclass
class FakeLoop:
    """A loop that turns when told to."""

    name: str
    beats: int = 0
    idle_s: float = 0.5


@dataclass
class Site:
    """Loops, a clock and the watchdog over them."""

    config: Config = field(default_factory=Config)
    now: float = 1000.0
    loops: list[FakeLoop] = field(default_factory=lambda: [FakeLoop(n) for n in NAMES])

    def __post_init__(self) -> None:
        self.watchdog = Watchdog(self.config, self.loops, lambda: self.now)
        assert self.watchdog.all_move()

    def later(self, seconds: float, *, hanging: str = "") -> bool:
        """All but one loop turn once a second; whether the watchdog is fed at the end."""
        end = self.now + seconds
        while self.now < end:
            self.now += 1
            for loop in self.loops:
                loop.beats += loop.name != hanging
            fed = self.watchdog.all_move()
        return fed

    def limit(self, name: str) -> float:
        return limit_s(self.config, next(loop for loop in self.loops if loop.name == name))


@pytest.mark.parametrize("name", NAMES)
def test_one_loop_that_hangs_starves_the_watchdog_whatever_the_others_do(name: str) -> None:
    site = Site()
    limit = site.limit(name)
    assert site.later(limit, hanging=name), "within its limit it may be at work"
    assert not site.later(2, hanging=name)
    assert not site.later(60, hanging=name)


def test_a_loop_that_moves_again_is_fed_for() -> None:
    site = Site()
    assert not site.later(site.limit("admit") + 2, hanging="admit")
    assert site.later(1)
    assert not site.later(site.limit("admit") + 2, hanging="admit")


def test_a_hang_is_logged_once() -> None:
    site = Site()
    with capture_logs() as told:
        site.later(site.limit("score-0") + 60, hanging="score-0")
    assert [(line["event"], line["loop"]) for line in told] == [("loop.hangs", "score-0")]


def test_a_part_without_loops_is_alive() -> None:
    watchdog = Watchdog(Config(), [])
    assert watchdog.all_move()
    assert watchdog.all_move()


def test_limits_leave_room_for_what_the_configuration_allows() -> None:
    config = Config(
        node=Node(receivers=3),
        scoring=Scoring(time_limit_s=300, batch=8, lease_s=4000),
        delivery=Delivering(timeout_s=100, compose_limit_s=500, composers=2),
    )
    limit = {n: limit_s(config, FakeLoop(n)) for n in (*NAMES, "commit-pacs")}
    assert limit["score-0"] > 180 + 8 * 300, "a start, and each image at its limit"
    assert limit["compose"] > 500 * (3 + 6), "three rounds, and each of six reports alone"
    assert limit["deliver-pacs"] > 16 * (5 + 3 * 100), "a peer that is slow with every answer"
    assert limit["commit-pacs"] > 4 * 100
    assert limit["watch"] > 3 * 60
    assert 60 < limit["admit"] < 300, "what waits for nobody has no excuse"
    assert limit_s(config, FakeLoop("lease-0", idle_s=1000)) > 1000, "its pause is no hang"
    assert max(limit.values()) < DAY_S


@pytest.fixture
def blocked() -> Iterator[tuple[Loop, Loop, threading.Event]]:
    """A loop that turns, and one whose step waits until the event."""
    release = threading.Event()

    def wait() -> bool:
        return not release.wait(60)

    loops = (Loop("admit", lambda: False, idle_s=0.01), Loop("score-0", wait, idle_s=0.01))
    for loop in loops:
        loop.start()
    yield (*loops, release)
    release.set()
    for loop in loops:
        loop.stop()
        assert loop.join(5)


def test_real_loops_are_watched(blocked: tuple[Loop, Loop, threading.Event]) -> None:
    living, hanging, release = blocked
    now = [0.0]
    watchdog = Watchdog(Config(), [living, hanging], lambda: now[0])
    assert watchdog.all_move()
    now[0] = limit_s(Config(), living) + 1
    turned = living.beats
    while living.beats == turned:
        release.wait(0.01)
    assert watchdog.all_move(), "the living one moved, the other has time yet"
    now[0] = limit_s(Config(), hanging) + 1
    while living.beats == turned + 1:
        release.wait(0.01)
    assert not watchdog.all_move()
    before = hanging.beats
    release.set()
    while hanging.beats == before:
        threading.Event().wait(0.01)
    assert watchdog.all_move()
