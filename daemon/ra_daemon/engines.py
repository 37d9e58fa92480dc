"""The engine of a node: from the configuration to the chosen session, and what was passed over."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ra_daemon.config import Config
from ra_engine import registry
from ra_engine.bundle import Bundle
from ra_engine.choose import Candidate, Chosen, Passed, candidates, choose
from ra_engine.contracts import Backend, Session
from ra_engine.errors import RuntimeMissingError
from ra_engine.spec import EngineSpec

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """What a scorer process runs.

    Attributes:
        candidate: ``name:precision`` of the configuration's order.
        gate: the numeric gate's figures in words, "" for the FP32 reference.
    """

    engine: str
    precision: str
    device: str
    candidate: str
    gate: str
    passed: tuple[Passed, ...]


def spec_of(config: Config) -> EngineSpec:
    """What the configuration asks of an engine; the precision is each candidate's."""
    wanted = config.engine
    return EngineSpec(
        threads=config.scoring.threads or len(os.sched_getaffinity(0)),
        device=wanted.device,
        device_memory=wanted.device_memory_mib * _MIB if wanted.device_memory_mib else None,
        cache=config.root / "engines",
        allow_cpu=wanted.allow_cpu,
    )


def order_of(config: Config) -> tuple[Candidate, ...]:
    """The candidates in their order."""
    return candidates(config.engine.backends, config.engine.precision)


def chosen(config: Config, bundle: Bundle, *, pinned: str = "") -> Chosen:
    """The first engine that can be had for ``bundle``.

    Args:
        pinned: only this candidate (``name:precision``): a process that is replaced never gets
            another engine than the one before it.

    Raises:
        BackendError: none can be had; the hint names the remedy.
    """
    order = tuple(c for c in order_of(config) if pinned in ("", str(c)))
    backends, broken = registry.load_backends([c.backend for c in order])
    return choose(bundle, order, spec_of(config), backends, broken)


def reference(graph: Path, *, threads: int) -> Session:
    """The FP32 session on the CPU that every engine is gated against.

    Raises:
        BackendError: it refuses the graph.
    """
    return backend_named("onnxruntime").load(graph, EngineSpec(threads=threads))


def standing_of(candidate: str) -> str:
    """ " (never run by us)" and the like for a backend that says so of itself, else ""."""
    found, _broken = registry.load_backends([candidate.partition(":")[0]])
    words = next((getattr(b, "standing", "") for b in found.values()), "")
    return f" ({words})" if words else ""


def backend_named(name: str) -> Backend:
    """A backend by its name.

    Raises:
        RuntimeMissingError: there is none, or it is broken.
    """
    found, broken = registry.load_backends([name])
    if name in found:
        return found[name]
    reason = broken[0].reason if broken else "no such entry point"
    known = ", ".join(p.name for p in registry.points(registry.BACKENDS))
    raise RuntimeMissingError(
        f"Backend {name!r} cannot be used: {reason}.", hint=f"Installed: {known}."
    )


def state_of(choice: Chosen) -> EngineState:
    """A choice as plain values."""
    return EngineState(
        engine=choice.session.key,
        precision=choice.session.precision,
        device=choice.session.device,
        candidate=str(choice.candidate),
        gate=choice.gate.words if choice.gate is not None else "",
        passed=choice.passed,
    )
