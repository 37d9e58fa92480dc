"""From a bundle's graph to an engine: the form it needs, compiled, gated, kept in the cache."""

from __future__ import annotations

import hashlib
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ra_engine import int8, recipe
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.cache import SCHEMA, EngineCache, EngineRecord, canonical
from ra_engine.contracts import Backend, Compiler, Session
from ra_engine.errors import BackendError, EngineFileError, GateError
from ra_engine.gate import GateReport, gate
from ra_engine.quantise import QUANTISER, Quantiser
from ra_engine.samples import Samples
from ra_engine.spec import EngineSpec, Form, Precision
from ra_engine.wall import wall

Told = Callable[[str, int, int], None]

REFERENCE = OnnxRuntimeBackend.name
"""The backend whose FP32 session on the CPU every other engine is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltEngine:
    """An engine of the cache; ``fresh`` when this call built it."""

    record: EngineRecord
    fresh: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Formed:
    """The file that a backend reads.

    Attributes:
        kept: names of what stayed FP32 in it.
        refused: what was measured where no INT8 file agrees even on calibration images.
    """

    file: Path
    kept: tuple[str, ...] = ()
    refused: GateReport | None = None


class Named:
    """A session under the name of its engine."""

    def __init__(self, inner: Session, key: str, precision: Precision) -> None:
        self._inner = inner
        self.key = key
        self.precision: Precision = precision
        self.device = inner.device

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """As the inner session's."""
        return self._inner.run(array)

    def close(self) -> None:
        """Give back what the inner session holds on its device."""
        close(self._inner)


def close(session: Session) -> None:
    """Close a session whose backend holds device memory; nothing for the others."""
    closing = getattr(session, "close", None)
    if closing is not None:
        closing()


def is_reference(backend: Backend, spec: EngineSpec) -> bool:
    """Whether this is what all others are gated against: it needs no engine and no gate."""
    return backend.name == REFERENCE and spec.precision == "fp32"


def form_of(backend: Backend, precision: Precision) -> Form:
    """What the backend reads for a precision.

    Raises:
        BackendError: it has none for it.
    """
    form = backend.forms.get(precision)
    if form is None:
        raise BackendError(
            f"Backend {backend.name} has no {precision}.",
            hint=f"It has {', '.join(backend.forms)}: set [engine] precision or backends.",
        )
    return form


def key_inputs(
    graph: Path, spec: EngineSpec, backend: Backend, samples: Samples
) -> dict[str, object]:
    """Everything that decides an engine, as JSON values; its sha256 is the key.

    Raises:
        BackendError: the runtime or the device is missing, or lacks the precision.
    """
    form = form_of(backend, spec.precision)
    quantised = form in ("u8", "s8")
    return {
        "schema": SCHEMA,
        "graph": hashlib.sha256(graph.read_bytes()).hexdigest(),
        "backend": backend.name,
        "facts": backend.facts(spec),
        "os": [platform.system(), platform.machine()],
        "device": _device(backend, spec),
        "precision": spec.precision,
        "form": form,
        "recipe": {"cast": recipe.RECIPE, "u8": QUANTISER, "s8": QUANTISER}.get(form, ""),
        "calibration": samples.calibration_digest if quantised else "",
        "buckets": list(spec.buckets) if isinstance(backend, Compiler) else [],
    }


def engine_key(inputs: dict[str, object]) -> str:
    """sha256 of the canonical JSON."""
    return hashlib.sha256(canonical(inputs).encode()).hexdigest()


def build(
    graph: Path,
    spec: EngineSpec,
    backend: Backend,
    cache: EngineCache,
    samples: Samples,
    reference: Session,
    *,
    told: Told | None = None,
    force: bool = False,
) -> BuiltEngine:
    """Build an engine, gate it and keep it; one that is in the cache and whole is taken from it.

    Args:
        reference: FP32 session of the same graph, see ``REFERENCE``.
        told: called with (stage, steps done, steps).
        force: build again what is there.

    Raises:
        GateError: it was built and does not say what the reference says; kept as a record only.
        BackendError: it cannot be built or loaded.
    """
    inputs = key_inputs(graph, spec, backend, samples)
    key = engine_key(inputs)
    with cache.lock(key):
        held = None if force else _whole(cache, key)
        if held is not None:
            return BuiltEngine(record=passed(held), fresh=False)
        started = time.monotonic()
        form = form_of(backend, spec.precision)
        with tempfile.TemporaryDirectory(dir=cache.folder, prefix=".build-") as scratch:
            formed = _formed(graph, Path(scratch), spec, form, samples, reference, told)
            if formed.refused is None:
                data, suffix = _engine(formed.file, spec, backend, form)
                file = Path(scratch) / f"engine{suffix or '.onnx'}"
                if data:
                    file.write_bytes(data)
                session = _session(backend, graph, file, data, spec, key)
                report = _gated(session, reference, samples, spec)
            else:
                data, suffix, report = b"", "", formed.refused
        record = EngineRecord(
            schema_version=SCHEMA,
            key=key,
            inputs=inputs,
            backend=backend.name,
            version=_version(inputs),
            precision=spec.precision,
            device=_device(backend, spec),
            form=form,
            file=f"{key}{suffix}" if data and report.passed else "",
            sha256=hashlib.sha256(data).hexdigest() if data else "",
            seconds=round(time.monotonic() - started, 3),
            gate=report,
            kept_fp32=formed.kept,
        )
        record = cache.put(record, data)
    return BuiltEngine(record=passed(record), fresh=True)


