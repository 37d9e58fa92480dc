"""Whether the loops of a node move: only then is the service manager's watchdog fed.

A thread that waits for ever (a database behind a dead link, a lock, a peer) looks like one that has
nothing to do, and the loops beside it go on. Each loop has its own limit: what one turn may take at
most, with the timeouts of the configuration, before it must be hanging.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from ra_daemon import log
from ra_daemon.config import Config
from ra_daemon.steps import deliver
from ra_daemon.worker import composers
from ra_daemon.worker.loop import MAX_BACKOFF_S

_log = log.get(__name__)
_TURN_S = 120.0  # a busy disk, and a database that is waited for (30 s a statement)
_START_S = 600.0  # a scorer process that loads its engines, tries them again without the shadow's
_RESTART_S = 65.0  # the longest pause before a receiver's restart, and its start
_ASK_AND_SEND = 4  # timeouts for one object: association, question, release, C-STORE


class Beating(Protocol):
    """What is watched of a loop."""

    @property
    def name(self) -> str:
        """Its part of the node, and after a hyphen which one."""
        ...

    @property
    def beats(self) -> int:
        """Turns it has done."""
        ...

    @property
    def idle_s(self) -> float:
        """Its pause after a turn without work, in seconds."""
        ...


class Watchdog:
    """Looks at loops from outside, by a clock of its own; seconds, monotonic."""

    def __init__(
        self,
        config: Config,
        loops: Sequence[Beating],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._loops = loops
        self._clock = clock
        self._moved: dict[str, tuple[int, float]] = {}
        self._hanging: set[str] = set()

    def all_move(self) -> bool:
        """Whether each loop made a turn within its limit; who does not is logged once."""
        now = self._clock()
        return not [loop for loop in self._loops if self._hangs(loop, now)]

    def _hangs(self, loop: Beating, now: float) -> bool:
        beats, since = self._moved.get(loop.name, (-1, now))
        if loop.beats != beats:
            self._moved[loop.name] = (loop.beats, now)
            self._hanging.discard(loop.name)
            return False
        if now - since <= limit_s(self._config, loop):
            return False
        if loop.name not in self._hanging:
            self._hanging.add(loop.name)
            _log.error("loop.hangs", loop=loop.name, silent_s=round(now - since))
        return True


def limit_s(config: Config, loop: Beating) -> float:
    """Seconds without a turn after which a loop hangs: its longest pause and its longest turn."""
    part = loop.name.partition("-")[0]
    return max(loop.idle_s, MAX_BACKOFF_S) + _TURN_S + _waits_s(config, part)


def _waits_s(config: Config, part: str) -> float:
    """Seconds that a turn may rightly wait for processes and peers."""
    scoring, delivery = config.scoring, config.delivery
    if part == "score":  # the limit of an image counts anew for each of its stages
        return _START_S + 2 * scoring.batch * scoring.time_limit_s
    if part == "compose":  # the rounds of the pool, then each report that failed alone
        processes = delivery.composers or composers.MOST
        return delivery.compose_limit_s * composers.EACH * (1 + processes)
    if part == "deliver":
        return delivery.timeout_s * _ASK_AND_SEND * deliver.BATCH
    if part == "commit":
        return delivery.timeout_s * _ASK_AND_SEND
    return _RESTART_S * config.node.receivers if part == "watch" else 0.0
