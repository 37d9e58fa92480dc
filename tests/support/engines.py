"""Backends and sessions for tests of build, cache, gate and choice; no mock, plain arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.errors import DriverError, EngineFileError
from ra_engine.samples import Samples
from ra_engine.spec import EngineSpec, Form, Precision
from tests.support.bundles import GRAPHS

GRAPH = GRAPHS / "score.onnx"


def images(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Inputs of the tests' score graph."""
    return np.random.default_rng(seed).random((count, 1, 128, 96), np.float32)


def samples() -> Samples:
    """Few images: the graph is arithmetic."""
    return Samples(gate=images(4), evidence=0.01)


class Shifted:
    """The reference's outputs with ``shift`` added to the score."""

    precision: Precision
    device = "cuda:0"

    def __init__(self, key: str, precision: Precision, shift: float) -> None:
        self.key, self.precision, self._shift = key, precision, shift
        self._inner = OnnxRuntimeBackend().load(GRAPH, EngineSpec())
        self.closed = False

    def run(self, array: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        found = self._inner.run(array)
        return found | {"score": found["score"] + np.float32(self._shift)}

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeCompiler:
    """A backend that compiles: its engine is a text that names the shift of its scores."""

    shift: float = 0.0
    version: str = "1.0"
    name: str = "fake"
    family: str = "cuda"
    suffix: str = ".plan"
    driver: bool = True
    forms: Mapping[Precision, Form] = field(default_factory=lambda: {"fp16": "master"})
    builds: list[EngineSpec] = field(default_factory=list)

    def facts(self, spec: EngineSpec) -> dict[str, object]:
        if not self.driver:
            raise DriverError("There is no GPU.")
        return {"version": self.version, "device": spec.device}

    def build(self, graph: Path, spec: EngineSpec) -> bytes:
        assert graph.is_file()
        self.builds.append(spec)
        return f"plan {self.shift}".encode()

    def open(self, graph: Path, engine: bytes, spec: EngineSpec, *, key: str) -> Shifted:
        word, _, shift = engine.decode(errors="replace").partition(" ")
        if word != "plan":
            raise EngineFileError("The engine is no plan.")
        return Shifted(key, spec.precision, float(shift))

    def load(self, graph: Path, spec: EngineSpec) -> Shifted:
        return self.open(graph, self.build(graph, spec), spec, key="unkeyed")
