"""Every architecture of the zoo, every head, both heatmap methods: TensorRT-RTX takes the graph.

FP32 and BF16 by our recipe (INT8: ``test_rtx_int8.py``); untrained weights, since operators do not
depend on them. The same graphs run on our torch backend, so that a changed export shows in both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ra_engine.backends.trt.network import Recipe, build_plan
from ra_engine.recipe import cast_graph
from tests.support.rtx import builder
from tests.support.zoo_graphs import SIZE, exported, outputs

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
    for name in ("full", "bf16"):
        plan = build_plan(api, tmp_path / f"{name}.onnx", Recipe())
        assert plan.outputs == outputs(full), name


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("cam", ["gradcam", "hirescam", "layercam"])
def test_a_head_with_its_heatmap_builds_and_runs_in_torch(
    kind: str, cam: str, tmp_path: Path
) -> None:
    from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
    from ra_engine.backends.torch import TorchBackend
    from ra_engine.spec import EngineSpec

    path = exported("resnet18", kind, tmp_path / "graph.onnx", cam=cam)
    assert build_plan(builder(), path, Recipe()).outputs == outputs(path)
    x = np.random.default_rng(1).normal(size=(2, 1, *SIZE)).astype(np.float32)
    truth = OnnxRuntimeBackend().load(path, EngineSpec()).run(x)
    found = TorchBackend().load(path, EngineSpec()).run(x)
    for name, value in truth.items():
        assert np.abs(found[name] - value).max() <= 1e-4 * max(1.0, float(np.abs(value).max()))


@pytest.mark.timeout(900)
def test_an_ensemble_with_flip_averaging_builds(tmp_path: Path) -> None:
    path = exported("mobilenet_v2", "corn", tmp_path / "graph.onnx", flip=True, members=2)
    cast_graph(path, tmp_path / "bf16.onnx", "bf16")
    for name in ("graph", "bf16"):
        plan = build_plan(builder(), tmp_path / f"{name}.onnx", Recipe())
        assert plan.outputs == outputs(path)
