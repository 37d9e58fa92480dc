"""Key, form and gate of a build."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from ra_engine import build as building
from ra_engine import int8
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.build import build, engine_key, is_built, key_inputs, open_built
from ra_engine.cache import EngineCache
from ra_engine.errors import BackendError, DriverError, GateError
from ra_engine.gate import TOLERANCES, Tolerance
from ra_engine.quantise import Quantiser
from ra_engine.samples import Samples
from ra_engine.spec import EngineSpec
from tests.support.engines import GRAPH, FakeCompiler, images, samples
from tests.support.networks import residual

SPEC = EngineSpec(precision="fp16", device="cuda:0")
REFERENCE = OnnxRuntimeBackend().load(GRAPH, EngineSpec())


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def key(backend: FakeCompiler, spec: EngineSpec = SPEC, calibration: str = "") -> str:
    held = Samples(gate=images(1), calibration_digest=calibration)
    return engine_key(key_inputs(GRAPH, spec, backend, held))


def test_the_key_is_the_hash_of_the_inputs_as_canonical_json() -> None:
    inputs = key_inputs(GRAPH, SPEC, FakeCompiler(), samples())
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    assert engine_key(inputs) == hashlib.sha256(text.encode()).hexdigest()
    assert inputs["graph"] == hashlib.sha256(GRAPH.read_bytes()).hexdigest()


def test_whatever_decides_an_engine_changes_the_key() -> None:
    both = FakeCompiler(forms={"fp16": "master", "int8": "s8"})
    keys = [
        key(FakeCompiler()),
        key(FakeCompiler(version="1.1")),
        key(FakeCompiler(name="other")),
        key(FakeCompiler(), EngineSpec(precision="fp16", device="cuda:1")),
        key(FakeCompiler(), EngineSpec(precision="fp16", device="cuda:0", buckets=(1, 2))),
        key(FakeCompiler(forms={"fp16": "cast"})),
        key(both, EngineSpec(precision="int8", device="cuda:0"), "a"),
        key(both, EngineSpec(precision="int8", device="cuda:0"), "b"),
    ]
    assert len(set(keys)) == len(keys)
    assert key(FakeCompiler()) == keys[0]
    assert key(FakeCompiler(), calibration="a") == keys[0], "FP16 is not calibrated"


def test_a_gated_engine_names_itself_in_its_session(cache: EngineCache) -> None:
    made = build(GRAPH, SPEC, FakeCompiler(shift=0.05), cache, samples(), REFERENCE)
    session, record = open_built(GRAPH, SPEC, FakeCompiler(), cache, samples())
    assert session.key == f"fake-1.0-cuda:0-fp16-{made.record.key[:16]}"
    assert (session.precision, session.device) == ("fp16", "cuda:0")
    assert record.gate.worst == pytest.approx(0.05, abs=1e-4)


def test_an_engine_that_says_something_else_is_never_opened(cache: EngineCache) -> None:
    backend = FakeCompiler(shift=0.2)  # below the worst, above the mean that is allowed
    with pytest.raises(GateError, match=r"mean 0\.200 <= 0\.1"):
        build(GRAPH, SPEC, backend, cache, samples(), REFERENCE)
    assert not list(cache.folder.glob("*.plan"))
    with pytest.raises(GateError):
        open_built(GRAPH, SPEC, backend, cache, samples())
    with pytest.raises(GateError):
        build(GRAPH, SPEC, backend, cache, samples(), REFERENCE)
    assert len(backend.builds) == 1, "a failed gate is remembered"
    mended = FakeCompiler()
    assert build(GRAPH, SPEC, mended, cache, samples(), REFERENCE, force=True).fresh


def test_a_precision_that_a_backend_lacks_names_those_it_has(cache: EngineCache) -> None:
    with pytest.raises(BackendError, match="has no bf16") as caught:
        build(GRAPH, EngineSpec(precision="bf16"), FakeCompiler(), cache, samples(), REFERENCE)
    assert "fp16" in caught.value.hint


def test_int8_without_calibration_images_names_the_remedy(cache: EngineCache) -> None:
    backend = FakeCompiler(forms={"int8": "s8"})
    with pytest.raises(BackendError, match="needs calibration") as caught:
        build(GRAPH, EngineSpec(precision="int8"), backend, cache, samples(), REFERENCE)
    assert "models build" in caught.value.hint


def test_what_was_built_is_known_without_building(cache: EngineCache) -> None:
    backend = FakeCompiler(shift=0.2)
    assert not is_built(GRAPH, SPEC, backend, cache, samples())
    with pytest.raises(GateError):
        build(GRAPH, SPEC, backend, cache, samples(), REFERENCE)
    assert is_built(GRAPH, SPEC, backend, cache, samples()), "a failed gate is remembered"
    with pytest.raises(DriverError):
        is_built(GRAPH, SPEC, FakeCompiler(driver=False), cache, samples())


INT8 = EngineSpec(precision="int8")


@pytest.fixture
def quantised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Samples]:
    """A network with three convolutions between its ends, and few images."""
    pytest.importorskip("onnx", reason="install ra-daemon[build]")
    monkeypatch.setattr(building, "Quantiser", functools.partial(Quantiser, least=8))
    rows = np.random.default_rng(5).standard_normal((12, 1, 64, 48)).astype(np.float32)
    held = Samples(gate=rows[8:], calibration=rows[:8], calibration_digest="d")
    return residual(tmp_path / "graph.onnx"), held


def kept(graph: Path, made: Samples, cache: EngineCache) -> tuple[str, ...]:
    backend = OnnxRuntimeBackend()
    truth = backend.load(graph, EngineSpec())
    return build(graph, INT8, backend, cache, made, truth).record.kept_fp32


def within(monkeypatch: pytest.MonkeyPatch, limit: float) -> None:
    """Limits of INT8 that the small network keeps, or none can."""
    wide = Tolerance(worst=limit, mean=limit, logit=limit, cam=1 - limit, place=limit)
    monkeypatch.setitem(TOLERANCES, "int8", wide)


def test_an_int8_file_without_room_has_the_longest_fp32_ends_that_keep_the_limits(
    quantised: tuple[Path, Samples], cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, made = quantised
    within(monkeypatch, 100.0)
    assert set(kept(graph, made, cache)) == {"stem", "density"}
    monkeypatch.setattr(int8, "_OF_ALL", 0.0)
    other = EngineCache(cache.folder.with_name("other"))
    assert set(kept(graph, made, other)) == {"stem", "second", "shortcut", "density"}


def test_int8_that_agrees_nowhere_is_refused_before_it_is_compiled(
    quantised: tuple[Path, Samples], cache: EngineCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, made = quantised
    within(monkeypatch, 1e-7)
    truth = OnnxRuntimeBackend().load(graph, EngineSpec())
    backend = FakeCompiler(forms={"int8": "s8"})
    for _ in range(2):
        with pytest.raises(GateError, match="with 4 convolutions in FP32 failed the numeric gate"):
            build(graph, INT8, backend, cache, made, truth)
    assert backend.builds == []
    assert is_built(graph, INT8, backend, cache, made), "it is remembered"
    assert not list(cache.folder.glob("*.plan"))