def is_built(
    graph: Path, spec: EngineSpec, backend: Backend, cache: EngineCache, samples: Samples
) -> bool:
    """Whether the cache holds what ``build`` would make, be it the record of a failed gate.

    Raises:
        BackendError: the runtime or the device is missing, or lacks the precision.
    """
    with wall(backend.name):
        key = engine_key(key_inputs(graph, spec, backend, samples))
    with cache.lock(key):
        return _whole(cache, key) is not None


def open_built(
    graph: Path, spec: EngineSpec, backend: Backend, cache: EngineCache, samples: Samples
) -> tuple[Session, EngineRecord]:
    """Load what ``build`` kept.

    Raises:
        EngineFileError: none was built for this graph, machine and precision, or it is not whole.
        GateError: it was built and failed the gate.
        BackendError: the runtime refuses it.
    """
    key = engine_key(key_inputs(graph, spec, backend, samples))
    record = cache.find(key)
    if record is None:
        raise EngineFileError(
            f"No {spec.precision} engine of {backend.name} was built for this bundle and machine.",
            hint=f"Run ra-daemon models build --backend {backend.name} "
            f"--precision {spec.precision}.",
        )
    passed(record)
    data = cache.read(record)
    session = _session(backend, graph, cache.folder / record.file, data, spec, record.key)
    return Named(session, record.session_key, spec.precision), record


def passed(record: EngineRecord) -> EngineRecord:
    """The record, when its gate was passed.

    Raises:
        GateError: it was not.
    """
    if not record.gate.passed:
        kept = (
            f" with {len(record.kept_fp32)} convolutions in FP32"
            if record.form in ("u8", "s8")
            else ""
        )
        raise GateError(
            f"The {record.precision} engine of {record.backend}{kept} failed the numeric gate: "
            f"{record.gate.words}."
        )
    return record


def _whole(cache: EngineCache, key: str) -> EngineRecord | None:
    """The record when engine and record are whole; what is damaged is dropped, to be built anew."""
    try:
        record = cache.find(key)
        if record is not None:
            cache.read(record)
    except EngineFileError:
        cache.drop(key)
        return None
    return record


def _formed(
    graph: Path,
    scratch: Path,
    spec: EngineSpec,
    form: Form,
    samples: Samples,
    reference: Session,
    told: Told | None,
) -> _Formed:
    ready = scratch / "formed.onnx"
    if form == "master":
        return _Formed(file=graph)
    if form == "cast":
        low: recipe.LowPrecision = "fp16" if spec.precision == "fp16" else "bf16"
        return _Formed(file=ready, kept=recipe.cast_graph(graph, ready, low))
    return _quantised(graph, ready, form, samples, reference, told)


def _quantised(
    graph: Path,
    ready: Path,
    form: Literal["u8", "s8"],
    samples: Samples,
    reference: Session,
    told: Told | None,
) -> _Formed:
    """An INT8 file, and what of it stays FP32.

    The images of the gate are not looked at here, so that the gate judges what it never shaped.
    """
    if samples.calibration is None:
        raise BackendError(
            "INT8 needs calibration images.",
            hint="Run ra-daemon models build --precision int8: it generates them.",
        )
    made = Quantiser(
        graph,
        samples.calibration,
        told=None if told is None else lambda done, of: told("calibration", done, of),
    )
    kept, refused = int8.agreeing(
        made,
        int8.Seen.by(reference, samples.calibration, samples.evidence),
        ready,
        form,
        told=None if told is None else lambda done, of: told("FP32 ends", done, of),
    )
    return _Formed(file=ready, kept=kept, refused=refused)


def _gated(session: Session, reference: Session, samples: Samples, spec: EngineSpec) -> GateReport:
    """What the gate says of a session, which is closed."""
    try:
        return gate(session, reference, samples.gate, spec.precision, evidence=samples.evidence)
    finally:
        close(session)


def _engine(ready: Path, spec: EngineSpec, backend: Backend, form: Form) -> tuple[bytes, str]:
    """The bytes to keep, and their suffix; none where the backend reads the bundle's own file."""
    if isinstance(backend, Compiler):
        return backend.build(ready, spec), backend.suffix
    if form == "master":
        return b"", ""
    return ready.read_bytes(), ".onnx"


def _session(
    backend: Backend, graph: Path, file: Path, data: bytes, spec: EngineSpec, key: str
) -> Session:
    """A session of bytes whose hash holds, or of the bundle's own file."""
    if isinstance(backend, Compiler):
        return backend.open(graph, data, spec, key=key)
    return backend.load(file if data else graph, spec)


def _device(backend: Backend, spec: EngineSpec) -> str:
    return spec.device if backend.family == "cuda" else "cpu"


def _version(inputs: dict[str, object]) -> str:
    facts = inputs["facts"]
    return str(facts.get("version", "")) if isinstance(facts, dict) else ""
