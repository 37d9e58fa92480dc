"""The self-test of an engine: build, load, numbers, speed, in one table that can be sent to us.

For backends that nobody of the project has seen on their hardware (``standing``): an owner of such
a machine runs ``ra-daemon models build --self-test`` and returns what it prints. The table holds
versions, the device and figures of generated images; nothing of patients, paths or hosts.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ra_engine.build import build, close, open_built
from ra_engine.cache import EngineCache
from ra_engine.contracts import Backend, Session
from ra_engine.errors import RaError
from ra_engine.gate import GateReport
from ra_engine.samples import Samples
from ra_engine.spec import EngineSpec, Precision
from ra_engine.wall import wall

_REPEATS = 20
_BATCHES = (1, 8, 32)
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestRow:
    """One bundle on one backend in one precision.

    Attributes:
        build_s: seconds of building and gating; load_s: of loading what was built.
        gate: the numeric gate's report.
        rates: batch size -> (median milliseconds, images a second), copies included.
        steady: whether a second run gave the same bits.
        alone: largest difference of the score between a row alone and in a batch.
        note: why there are no figures, with the remedy.
    """

    bundle: str
    backend: str
    precision: Precision
    key: str = ""
    build_s: float = 0.0
    load_s: float = 0.0
    gate: GateReport | None = None
    rates: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    steady: bool = False
    alone: float = 0.0
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the engine may be used."""
        return self.gate is not None and self.gate.passed and not self.note


def self_test(
    bundle: str,
    backend: Backend,
    graph: Path,
    spec: EngineSpec,
    cache: EngineCache,
    samples: Samples,
    reference: Session,
    *,
    clock: Clock = time.perf_counter,
) -> SelfTestRow:
    """Build an engine anew, gate it, load it, time it; what goes wrong is the row's note.

    Args:
        graph: the bundle's FP32 file.
        reference: FP32 session of the same graph on the CPU.
    """
    row = SelfTestRow(bundle=bundle, backend=backend.name, precision=spec.precision)
    try:
        with wall(backend.name):
            started = clock()
            built = build(graph, spec, backend, cache, samples, reference, force=True).record
            row = replace(row, build_s=clock() - started, gate=built.gate, key=built.session_key)
            started = clock()
            session, _ = open_built(graph, spec, backend, cache, samples)
            row = replace(row, load_s=clock() - started)
            return _timed(row, session, samples.gate, clock)
    except RaError as error:
        return replace(row, note=_noted(error))


def refusal(bundle: str, backend: str, precision: Precision, error: RaError) -> SelfTestRow:
    """The row of a backend that this machine cannot run."""
    return SelfTestRow(bundle=bundle, backend=backend, precision=precision, note=_noted(error))


def _noted(error: RaError) -> str:
    return f"{error.code}: {error} Remedy: {error.hint}"


def table(
    rows: Sequence[SelfTestRow], facts: Mapping[str, Mapping[str, object]], *, version: str
) -> str:
    """Markdown to send back.

    Args:
        facts: backend -> what it says of itself (versions, driver, device).
        version: of ra-daemon.
    """
    timed = " | ".join(f"batch {b}: ms, images/s" for b in _BATCHES)
    rules = ["---"] * 4 + ["--:"] * (2 + len(_BATCHES)) + ["---", "--:"]
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    lines = [
        f"ra-daemon {version} self-test, {machine}",
        "",
        *(f"- {name}: {_said(said)}" for name, said in facts.items()),
        "",
        (
            f"| bundle | backend | precision | gate | build s | load s | {timed} "
            "| same bits twice | alone - in batch |"
        ),
        f"| {' | '.join(rules)} |",
        *(_line(row) for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _timed(
    row: SelfTestRow, session: Session, images: NDArray[np.float32], clock: Clock
) -> SelfTestRow:
    try:
        first, second = session.run(images), session.run(images)
        return replace(
            row,
            rates={b: _rate(session, images, b, clock) for b in _BATCHES},
            steady=all(first[k].tobytes() == second[k].tobytes() for k in first),
            alone=_alone(session, images, first),
        )
    finally:
        close(session)


def _rate(
    session: Session, images: NDArray[np.float32], batch: int, clock: Clock
) -> tuple[float, float]:
    rows = images[np.arange(batch) % len(images)]
    times = []
    for _ in range(_REPEATS):
        started = clock()
        session.run(rows)
        times.append(clock() - started)
    median = float(np.median(times))
    return 1000 * median, batch / median if median else 0.0


def _alone(
    session: Session, images: NDArray[np.float32], together: Mapping[str, NDArray[np.float32]]
) -> float:
    if "score" not in together:
        return 0.0
    apart = [abs(session.run(images[i : i + 1])["score"][0] - s)
             for i, s in enumerate(together["score"])]  # fmt: skip
    return float(max(apart))


def _said(facts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _line(row: SelfTestRow) -> str:
    head = f"| {row.bundle} | {row.backend} | {row.precision} | "
    if row.gate is None or not row.rates:
        return head + " ".join(row.note.split()).replace("|", "/") + " |" + " |" * 7
    verdict = ("passed" if row.passed else "FAILED") + f": {row.gate.words}"
    rates = [f"{ms:.2f}, {rate:.0f}" for ms, rate in row.rates.values()]
    cells = [
        verdict, f"{row.build_s:.1f}", f"{row.load_s:.1f}", *rates,
        "yes" if row.steady else "no", f"{row.alone:.1e}",
    ]  # fmt: skip
    return head + " | ".join(cells) + " |"
