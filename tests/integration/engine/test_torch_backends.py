"""The demonstration bundle through torch and AOTInductor on the CPU, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ra_engine.backends.aoti import AotiBackend
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.backends.torch import TorchBackend
from ra_engine.errors import DriverError, EngineFileError
from ra_engine.recipe import cast_graph
from ra_engine.spec import EngineSpec
from ra_plugins.bundles import demo

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
pytest.importorskip("onnx", reason="install ra-daemon[build]")
GRAPH = demo() / "graph.onnx"
IMAGES = np.random.default_rng(5).normal(size=(3, 1, 384, 288)).astype(np.float32)


def apart(found: dict, truth: dict) -> float:
    """Largest difference of any output as a share of its largest value."""
    return max(float(np.abs(found[k] - v).max() / np.abs(v).max()) for k, v in truth.items())


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-5), ("bf16", 2e-2)])
def test_both_say_what_onnx_runtime_says(precision: str, limit: float, tmp_path: Path) -> None:
    spec = EngineSpec(threads=2, precision="bf16" if precision == "bf16" else "fp32")
    graph = GRAPH
    if precision == "bf16":
        graph = tmp_path / "graph.onnx"
        cast_graph(GRAPH, graph, "bf16")
    truth = OnnxRuntimeBackend().load(GRAPH, EngineSpec(threads=2)).run(IMAGES)
    plain = TorchBackend().load(graph, spec).run(IMAGES)
    backend = AotiBackend()
    engine = backend.build(graph, spec)
    session = backend.open(graph, engine, spec, key="aoti-test")
    compiled = session.run(IMAGES)
    assert apart(plain, truth) <= limit
    assert apart(compiled, truth) <= limit
    assert session.key == "aoti-test"
    assert session.precision == precision
    alone = session.run(IMAGES[1:2])
    assert all(alone[k].tobytes() == v[1:2].tobytes() for k, v in compiled.items())


def test_a_damaged_package_is_an_engine_file_error() -> None:
    with pytest.raises(EngineFileError) as caught:
        AotiBackend().open(GRAPH, b"not a package", EngineSpec(), key="k")
    assert "models build" in caught.value.hint


def test_a_gpu_that_torch_does_not_see_is_told() -> None:
    with pytest.raises(DriverError, match="cuda:99 is not among them") as caught:
        AotiBackend().facts(EngineSpec(device="cuda:99"))
    assert "nvidia-smi" in caught.value.hint


def test_the_reference_stays_on_the_cpu() -> None:
    spec = EngineSpec(device="cuda:99")
    assert TorchBackend().facts(spec) == TorchBackend().facts(EngineSpec())
    assert TorchBackend().load(GRAPH, spec).device == "cpu"


def test_the_torch_version_and_the_device_enter_the_key() -> None:
    facts = AotiBackend().facts(EngineSpec())
    assert facts["version"] == torch.__version__
    assert facts["cpu"]
    assert facts != AotiBackend().facts(EngineSpec(buckets=(1, 2)))
