"""Every architecture of the zoo, every head, both heatmap methods: TensorRT-RTX takes the graph.

FP32, BF16 by our recipe and INT8; untrained weights and noise to calibrate, since operators do not
depend on them. A head hangs on a trunk's last activations, so one small trunk serves for all. The
same graphs run on our torch backend, so that a changed export shows in both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ra_engine.backends.trt.network import Recipe, build_plan
from ra_engine.quantise import Quantiser
from ra_engine.recipe import cast_graph
from tests.support.rtx import builder
from tests.support.zoo_graphs import SIZE, SMALL, exported, outputs

torch = pytest.importorskip("torch", reason="install ra-daemon[train]")
ARCHITECTURES = (
    "resnet18", "resnet34", "resnet50", "mobilenet_v2", "densenet121", "efficientnet_b0",
)  # fmt: skip
HEADS = ("linear", "mlp", "coral", "corn", "bins")


def test_the_list_above_is_the_zoo() -> None:
    from ra_training.zoo import heads
    from ra_training.zoo.registry import REGISTRY

    assert set(REGISTRY) == set(ARCHITECTURES)
    assert set(heads.HEADS) == set(HEADS)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_an_architecture_builds_in_every_precision(arch: str, tmp_path: Path) -> None:
    api = builder()
    full = exported(arch, "linear", tmp_path / "full.onnx")
    cast_graph(full, tmp_path / "bf16.onnx", "bf16")
    noise = np.random.default_rng(0).normal(size=(1, 1, *SIZE)).astype(np.float32)
    Quantiser(full, noise, least=1).write(tmp_path / "int8.onnx", "s8")
    for name in ("full", "bf16", "int8"):
        plan = build_plan(api, tmp_path / f"{name}.onnx", Recipe())
        assert plan.outputs == outputs(full), name


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("cam", ["gradcam", "hirescam", "layercam"])
def test_a_head_with_its_heatmap_builds_and_runs_in_torch(
    kind: str, cam: str, tmp_path: Path
) -> None:
    from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
    from ra_engine.backends.torch import TorchBackend
    from ra_engine.spec import EngineSpec

    path = exported(SMALL, kind, tmp_path / "graph.onnx", cam=cam)
    assert build_plan(builder(), path, Recipe()).outputs == outputs(path)
    x = np.random.default_rng(1).normal(size=(2, 1, *SIZE)).astype(np.float32)
    truth = OnnxRuntimeBackend().load(path, EngineSpec()).run(x)
    found = TorchBackend().load(path, EngineSpec()).run(x)
    for name, value in truth.items():
        assert np.abs(found[name] - value).max() <= 1e-4 * max(1.0, float(np.abs(value).max()))


def test_an_ensemble_with_flip_averaging_builds(tmp_path: Path) -> None:
    path = exported(SMALL, "corn", tmp_path / "graph.onnx", flip=True, members=2)
    cast_graph(path, tmp_path / "bf16.onnx", "bf16")
    for name in ("graph", "bf16"):
        plan = build_plan(builder(), tmp_path / f"{name}.onnx", Recipe())
        assert plan.outputs == outputs(path)
