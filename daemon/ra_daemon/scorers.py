"""What each scorer process runs or lacks: files in ``run/`` for metrics, ``doctor`` and ``status``.

Nodes may share a store, so a file bears its node's name. A file that nobody touches any more is
that of a node that was killed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from ra_daemon.engines import EngineState
from ra_engine.choose import Passed

Role = Literal["active", "shadow"]

BEAT_S = 30.0
"""Between two touches of a file, at most."""
_SILENT_S = 4 * BEAT_S
_FORGOTTEN_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a role has no engine; holds no patient data."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerState:
    """One role of one scorer process.

    Attributes:
        node: name of the machine.
        index: number of the scorer on it, from 0.
        engine: what runs the role's score graph; None while it is being loaded or cannot be had.
        fault: why it cannot be had.
        order: candidates of the configuration that the scorer was started with.
        pid: process of its node on that machine; 0 where it is not told.
    """

    node: str
    index: int
    role: Role = "active"
    engine: EngineState | None = None
    fault: Fault | None = None
    order: tuple[str, ...] = ()
    pid: int = 0

    @property
    def ready(self) -> bool:
        """Whether images can be scored."""
        return self.engine is not None and self.fault is None

    @property
    def name(self) -> str:
        """How people read of it."""
        return f"scorer {self.index}" if self.role == "active" else f"scorer {self.index} shadow"

    @property
    def words(self) -> str:
        """What it has, in words."""
        if self.fault is not None:
            return self.fault.message
        if self.engine is None:
            return "loads its models"
        return f"{self.engine.engine}, {self.engine.precision} on {self.engine.device}"


def write(root: Path, told: ScorerState) -> None:
    """Keep a state; whole or not at all."""
    path = _path(root, told)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(asdict(told)), encoding="utf-8")
    scratch.replace(path)


def touch(root: Path, told: ScorerState) -> None:
    """Say that it still holds."""
    with suppress(FileNotFoundError):
        os.utime(_path(root, told))


def remove(root: Path, told: ScorerState) -> None:
    """The scorer has ended."""
    _path(root, told).unlink(missing_ok=True)


def clear(root: Path, *, shared: bool) -> None:
    """Remove what an earlier run left, before the scorers of this one start.

    Args:
        shared: other nodes use this store too: those that are alive keep theirs.
    """
    for path in _files(root):
        found = _read(path)
        ours = found is None or found.node == os.uname().nodename
        with suppress(FileNotFoundError):
            if ours or not shared or _age_s(path) > _FORGOTTEN_S:
                path.unlink()


def states(root: Path) -> Iterator[ScorerState]:
    """What is known of every scorer on this store.

    One whose node does not run, or that is long silent, has a fault; then it is no more.
    """
    for path in _files(root):
        found = _read(path)
        if found is None:
            continue
        try:
            silent = _age_s(path)
        except FileNotFoundError:
            continue  # it ended meanwhile
        if silent > _FORGOTTEN_S:
            continue
        if _was_killed(found, silent):
            yield replace(found, fault=_absence(found, "its node does not run"))
        elif silent > _SILENT_S:
            yield replace(found, fault=_absence(found, f"not heard of for {silent:.0f} s"))
        else:
            yield found


def _absence(found: ScorerState, message: str) -> Fault:
    hint = f"Start the node on {found.node} again: it was killed or hangs."
    return Fault(code="scorer.silent", message=message, hint=hint)


def _was_killed(found: ScorerState, silent_s: float) -> bool:
    """Whether a node of this machine is gone; who has its number since then began later."""
    if found.node != os.uname().nodename or not found.pid:
        return False
    import psutil

    try:
        process = psutil.Process(found.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        began: float = process.create_time()
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
    return began > time.time() - silent_s + BEAT_S


def _files(root: Path) -> list[Path]:
    return sorted((root / "run").glob("engine-*.json"))


def _path(root: Path, told: ScorerState) -> Path:
    return root / "run" / f"engine-{told.node}-{told.index}-{told.role}.json"


def _age_s(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _read(path: Path) -> ScorerState | None:
    """None for what is no state: of another version, or gone."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        engine, fault = held.pop("engine"), held.pop("fault")
        if engine is not None:
            passed = tuple(Passed(**p) for p in engine.pop("passed"))
            engine = EngineState(**engine, passed=passed)
        order = tuple(held.pop("order"))
        known = None if fault is None else Fault(**fault)
        return ScorerState(**held, engine=engine, fault=known, order=order)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
