"""The order of engines: the first that can be had, each refusal told, never a silent CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.build import build
from ra_engine.bundle import Bundle, load_bundle
from ra_engine.cache import EngineCache
from ra_engine.choose import Candidate, candidates, choose, gpu_count, samples_path
from ra_engine.contracts import Backend
from ra_engine.errors import BackendError, GateError
from ra_engine.registry import Broken
from ra_engine.samples import save_samples
from ra_engine.spec import EngineSpec
from tests.support.bundles import score_bundle
from tests.support.engines import FakeCompiler, samples


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return load_bundle(score_bundle(tmp_path / "b"))


@pytest.fixture
def spec(tmp_path: Path) -> EngineSpec:
    return EngineSpec(device="cuda:0", cache=tmp_path / "engines")


def prepare(bundle: Bundle, spec: EngineSpec, backend: FakeCompiler) -> None:
    """What ``ra-daemon models build`` leaves."""
    assert spec.cache is not None
    cache = EngineCache(spec.cache)
    save_samples(samples_path(cache, bundle), samples())
    reference = OnnxRuntimeBackend().load(bundle.graph, EngineSpec())
    asked = EngineSpec(precision="fp16", device="cuda:0")
    try:
        build(bundle.graph, asked, backend, cache, samples(), reference)
    except GateError:
        assert backend.shift


def backends(fake: FakeCompiler) -> dict[str, Backend]:
    return {"fake": fake, "onnxruntime": OnnxRuntimeBackend()}


ORDER = candidates(["fake:fp16"], "fp32")


def test_the_reference_always_stands_last_and_once() -> None:
    assert [str(c) for c in ORDER] == ["fake:fp16", "onnxruntime:fp32"]
    assert [str(c) for c in candidates(["onnxruntime"], "fp32")] == ["onnxruntime:fp32"]
    assert [str(c) for c in candidates(["openvino", "a:int8"], "bf16")] == [
        "openvino:bf16", "a:int8", "onnxruntime:fp32",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="fp8"):
        candidates(["a:fp8"], "fp32")


def test_the_first_that_was_built_and_gated_is_taken(bundle: Bundle, spec: EngineSpec) -> None:
    fake = FakeCompiler(shift=0.01)
    prepare(bundle, spec, fake)
    found = choose(bundle, ORDER, spec, backends(fake), gpus=1)
    assert found.candidate == Candidate(backend="fake", precision="fp16")
    assert found.passed == ()
    assert found.gate is not None
    assert found.session.key.startswith("fake-1.0-cuda:0-fp16-")
    model = bundle.reference(found.session)
    assert (model.precision, model.device) == ("fp16", "cuda:0")


def test_what_was_never_built_is_passed_over_with_the_command(
    bundle: Bundle, spec: EngineSpec
) -> None:
    found = choose(bundle, ORDER, spec, backends(FakeCompiler()), gpus=0)
    assert found.candidate.backend == "onnxruntime"
    (passed,) = found.passed
    assert (passed.candidate, passed.code) == ("fake:fp16", "backend.engine")
    assert "models build" in passed.hint


def test_a_failed_gate_falls_to_the_next(bundle: Bundle, spec: EngineSpec) -> None:
    fake = FakeCompiler(shift=3.0)
    prepare(bundle, spec, fake)
    found = choose(bundle, ORDER, spec, backends(fake), gpus=0)
    assert found.candidate.backend == "onnxruntime"
    assert found.passed[0].code == "backend.gate"
    assert "3.000" in found.passed[0].message


def test_a_gpu_box_does_not_fall_to_the_cpu_unless_told(bundle: Bundle, spec: EngineSpec) -> None:
    fake = FakeCompiler(driver=False)
    prepare(bundle, spec, FakeCompiler())
    with pytest.raises(BackendError, match="GPU is here") as caught:
        choose(bundle, ORDER, spec, backends(fake), gpus=1)
    assert "allow_cpu" in caught.value.hint
    allowed = EngineSpec(device="cuda:0", cache=spec.cache, allow_cpu=True)
    found = choose(bundle, ORDER, allowed, backends(fake), gpus=1)
    assert found.session.device == "cpu"
    assert found.passed[0].code == "backend.driver"
    assert choose(bundle, ORDER, spec, backends(fake), gpus=0).session.device == "cpu"


def test_an_order_of_cpus_runs_on_a_gpu_box(bundle: Bundle, spec: EngineSpec) -> None:
    order = candidates(["onnxruntime"], "fp32")
    found = choose(bundle, order, spec, backends(FakeCompiler()), gpus=1)
    assert found.session.device == "cpu"


def test_an_unknown_and_a_broken_backend_are_told(bundle: Bundle, spec: EngineSpec) -> None:
    order = candidates(["none", "bad"], "fp32")
    broken = [Broken(name="bad", origin="x", reason="ImportError: libfoo")]
    found = choose(bundle, order, spec, backends(FakeCompiler()), broken, gpus=0)
    assert [p.code for p in found.passed] == ["backend.missing"] * 2
    assert "libfoo" in found.passed[1].message


def test_nothing_at_all_is_an_error_with_every_reason(bundle: Bundle, spec: EngineSpec) -> None:
    with pytest.raises(BackendError, match=r"fake:fp16: .* onnxruntime:fp32: "):
        choose(bundle, ORDER, spec, {"fake": FakeCompiler(driver=False)}, gpus=0)


def test_gpus_are_counted_where_the_driver_shows_them(tmp_path: Path) -> None:
    assert gpu_count(tmp_path / "none") == 0
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    assert gpu_count(tmp_path / "gpus") == 2
