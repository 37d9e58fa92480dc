"""Which engine runs a bundle: candidates in order, each refusal told, nothing silent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from ra_engine.build import REFERENCE, is_reference, open_built
from ra_engine.bundle import Bundle
from ra_engine.cache import EngineCache
from ra_engine.contracts import Backend, Session
from ra_engine.errors import BackendError, RuntimeMissingError
from ra_engine.gate import GateReport
from ra_engine.registry import Broken
from ra_engine.samples import load_samples
from ra_engine.spec import EngineSpec, Precision
from ra_engine.wall import wall

_DRIVER = Path("/proc/driver/nvidia/gpus")
_PCI = Path("/sys/bus/pci/devices")
_NVIDIA, _DISPLAY = 0x10DE, 0x03  # PCI vendor; PCI base class of display controllers


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A backend and a precision, written ``name`` or ``name:precision``."""

    backend: str
    precision: Precision

    def __str__(self) -> str:
        return f"{self.backend}:{self.precision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A candidate that was passed over, in words that a person can act on."""

    candidate: str
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The engine in use, and those before it in the order that could not be had.

    Attributes:
        gate: what its numeric gate measured; None for the reference, which needs none.
    """

    session: Session
    candidate: Candidate
    passed: tuple[Passed, ...] = ()
    gate: GateReport | None = None


def candidates(order: Sequence[str], precision: Precision) -> tuple[Candidate, ...]:
    """Read the order of the configuration; the FP32 reference always stands last.

    Args:
        precision: for names that state none.

    Raises:
        ValueError: an unknown precision.
    """
    found = []
    for entry in order:
        name, _, own = entry.partition(":")
        if own and own not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise ValueError(f"{entry!r}: the precision must be one of {known}.")
        found.append(Candidate(backend=name, precision=own or precision))  # type: ignore[arg-type]
    last = Candidate(backend=REFERENCE, precision="fp32")
    return tuple(found if last in found else [*found, last])


def choose(
    bundle: Bundle,
    wanted: Sequence[Candidate],
    spec: EngineSpec,
    backends: Mapping[str, Backend],
    broken: Sequence[Broken] = (),
    *,
    gpus: int | None = None,
) -> Chosen:
    """Load the first candidate that can be had and passed its gate.

    Args:
        spec: threads, device and cache; its precision is each candidate's.
        gpus: GPUs of this machine; None: see ``gpu_count``.

    Raises:
        BackendError: none can be had, or only one on the CPU where one on a GPU was asked for and
            ``spec.allow_cpu`` is not set, whether the GPU is seen or not.
    """
    passed: list[Passed] = []
    present = gpu_count() if gpus is None else gpus
    failed: Passed | None = None  # the first engine on a GPU that could not be had
    for candidate in wanted:
        backend = backends.get(candidate.backend)
        on_cpu = backend is not None and backend.family == "cpu"
        if on_cpu and failed and not spec.allow_cpu:
            continue  # a GPU engine may stand behind it in the order
        try:
            if backend is None:
                raise _absent(candidate.backend, backends, broken)
            session, report = _loaded(bundle, backend, _spec(spec, backend, candidate))
        except BackendError as error:
            passed.append(_passed(candidate, error))
            # What a backend that is not there would have run on, only the machine can tell.
            if failed is None and (bool(present) if backend is None else not on_cpu):
                failed = passed[-1]
            continue
        if on_cpu and present and not spec.allow_cpu:
            passed.append(_unused(present))
        return Chosen(session=session, candidate=candidate, passed=tuple(passed), gate=report)
    raise _nothing(passed, present, asked=None if spec.allow_cpu else failed)


def gpu_count(driver: Path = _DRIVER, pci: Path = _PCI) -> int:
    """NVIDIA GPUs of this machine: those that the kernel driver shows, or that are on the bus.

    A driver that is not loaded shows none, and the GPU is there all the same.
    """
    return max(_entries(driver), sum(1 for _ in _on_bus(pci)))


def _entries(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0


def _on_bus(pci: Path) -> Iterator[Path]:
    """PCI functions that are NVIDIA's display controllers: a card has functions for sound too."""
    for path in pci.glob("*"):
        try:
            vendor = int((path / "vendor").read_text(encoding="ascii"), 16)
            kind = int((path / "class").read_text(encoding="ascii"), 16) >> 16
        except (OSError, ValueError):
            continue
        if (vendor, kind) == (_NVIDIA, _DISPLAY):
            yield path


def samples_path(cache: EngineCache, bundle: Bundle) -> Path:
    """Where the gate's images of a bundle are kept."""
    return cache.folder / f"samples-{bundle.digest[:16]}.npz"


def _loaded(
    bundle: Bundle, backend: Backend, spec: EngineSpec
) -> tuple[Session, GateReport | None]:
    with wall(backend.name):
        if is_reference(backend, spec):
            return backend.load(bundle.graph, spec), None
        if spec.cache is None:
            raise BackendError("Built engines need a cache folder.")
        cache = EngineCache(spec.cache)
        samples = load_samples(samples_path(cache, bundle))
        session, record = open_built(bundle.graph, spec, backend, cache, samples)
        return session, record.gate


def _spec(spec: EngineSpec, backend: Backend, candidate: Candidate) -> EngineSpec:
    device = spec.device if backend.family == "cuda" else "cpu"
    return replace(spec, precision=candidate.precision, device=device)


def _nothing(passed: Sequence[Passed], present: int, *, asked: Passed | None) -> BackendError:
    """The end of the order; ``asked``: a GPU engine that failed, where no CPU engine may follow."""
    told = " ".join(f"{p.candidate}: {p.message}" for p in passed)
    if asked is None:
        hint = passed[-1].hint if passed else None
        return BackendError(f"No engine can be had. {told}", hint=hint)
    here = f"{present} NVIDIA GPU is here" if present else "no NVIDIA GPU is seen here"
    return BackendError(
        f"A GPU engine is asked for and none can be had; {here}. {told}",
        hint=f"{asked.hint} Or let the CPU do the work: [engine] allow_cpu = true.",
    )


def _unused(present: int) -> Passed:
    """A CPU engine where a GPU stands idle that nobody has spoken of."""
    return Passed(
        candidate="gpu",
        code="backend.unused",
        message=f"{present} NVIDIA GPU is here and unused: [engine] backends names a CPU first.",
        hint="Name a GPU backend first in [engine] backends, or say that the CPU is what you want: "
        "[engine] allow_cpu = true.",
    )


def _absent(name: str, backends: Mapping[str, Backend], broken: Sequence[Broken]) -> BackendError:
    fault = next((b for b in broken if b.name == name), None)
    if fault is not None:
        return RuntimeMissingError(f"Backend {name} is broken: {fault.reason}.")
    return RuntimeMissingError(
        f"There is no backend {name}.",
        hint=f"Installed: {', '.join(sorted(backends))}. Correct [engine] backends.",
    )


def _passed(candidate: Candidate, error: BackendError) -> Passed:
    return Passed(candidate=str(candidate), code=error.code, message=str(error), hint=error.hint)
