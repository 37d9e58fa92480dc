"""ra-daemon models build --self-test: every engine that this machine could run, in one table."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ra_engine.errors import RaError

if TYPE_CHECKING:
    from ra_daemon.config import Config
    from ra_engine.build import Told
    from ra_engine.bundle import Bundle
    from ra_engine.cache import EngineCache
    from ra_engine.choose import Candidate
    from ra_engine.contracts import Backend, Session
    from ra_engine.samples import Samples
    from ra_engine.selftest import SelfTestRow
    from ra_engine.spec import EngineSpec, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What can be tested here.

    Attributes:
        candidates: every precision of every backend that this machine can run; the FP32 reference
            is none.
        refused: a row for each backend that it cannot.
        facts: by backend: what it says of versions, driver and device.
    """

    candidates: tuple[Candidate, ...]
    refused: tuple[SelfTestRow, ...]
    facts: Mapping[str, Mapping[str, object]]


def machine(
    config: Config, bundle: Bundle, backend: str | None, precision: Precision | None
) -> Machine:
    """Ask all installed backends, or one, what they could do here."""
    from ra_daemon import engines
    from ra_engine import registry
    from ra_engine.build import REFERENCE
    from ra_engine.choose import Candidate
    from ra_engine.selftest import refusal
    from ra_engine.wall import wall

    found = {backend: engines.backend_named(backend)} if backend else registry.load_backends()[0]
    candidates, refused, facts = [], [], {}
    for name, made in sorted(found.items()):
        asked = [
            p for p in made.forms if precision in (None, p) and (name, p) != (REFERENCE, "fp32")
        ]
        standing = getattr(made, "standing", "")
        facts[name] = {"standing": standing} if standing else {}
        try:
            with wall(name):
                facts[name] |= made.facts(_spec(engines.spec_of(config), made))
        except RaError as error:
            facts[name] |= {"cannot be used:": str(error).rstrip(".")}
            refused += [refusal(bundle.name, name, p, error) for p in asked[:1]]
            continue
        candidates += [Candidate(backend=name, precision=p) for p in asked]
    return Machine(candidates=tuple(candidates), refused=tuple(refused), facts=facts)


def report(
    config: Config, bundle: Bundle, cache: EngineCache, samples: Samples, here: Machine, told: Told
) -> tuple[str, tuple[SelfTestRow, ...]]:
    """Build, gate and time every candidate; the table and its rows.

    Raises:
        RaError: the FP32 reference itself cannot be had; a candidate's fault is its row's note.
    """
    from ra_daemon import engines
    from ra_engine.selftest import table

    spec = engines.spec_of(config)
    reference = engines.reference(bundle.graph, threads=spec.threads)
    rows = (*_rows(bundle, cache, samples, here.candidates, spec, reference, told), *here.refused)
    return table(rows, here.facts, version=importlib.metadata.version("ra-daemon")), rows


def _rows(
    bundle: Bundle, cache: EngineCache, samples: Samples, tested: tuple[Candidate, ...],
    spec: EngineSpec, reference: Session, told: Told,
) -> Iterator[SelfTestRow]:  # fmt: skip
    from ra_daemon import engines
    from ra_engine.selftest import self_test

    for number, candidate in enumerate(tested):
        told(f"self-test {candidate}", number, len(tested))
        backend = engines.backend_named(candidate.backend)
        asked = replace(_spec(spec, backend), precision=candidate.precision)
        yield self_test(bundle.name, backend, bundle.graph, asked, cache, samples, reference)


def _spec(spec: EngineSpec, backend: Backend) -> EngineSpec:
    return spec if backend.family == "cuda" else replace(spec, device="cpu")
