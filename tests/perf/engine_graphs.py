"""The ensemble of ``tests.perf.engines``; needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

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


def export(path: Path, architectures: Sequence[str], size: int) -> None:
    """Write the ensemble with its heatmap."""
    nets = [(m.backbone, m.head) for m in members(architectures)]
    export_graph(nets, [1 / len(nets)] * len(nets), path, size=(size, size))
