"""What one scorer process has told of its engines: pinned, logged, and kept for others to read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from ra_daemon import engines, log, scorers
from ra_daemon.config import Config
from ra_daemon.engines import EngineState
from ra_daemon.scorers import Fault, Role, ScorerState

_log = log.get(__name__)


class Standing:
    """The roles of one scorer, through all the processes that it goes through."""

    def __init__(self, config: Config, index: int, roles: Sequence[Role]) -> None:
        order = tuple(str(c) for c in engines.order_of(config))
        self._root = config.root
        self._index = index
        blank = ScorerState(node=os.uname().nodename, index=index, order=order, pid=os.getpid())
        self._blank = {role: replace(blank, role=role) for role in roles}
        self._chosen: dict[Role, EngineState] = {}
        self._ready: set[Role] = set()
        self._faults: dict[Role, Fault] = {}

    @property
    def pins(self) -> dict[Role, str]:
        """The candidate of each role's first start: a replacement never switches silently."""
        return {role: engine.candidate for role, engine in self._chosen.items()}

    def engine(self, role: Role) -> str:
        """Session key of a role's score graph, "" before the first start."""
        return self._chosen[role].engine if role in self._chosen else ""

    def is_ready(self, role: Role) -> bool:
        """Whether the present process has loaded it."""
        return role in self._ready

    def starting(self) -> None:
        """A process loads its models; a fault stands until it has: it does not flicker."""
        self._ready.clear()
        for role, blank in self._blank.items():
            scorers.write(self._root, replace(blank, fault=self._faults.get(role)))

    def loaded(self, role: Role, engine: EngineState) -> None:
        """Say once what was chosen, and loudly what could not be had."""
        if role not in self._chosen:
            self._tell(role, engine)
        self._chosen[role] = engine
        self._ready.add(role)
        self._faults.pop(role, None)
        scorers.write(self._root, replace(self._blank[role], engine=engine))

    def failed(self, role: Role, fault: Fault, event: str) -> None:
        """A role has no engine now; ``event`` names it in the log."""
        self._ready.discard(role)
        self._faults[role] = fault
        _log.error(
            event,
            index=self._index,
            role=role,
            code=fault.code,
            why=fault.message,
            hint=fault.hint,
        )
        scorers.write(self._root, replace(self._blank[role], fault=fault))

    def beat(self) -> None:
        """What was written still holds."""
        for blank in self._blank.values():
            scorers.touch(self._root, blank)

    def end(self) -> None:
        """There is no such scorer any more."""
        for blank in self._blank.values():
            scorers.remove(self._root, blank)

    def _tell(self, role: Role, engine: EngineState) -> None:
        for passed in engine.passed:
            _log.error(
                "engine.passed_over",
                index=self._index,
                role=role,
                wanted=passed.candidate,
                code=passed.code,
                why=passed.message,
                hint=passed.hint,
                engine=engine.engine,
            )
        _log.info(
            "engine.chosen",
            index=self._index,
            role=role,
            engine=engine.engine,
            precision=engine.precision,
            device=engine.device,
            gate=engine.gate or "reference",
        )
