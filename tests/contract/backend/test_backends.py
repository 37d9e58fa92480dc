"""What every backend promises, on every backend that this machine can run.

TensorRT, TensorRT-RTX and ONNX Runtime on CUDA run against recording doubles: that proves our side
of their API only.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_engine.backends.aoti import AotiBackend
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.backends.onnxruntime_cuda import OnnxRuntimeCudaBackend
from ra_engine.backends.torch import TorchBackend
from ra_engine.backends.trt.backend import TrtBackend
from ra_engine.backends.trt.flavour import TENSORRT, TENSORRT_RTX
from ra_engine.contracts import Backend, Session
from ra_engine.errors import BackendError
from ra_engine.spec import EngineSpec
from tests.support import ort_cuda
from tests.support.bundles import GRAPHS
from tests.support.openvino import openvino
from tests.support.trt import FakeTrt

GRAPH = GRAPHS / "score.onnx"


def tensorrt() -> Backend:
    double = FakeTrt()
    return TrtBackend(TENSORRT, api=double, cuda=double.cuda)


def tensorrt_rtx() -> Backend:
    double = FakeTrt()
    return TrtBackend(TENSORRT_RTX, api=double, cuda=double.cuda)


BACKENDS: dict[str, tuple[Callable[[], Backend], tuple[str, ...]]] = {
    "onnxruntime": (OnnxRuntimeBackend, ("onnxruntime",)),
    "onnxruntime-cuda": (ort_cuda.backend, ()),
    "openvino": (openvino, ()),
    "torch": (TorchBackend, ("torch", "onnx")),
    "aoti": (AotiBackend, ("torch", "onnx")),
    "tensorrt": (tensorrt, ()),
    "tensorrt-rtx": (tensorrt_rtx, ()),
}


def make(name: str) -> Backend:
    build, needed = BACKENDS[name]
    for module in needed:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'ra-daemon[train]'")
    return build()


def spec(backend: Backend) -> EngineSpec:
    on_gpu = isinstance(backend, TrtBackend | OnnxRuntimeCudaBackend)
    return EngineSpec(device="cuda:0" if on_gpu else "cpu")


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    return make(request.param)


@pytest.fixture(scope="module")
def session(backend: Backend) -> Session:
    return backend.load(GRAPH, spec(backend))


@pytest.fixture(scope="module")
def reference() -> Session:
    return OnnxRuntimeBackend().load(GRAPH, EngineSpec())


def images(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(count).random((count, 1, 128, 96), np.float32)


@pytest.mark.parametrize("count", [1, 2, 5, 33])
def test_outputs_are_the_references(session: Session, reference: Session, count: int) -> None:
    found, truth = session.run(images(count)), reference.run(images(count))
    assert list(found) == list(truth)
    for name, value in truth.items():
        assert found[name].shape == value.shape
        assert found[name].dtype == np.float32
        assert np.abs(found[name] - value).max() <= 1e-4


def test_a_row_does_not_depend_on_its_company(session: Session) -> None:
    rows = images(6)
    together = session.run(rows)
    for i in range(6):
        alone = session.run(rows[i : i + 1])
        for name, value in together.items():
            assert np.abs(alone[name][0] - value[i]).max() <= 1e-4


def test_the_same_input_gives_the_same_bits(session: Session) -> None:
    first, second = session.run(images(3)), session.run(images(3))
    assert all(first[k].tobytes() == second[k].tobytes() for k in first)


def test_the_input_is_not_changed(session: Session) -> None:
    given = images(2)
    kept = given.copy()
    given.flags.writeable = False
    session.run(given)
    assert (given == kept).all()


@pytest.mark.parametrize("shape", [(128, 96), (0, 1, 128, 96), (1, 3, 128, 96)])
def test_an_array_that_does_not_fit_is_a_backend_error(
    session: Session, shape: tuple[int, ...]
) -> None:
    with pytest.raises(BackendError):
        session.run(np.zeros(shape, np.float32))


def test_the_key_names_the_backend(backend: Backend, session: Session) -> None:
    assert session.key.startswith(f"{backend.name}-")
    assert (session.precision, session.device) == ("fp32", spec(backend).device)


def test_facts_are_json_and_name_the_version(backend: Backend) -> None:
    facts = backend.facts(spec(backend))
    assert facts["version"]
    assert json.dumps(facts, sort_keys=True) == json.dumps(
        backend.facts(spec(backend)), sort_keys=True
    )


def test_a_backend_says_what_it_reads_for_each_precision(backend: Backend) -> None:
    assert backend.forms["fp32"] == "master"
    assert backend.family in {"cpu", "cuda"}
    assert isinstance(backend, Backend)


def test_no_graph_is_a_backend_error(backend: Backend, tmp_path: Path) -> None:
    if isinstance(backend, TrtBackend):
        pytest.skip("the double parses nothing; tests/unit/engine/trt/test_network.py does this")
    (tmp_path / "graph.onnx").write_bytes(b"not a graph")
    with pytest.raises(BackendError):
        backend.load(tmp_path / "graph.onnx", spec(backend))
