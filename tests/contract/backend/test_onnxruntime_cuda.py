"""ONNX Runtime on CUDA against a recording double: never on the CPU in silence, TF32 off."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.backends.onnxruntime_cuda import STANDING, OnnxRuntimeCudaBackend
from ra_engine.build import build, open_built
from ra_engine.cache import EngineCache
from ra_engine.errors import BackendError, RuntimeMissingError
from ra_engine.samples import Samples
from ra_engine.spec import EngineSpec
from ra_plugins.bundles import demo
from tests.support.bundles import GRAPHS
from tests.support.ort_cuda import CPU, CUDA, FakeOrt, backend, settings_of
from tests.support.trt import FakeCuda

GRAPH = GRAPHS / "score.onnx"
SPEC = EngineSpec(device="cuda:0")


def images(count: int) -> np.ndarray:
    return np.random.default_rng(count).random((count, 1, 128, 96), np.float32)


def test_nothing_may_run_on_the_cpu_and_tf32_is_off() -> None:
    library = FakeOrt()
    backend(library).load(GRAPH, EngineSpec(device="cuda:1", device_memory=2**30))
    made = settings_of(library)
    assert made.entries["session.disable_cpu_ep_fallback"] == "1"
    assert made.options.use_deterministic_compute is True
    assert made.provider == {
        "device_id": "1", "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested", "gpu_mem_limit": str(2**30),
    }  # fmt: skip
    assert library.preloaded


def test_every_bucket_is_warmed_up_and_batches_are_padded_to_one() -> None:
    library = FakeOrt()
    session = backend(library).load(GRAPH, SPEC)
    assert library.batches == list(SPEC.buckets)
    library.batches.clear()
    assert len(session.run(images(37))["score"]) == 37
    assert library.batches == [32, 8]


def test_a_session_names_version_device_and_precision() -> None:
    made = backend()
    session = made.load(GRAPH, EngineSpec(device="cuda:1", precision="fp16"))
    assert session.key == "onnxruntime-cuda-0.0.double-cuda:1-fp16"
    assert (session.device, session.precision) == ("cuda:1", "fp16")
    assert made.standing == STANDING == "never run by us"


def test_facts_hold_what_decides_the_bits() -> None:
    facts = backend().facts(SPEC)
    assert (facts["version"], facts["cuda"]) == ("0.0.double", "13.0")
    assert (facts["gpu"], facts["sm"], facts["driver"]) == ("Double 1", 90, "13")
    assert backend().facts(EngineSpec(device="cuda:0", device_memory=2**30)) != facts


def test_without_cudas_libraries_it_is_refused_not_run_on_the_cpu(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(BackendError, match="would run on the CPU") as caught:
        backend(FakeOrt(libraries=False)).load(GRAPH, SPEC)
    assert "cudnn" in caught.value.hint
    assert capsys.readouterr().out == "", "standard output is the command's"


def test_a_session_that_came_up_on_the_cpu_is_refused() -> None:
    library = FakeOrt()
    library.providers = [CPU, CUDA]
    with pytest.raises(RuntimeMissingError, match="is on the CPU"):
        backend(library).load(GRAPH, SPEC)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("CUDA failure 2: out of memory ; GPU=0", "backend.memory"),
        ("BFCArena: Failed to allocate memory for requested buffer of size 1", "backend.memory"),
        ("CUDA failure 35: CUDA driver version is insufficient", "backend.driver"),
        ("CUDA failure 101: invalid device ordinal", "backend.driver"),
        ("Could not find an implementation for Conv(11)", "backend.failed"),
    ],
)
def test_a_refusal_is_told_by_its_kind(said: str, code: str) -> None:
    with pytest.raises(BackendError) as caught:
        backend(FakeOrt(refusing=said)).load(GRAPH, SPEC)
    assert caught.value.code == code
    assert caught.value.hint
    library = FakeOrt()
    session = backend(library).load(GRAPH, SPEC)
    library.failing = said
    with pytest.raises(BackendError) as caught:
        session.run(images(1))
    assert caught.value.code == code


def test_no_gpu_and_no_driver_are_told() -> None:
    with pytest.raises(BackendError, match="needs a GPU"):
        backend().load(GRAPH, EngineSpec())
    old = FakeCuda(fail={"gpu": "cudaErrorInsufficientDriver"})
    with pytest.raises(BackendError) as caught:
        backend(cuda=old).facts(SPEC)
    assert caught.value.code == "backend.driver"


def test_the_wheel_for_cpus_is_refused_with_the_way_to_the_other() -> None:
    """The real library of the base install."""
    if CUDA in importlib.import_module("onnxruntime").get_available_providers():
        pytest.skip("onnxruntime-gpu is installed")
    with pytest.raises(RuntimeMissingError, match="the one for CPUs") as caught:
        OnnxRuntimeCudaBackend().load(GRAPH, SPEC)
    assert "--force-reinstall --no-deps onnxruntime-gpu" in caught.value.hint


def test_the_names_that_we_use_are_the_librarys() -> None:
    """Of the wheel for CPUs, which has the same Python face."""
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    with pytest.raises(Exception, match="explicitly added the CPU EP"):
        ort.InferenceSession(str(GRAPH), options, providers=[CPU], enable_fallback=0)
    assert callable(ort.preload_dlls)


def test_fp16_is_cast_by_the_recipe_gated_and_kept(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="install ra-daemon[build]")
    graph, cache = demo() / "graph.onnx", EngineCache(tmp_path / "engines")
    shade = np.sin(np.linspace(0, 9, 384))[:, None] * np.cos(np.linspace(0, 7, 288))
    rows = np.stack([shade, shade[::-1]])[:, None].astype(np.float32)
    spec = EngineSpec(device="cuda:0", precision="fp16", buckets=(1, 2))
    truth = OnnxRuntimeBackend().load(graph, EngineSpec(threads=2))
    made = build(graph, spec, backend(), cache, Samples(gate=rows), truth).record
    assert (made.form, made.gate.passed) == ("cast", True)
    session, _ = open_built(graph, spec, backend(), cache, Samples(gate=rows))
    assert session.key == f"onnxruntime-cuda-0.0.double-cuda:0-fp16-{made.key[:16]}"
