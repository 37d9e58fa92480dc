"""OpenVINO for real, where it is installed: each precision, on a graph with convolutions."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ra_engine.backends import openvino as module
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.backends.openvino import OpenVinoBackend
from ra_engine.cpu import has_bf16
from ra_engine.errors import BackendError, RuntimeMissingError
from ra_engine.spec import EngineSpec, Precision
from tests.support.bundles import GRAPHS
from tests.support.openvino import openvino
from tests.support.paths import REPOSITORY

DEMO = REPOSITORY / "plugins" / "ra_plugins" / "bundles" / "demo" / "graph.onnx"
IMAGES = np.random.default_rng(0).standard_normal((2, 1, 384, 288)).astype(np.float32)


@pytest.fixture
def backend() -> OpenVinoBackend:
    return openvino()


def loaded(backend: OpenVinoBackend, precision: Precision) -> dict[str, np.ndarray]:
    session = backend.load(DEMO, EngineSpec(threads=2, precision=precision))
    assert session.precision == precision
    return session.run(IMAGES)


def test_fp32_is_fp32_on_any_processor(backend: OpenVinoBackend) -> None:
    """Left alone, the provider computes in BF16 where the processor can."""
    truth = OnnxRuntimeBackend().load(DEMO, EngineSpec()).run(IMAGES)
    found = loaded(backend, "fp32")
    assert np.abs(found["score"] - truth["score"]).max() < 1e-3
    assert np.abs(found["cam"] - truth["cam"]).max() < 1e-4


def test_bf16_is_bf16(backend: OpenVinoBackend) -> None:
    if not has_bf16():
        pytest.skip("this processor has no BF16 units")
    truth, found = loaded(backend, "fp32"), loaded(backend, "bf16")
    apart = np.abs(found["score"] - truth["score"]).max()
    assert 1e-4 < apart < 0.05 * np.abs(truth["score"]).max()


def test_without_bf16_units_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_bf16", lambda: False)
    with pytest.raises(BackendError, match="no BF16 units") as caught:
        OpenVinoBackend().load(DEMO, EngineSpec(precision="bf16"))
    assert "onnxruntime:int8" in caught.value.hint


def test_nothing_falls_back_to_another_runtime(backend: OpenVinoBackend, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="install ra-daemon[build]")
    model = onnx.load(str(GRAPHS / "score.onnx"))
    model.graph.node[0].op_type = "GroupQueryAttention"
    onnx.save(model, str(tmp_path / "odd.onnx"))
    with pytest.raises(BackendError, match=r"openvino refuses odd\.onnx"):
        backend.load(tmp_path / "odd.onnx", EngineSpec())


def test_a_missing_provider_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> ModuleType:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(RuntimeMissingError, match="cannot be imported") as caught:
        OpenVinoBackend().facts(EngineSpec())
    assert "ra-daemon[openvino]" in caught.value.hint


class Nothing:
    """A runtime on a processor that the provider does not take: it registers and offers nothing."""

    def __init__(self) -> None:
        self.registered: list[str] = []

    def get_ep_devices(self) -> list[object]:
        return []

    def get_library_path(self) -> str:
        return "plugin.so"

    def register_execution_provider_library(self, name: str, path: str) -> None:
        if name in self.registered:
            raise RuntimeError(f"{name} has already been registered")
        if path != "plugin.so":
            raise RuntimeError("no such library")
        self.registered.append(name)


def test_a_processor_that_the_provider_does_not_take_is_told_every_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = Nothing()
    monkeypatch.setattr(module, "_libraries", lambda: (runtime, runtime))
    for _ in range(2):
        with pytest.raises(BackendError, match="offers no CPU") as caught:
            OpenVinoBackend().facts(EngineSpec())
        assert "Intel" in caught.value.hint
        assert "onnxruntime:int8" in caught.value.hint


def test_a_library_that_does_not_load_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Nothing()
    monkeypatch.setattr(runtime, "get_library_path", lambda: "none.so")
    monkeypatch.setattr(module, "_libraries", lambda: (runtime, runtime))
    with pytest.raises(RuntimeMissingError, match="does not load"):
        OpenVinoBackend().facts(EngineSpec())
