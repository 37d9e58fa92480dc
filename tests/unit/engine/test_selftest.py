"""The self-test: what it measures and prints; a broken engine is a row, not a crash."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.backends.trt.backend import TrtBackend
from ra_engine.backends.trt.flavour import TENSORRT
from ra_engine.cache import EngineCache
from ra_engine.contracts import Backend
from ra_engine.samples import Samples
from ra_engine.selftest import SelfTestRow, self_test, table
from ra_engine.spec import EngineSpec, Precision
from tests.support.bundles import GRAPHS
from tests.support.trt import FakeCuda, FakeTrt

GRAPH = GRAPHS / "score.onnx"
IMAGES: NDArray[np.float32] = np.random.default_rng(0).random((3, 1, 128, 96), np.float32)


def ticks() -> Iterator[float]:
    return (float(n) for n in count())


def run(backend: Backend, folder: Path, precision: Precision = "fp32") -> SelfTestRow:
    device = "cpu" if backend.family == "cpu" else "cuda:0"
    spec = EngineSpec(device=device, precision=precision, cache=folder)
    reference = OnnxRuntimeBackend().load(GRAPH, EngineSpec())
    cache, samples = EngineCache(folder), Samples(gate=IMAGES)
    return self_test(
        "small", backend, GRAPH, spec, cache, samples, reference, clock=ticks().__next__
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "engines"
    made.mkdir(mode=0o700)
    return made


def double(**fail: object) -> TrtBackend:
    library = FakeTrt(FakeCuda(), **fail)
    return TrtBackend(TENSORRT, api=library, cuda=library.cuda)


def test_an_engine_is_built_gated_loaded_and_timed(folder: Path) -> None:
    row = run(double(), folder)
    assert row.passed
    assert (row.build_s, row.load_s) == (1, 1)  # one tick each
    assert {b: r for b, (_, r) in row.rates.items()} == {1: 1, 8: 8, 32: 32}
    assert row.steady
    assert row.alone <= 1e-4
    assert row.gate is not None
    assert row.gate.images == 3
    assert row.key.startswith("tensorrt-0.0.double-cuda:0-fp32-")


def test_an_engine_in_the_cache_is_built_again(folder: Path) -> None:
    library = FakeTrt()
    for _ in range(2):
        run(TrtBackend(TENSORRT, api=library, cuda=library.cuda), folder)
    assert len([name for name, _ in library.calls if name == "profile"]) == 4


def test_a_runtime_that_compiles_nothing_is_tested_too(folder: Path) -> None:
    row = run(OnnxRuntimeBackend(), folder)
    assert row.passed
    assert row.alone == 0


@pytest.mark.parametrize(
    ("fail", "code"),
    [
        ({"load": "version mismatch"}, "backend.engine"),
        ({"load": "cudaError 35: driver"}, "backend.driver"),
        ({"plan": "out of memory"}, "backend.memory"),
        ({"parse": "No importer"}, "backend.failed"),
        ({"execute": 0}, "backend.failed"),
    ],
)
def test_a_broken_engine_is_a_row_with_its_remedy(
    fail: dict[str, object], code: str, folder: Path
) -> None:
    row = run(double(**fail), folder)
    assert not row.passed
    assert row.note.startswith(f"{code}: ")
    assert "Remedy: " in row.note


def test_wrong_numbers_fail_the_gate(folder: Path) -> None:
    class Off(OnnxRuntimeBackend):
        name = "off"

        def load(self, graph: Path, spec: EngineSpec) -> Any:
            session: Any = super().load(graph, spec)
            plain = session.run
            session.run = lambda x: {k: v + 2 for k, v in plain(x).items()}
            return session

    row = run(Off(), folder)
    assert not row.passed
    assert row.note.startswith("backend.gate: ")


def test_the_table_holds_every_row_and_fact_in_equal_columns(folder: Path) -> None:
    rows = [run(double(), folder), run(double(load="broken | pipe"), folder)]
    text = table(rows, {"tensorrt": {"version": "11.4", "gpu": "Double 1"}}, version="0.1.0")
    assert "- tensorrt: version 11.4, gpu Double 1" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "broken / pipe" in lines[-1]
    assert str(folder.parent) not in text
