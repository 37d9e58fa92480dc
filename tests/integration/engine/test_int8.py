"""INT8 on real networks: the shipped bundle with generated hands, and torchvision's with noise."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ra_daemon import engines, plugins
from ra_daemon.commands import samples as drawing
from ra_engine import build as building
from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.backends.trt.backend import TrtBackend
from ra_engine.backends.trt.flavour import TENSORRT
from ra_engine.build import build, open_built
from ra_engine.bundle import Bundle, load_bundle
from ra_engine.cache import EngineCache
from ra_engine.contracts import Backend
from ra_engine.cpu import has_bf16
from ra_engine.gate import Arrays, measure
from ra_engine.locate import Locator
from ra_engine.quantise import Quantiser
from ra_engine.samples import CALIBRATION, GATE, Samples
from ra_engine.spec import EngineSpec
from tests.support.openvino import openvino
from tests.support.trt import FakeTrt

pytest.importorskip("onnx", reason="install ra-daemon[build]")


def drawn(bundle: Bundle) -> Samples:
    finder = load_bundle(plugins.bundle_path("locator"))
    locator = Locator(engines.reference(finder.graph, threads=2), finder)
    return drawing.draw_samples(bundle, locator, calibrate=True)


@pytest.fixture(scope="module")
def demo() -> Bundle:
    return load_bundle(plugins.bundle_path("demo"))


def tensorrt() -> TrtBackend:
    """Its parser's file on a double that computes with ONNX Runtime."""
    double = FakeTrt()
    return TrtBackend(TENSORRT, api=double, cuda=double.cuda)


def gated(bundle: Bundle, made: Samples, backend: Backend, folder: Path, precision: str) -> None:
    device = "cuda:0" if backend.family == "cuda" else "cpu"
    spec = EngineSpec(threads=2, precision=precision, device=device, buckets=(1, 2, 4))  # type: ignore[arg-type]
    cache = EngineCache(folder)
    reference = engines.reference(bundle.graph, threads=2)
    build(bundle.graph, spec, backend, cache, made, reference)
    session, record = open_built(bundle.graph, spec, backend, cache, made)
    assert record.gate.passed
    assert record.gate.cam is not None
    assert (session.precision, session.device) == (precision, device)
    if precision == "int8":
        assert len(record.kept_fp32) < convolutions(bundle.graph), "some are INT8"
    found = session.run(made.gate[:2])
    assert np.abs(found["score"] - reference.run(made.gate[:2])["score"]).max() <= record.gate.worst


def convolutions(graph: Path) -> int:
    onnx: Any = importlib.import_module("onnx")
    return sum(n.op_type == "Conv" for n in onnx.load(str(graph)).graph.node)


@pytest.fixture(scope="module")
def shipped(demo: Bundle) -> Samples:
    """What ``models build`` draws: fewer images would say little of the bundle."""
    made = drawn(demo)
    assert made.calibration is not None
    assert (len(made.calibration), len(made.gate)) == (CALIBRATION.n, GATE.n)
    return made


@pytest.fixture(scope="module")
def calibrated(demo: Bundle, shipped: Samples) -> Quantiser:
    """Once for all backends."""
    assert shipped.calibration is not None
    return Quantiser(demo.graph, shipped.calibration)


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("shipped draws")
@pytest.mark.parametrize("make", [OnnxRuntimeBackend, openvino, tensorrt])
def test_the_shipped_bundle_passes_its_gate(
    demo: Bundle,
    shipped: Samples,
    calibrated: Quantiser,
    make: Callable[[], Backend],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = make()
    monkeypatch.setattr(building, "Quantiser", lambda *_, **__: calibrated)
    gated(demo, shipped, found, tmp_path / "engines", "int8")


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("shipped draws")
def test_bf16_of_the_shipped_bundle_passes_its_gate(
    demo: Bundle, shipped: Samples, tmp_path: Path
) -> None:
    found = openvino()
    if not has_bf16():
        pytest.skip("this processor has no BF16 units")
    gated(demo, shipped, found, tmp_path / "engines", "bf16")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("form", ["u8", "s8"])
def test_resnet18_keeps_its_numbers(tmp_path: Path, form: str) -> None:
    truth, found = quantised("resnet18", form, tmp_path)
    report = measure(found, truth, "int8")
    assert 0 < report.worst < 0.12 * float(np.abs(truth["score"]).max())
    assert report.cam is not None
    assert report.cam > 0.95


@pytest.mark.timeout(300)
@pytest.mark.parametrize("form", ["u8", "s8"])
def test_a_network_that_does_not_quantise_is_seen_by_the_gate(tmp_path: Path, form: str) -> None:
    """MobileNetV2 with random weights: depthwise layers with one activation scale drift by a third,
    and its map goes elsewhere."""
    truth, found = quantised("mobilenet_v2", form, tmp_path)
    assert np.isfinite(found["score"]).all()
    report = measure(found, truth, "int8")
    assert not report.passed
    assert report.cam is not None
    assert report.cam < 0.9


def quantised(name: str, form: str, folder: Path) -> tuple[Arrays, Arrays]:
    """Outputs of a torchvision network on noise: FP32, and INT8 without an FP32 tail."""
    torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
    from ra_training.zoo.export import export_graph
    from ra_training.zoo.heads import head
    from ra_training.zoo.registry import backbone

    torch.manual_seed(3)
    trunk = backbone(name)
    images = np.random.default_rng(1).standard_normal((24, 1, 128, 128)).astype(np.float32)
    _normalised(trunk, torch.from_numpy(images))
    top = head("linear", trunk.channels)
    graph = export_graph([(trunk, top)], [1.0], folder / "g.onnx", size=(128, 128))
    made = Quantiser(graph, images[:16], least=16)
    kept = made.write(folder / "q.onnx", form)  # type: ignore[arg-type]
    assert len(kept) == 1, "the first convolution"
    runtime, spec = OnnxRuntimeBackend(), EngineSpec(threads=2)
    return (
        runtime.load(graph, spec).run(images[16:]),
        runtime.load(folder / "q.onnx", spec).run(images[16:]),
    )


def _normalised(trunk: Any, images: Any) -> None:
    """Statistics of BatchNorm from the images: without them a random deep network's signal dies."""
    import torch

    for module in trunk.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # a plain mean over the passes
            module.reset_running_stats()
    with torch.no_grad():
        trunk.train()(images)
    trunk.eval()
