"""The order of engines: the first that can be had, each refusal told, never a silent CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.build import build
from ra_engine.bundle import Bundle, load_bundle
from ra_engine.cache import EngineCache
from ra_engine.choose import Candidate, candidates, choose, gpu_count, samples_path
from ra_engine.contracts import Backend
from ra_engine.errors import BackendError, BundleError, GateError
from ra_engine.registry import Broken
from ra_engine.samples import save_samples
from ra_engine.spec import EngineSpec
from tests.support.bundles import score_bundle
from tests.support.engines import FakeCompiler, Shifted, samples


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
    allowed = replace(spec, allow_cpu=True)
    found = choose(bundle, ORDER, allowed, backends(FakeCompiler()), gpus=0)
    assert found.candidate.backend == "onnxruntime"
    (passed,) = found.passed
    assert (passed.candidate, passed.code) == ("fake:fp16", "backend.engine")
    assert "models build" in passed.hint


def test_a_failed_gate_falls_to_the_next(bundle: Bundle, spec: EngineSpec) -> None:
    fake = FakeCompiler(shift=3.0)
    prepare(bundle, spec, fake)
    found = choose(bundle, ORDER, replace(spec, allow_cpu=True), backends(fake), gpus=0)
    assert found.candidate.backend == "onnxruntime"
    assert found.passed[0].code == "backend.gate"
    assert "3.000" in found.passed[0].message


@pytest.mark.parametrize("gpus", [1, 0])
def test_where_a_gpu_engine_is_named_no_cpu_follows_unless_told(
    bundle: Bundle, spec: EngineSpec, gpus: int
) -> None:
    """Seen or not: a kernel module that is not loaded shows no GPU either."""
    fake = FakeCompiler(driver=False)
    prepare(bundle, spec, FakeCompiler())
    with pytest.raises(BackendError, match=r"GPU engine is asked for.*There is no GPU") as caught:
        choose(bundle, ORDER, spec, backends(fake), gpus=gpus)
    assert "nvidia-smi" in caught.value.hint, "the remedy of what failed"
    assert "allow_cpu" in caught.value.hint
    found = choose(bundle, ORDER, replace(spec, allow_cpu=True), backends(fake), gpus=gpus)
    assert found.session.device == "cpu"
    assert [p.code for p in found.passed] == ["backend.driver"]


def test_the_remedy_is_that_of_the_gpu_engine_not_of_a_cpu_before_it(
    bundle: Bundle, spec: EngineSpec
) -> None:
    prepare(bundle, spec, FakeCompiler())
    order = candidates(["none", "fake:fp16"], "fp32")
    with pytest.raises(BackendError, match="GPU engine is asked for") as caught:
        choose(bundle, order, spec, backends(FakeCompiler(driver=False)), gpus=0)
    assert "nvidia-smi" in caught.value.hint
    assert "Installed" not in caught.value.hint


def test_a_gpu_engine_behind_a_cpu_that_may_not_follow_is_still_tried(
    bundle: Bundle, spec: EngineSpec
) -> None:
    prepare(bundle, spec, FakeCompiler())
    known = {**backends(FakeCompiler()), "first": FakeCompiler(name="first", driver=False)}
    order = candidates(["first:fp16", "onnxruntime", "fake:fp16"], "fp32")
    assert choose(bundle, order, spec, known, gpus=1).candidate.backend == "fake"


def test_a_gpu_that_an_order_of_cpus_leaves_idle_is_told(bundle: Bundle, spec: EngineSpec) -> None:
    order = candidates(["onnxruntime"], "fp32")
    found = choose(bundle, order, spec, backends(FakeCompiler()), gpus=2)
    assert found.session.device == "cpu"
    (passed,) = found.passed
    assert (passed.candidate, passed.code) == ("gpu", "backend.unused")
    assert "allow_cpu" in passed.hint
    meant = replace(spec, allow_cpu=True)
    assert choose(bundle, order, meant, backends(FakeCompiler()), gpus=2).passed == ()
    assert choose(bundle, order, spec, backends(FakeCompiler()), gpus=0).passed == ()


@dataclass
class Raising(FakeCompiler):
    """A plugin that raises what is none of our errors, from where ``at`` says."""

    error: Exception = field(default_factory=RuntimeError)
    at: str = "open"

    def facts(self, spec: EngineSpec) -> dict[str, object]:
        if self.at == "facts":
            raise self.error
        return super().facts(spec)

    def open(self, graph: Path, engine: bytes, spec: EngineSpec, *, key: str) -> Shifted:
        raise self.error


FOREIGN = [
    (RuntimeError("CUDA error 999\nat line 7"), "backend.failed", "RuntimeError: CUDA error 999."),
    (OSError("libfoo.so.1: cannot open"), "backend.failed", "OSError: libfoo.so.1"),
    (AttributeError("no attribute 'run'"), "backend.failed", "AttributeError: no attribute"),
    (BundleError("The graph is not whole."), "backend.failed", "not whole"),
    (MemoryError(), "backend.memory", "too little memory"),
    (RuntimeError("std::bad_alloc"), "backend.memory", "too little memory"),
]


@pytest.mark.parametrize("at", ["facts", "open"])
@pytest.mark.parametrize(("error", "code", "words"), FOREIGN)
def test_what_a_backend_raises_costs_its_candidate_only(
    bundle: Bundle, spec: EngineSpec, error: Exception, code: str, words: str, at: str
) -> None:
    prepare(bundle, spec, FakeCompiler())
    allowed = replace(spec, allow_cpu=True)
    found = choose(bundle, ORDER, allowed, backends(Raising(error=error, at=at)), gpus=0)
    assert found.candidate.backend == "onnxruntime"
    (passed,) = found.passed
    assert (passed.candidate, passed.code) == ("fake:fp16", code)
    assert words in passed.message
    assert passed.hint


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _junk(path: Path) -> None:
    path.write_bytes(b"\xff\xfe{")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("kind", ["samples-*.npz", "*.json", "*.plan"])
@pytest.mark.parametrize("harm", [_cut, _junk, _folder, Path.unlink])
def test_a_harmed_cache_costs_its_candidate_only(
    bundle: Bundle, spec: EngineSpec, kind: str, harm: Callable[[Path], None]
) -> None:
    prepare(bundle, spec, FakeCompiler())
    assert spec.cache is not None
    (path,) = spec.cache.glob(kind)
    harm(path)
    allowed = replace(spec, allow_cpu=True)
    found = choose(bundle, ORDER, allowed, backends(FakeCompiler()), gpus=0)
    assert found.candidate.backend == "onnxruntime"
    (passed,) = found.passed
    assert passed.code == "backend.engine"
    assert "models build" in passed.hint


def test_a_cache_that_is_no_folder_costs_its_candidate_only(
    bundle: Bundle, spec: EngineSpec
) -> None:
    assert spec.cache is not None
    spec.cache.write_text("a file")
    allowed = replace(spec, allow_cpu=True)
    found = choose(bundle, ORDER, allowed, backends(FakeCompiler()), gpus=0)
    assert found.candidate.backend == "onnxruntime"
    assert "FileExistsError" in found.passed[0].message


def test_an_unknown_and_a_broken_backend_are_told(bundle: Bundle, spec: EngineSpec) -> None:
    order = candidates(["none", "bad"], "fp32")
    broken = [Broken(name="bad", origin="x", reason="ImportError: libfoo")]
    found = choose(bundle, order, spec, backends(FakeCompiler()), broken, gpus=0)
    assert [p.code for p in found.passed] == ["backend.missing"] * 2
    assert "libfoo" in found.passed[1].message


def test_on_a_gpu_box_a_backend_that_is_not_there_may_have_been_the_gpus(
    bundle: Bundle, spec: EngineSpec
) -> None:
    order = candidates(["tensorrt-rtx"], "fp32")
    with pytest.raises(BackendError, match="1 NVIDIA GPU is here"):
        choose(bundle, order, spec, backends(FakeCompiler()), gpus=1)


def test_nothing_at_all_is_an_error_with_every_reason(bundle: Bundle, spec: EngineSpec) -> None:
    allowed = replace(spec, allow_cpu=True)
    with pytest.raises(BackendError, match=r"fake:fp16: .* onnxruntime:fp32: "):
        choose(bundle, ORDER, allowed, {"fake": FakeCompiler(driver=False)}, gpus=0)


def device(pci: Path, slot: str, vendor: str, kind: str) -> None:
    """A PCI function as sysfs shows it."""
    (pci / slot).mkdir(parents=True)
    (pci / slot / "vendor").write_text(f"{vendor}\n")
    (pci / slot / "class").write_text(f"{kind}\n")


def test_gpus_are_counted_where_the_driver_shows_them(tmp_path: Path) -> None:
    none = tmp_path / "none"
    assert gpu_count(none, none) == 0
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    assert gpu_count(tmp_path / "gpus", none) == 2


def test_a_gpu_is_seen_on_the_bus_when_its_driver_is_not_loaded(tmp_path: Path) -> None:
    pci = tmp_path / "devices"
    device(pci, "0000:00:02.0", "0x8086", "0x030000")  # another maker's
    device(pci, "0000:01:00.1", "0x10de", "0x040300")  # the sound of an NVIDIA card
    assert gpu_count(tmp_path / "none", pci) == 0
    device(pci, "0000:01:00.0", "0x10de", "0x030000")
    device(pci, "0000:41:00.0", "0x10de", "0x030200")  # one without a screen
    (pci / "0000:42:00.0").mkdir()
    assert gpu_count(tmp_path / "none", pci) == 2
