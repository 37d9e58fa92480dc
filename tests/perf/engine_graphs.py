"""The graphs of ``tests.perf.engines``: export, without the heatmap, INT8. Needs torch and onnx."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ra_engine.quantise import Quantiser
from ra_training.zoo.export import export_graph
from ra_training.zoo.heads import Head, head
from ra_training.zoo.registry import Backbone, backbone


class Plain(nn.Module):
    """A member as people have it: backbone and head, a (b, 1) output."""

    def __init__(self, trunk: Backbone, top: Head) -> None:
        super().__init__()
        self.backbone, self.head = trunk, top

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, rows, columns) -> (b, 1)."""
        return self.head(self.backbone(x))[0][:, None]


def members(names: Sequence[str], *, frozen: bool = True) -> list[Plain]:
    """Members with random weights and BatchNorm statistics that differ: an optimiser merges equal
    branches, which would falsify the figures."""
    torch.manual_seed(7)
    made = []
    for name in names:
        trunk = backbone(name)
        for module in trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, 0.0, 0.1)
                nn.init.uniform_(module.running_var, 0.8, 1.2)
                nn.init.uniform_(module.weight, 0.5, 1.0)
        one = Plain(trunk, head("linear", trunk.channels)).eval()
        made.append(one.requires_grad_(not frozen))
    return made


def make(
    folder: Path, demo: Path, *, architectures: Sequence[str], size: int, calibration: int
) -> None:
    """Write every graph that the benchmark reads into ``folder``."""
    ensemble = folder / "ensemble.onnx"
    nets = [(m.backbone, m.head) for m in members(architectures)]
    export_graph(nets, [1 / len(nets)] * len(nets), ensemble, size=(size, size))
    without_cam(ensemble, folder / "nocam.onnx")
    without_cam(demo, folder / "demo-nocam.onnx")
    for source, name, shape, count in (
        (ensemble, "ensemble-u8.onnx", (size, size), calibration),
        (demo, "demo-u8.onnx", (384, 288), 4 * calibration),
    ):
        noise = np.random.default_rng(3).standard_normal((count, 1, *shape)).astype(np.float32)
        Quantiser(source, noise, least=count).write(folder / name, "u8", tail=1)


def without_cam(source: Path, target: Path) -> None:
    """The same graph with score and members only."""
    model = onnx.load(str(source))
    onnx.save(onnx.utils.Extractor(model).extract_model(["x"], ["members", "score"]), str(target))
