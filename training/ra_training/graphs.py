"""From trained networks to ONNX graphs: opset 20, dynamic batch, FP32."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ra_training.nets import DensityNet, LocatorNet

OPSET = 20


class ScoreGraph(nn.Module):
    """The ensemble as one graph.

    Outputs: members (b, m), score (b,), class_logits (b, bands - 1), cam (b, h, w). The map is the
    stacked density: signed, unclamped, in score units; its sum plus a constant is the score.
    """

    def __init__(self, members: list[DensityNet], weights: list[float], offset: float) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32))
        self.offset = offset

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(b, 1, rows, columns) -> the four outputs."""
        scores, maps, logits = zip(*(m(x) for m in self.members), strict=True)
        members = torch.stack(scores, 1)
        weights = self.weights
        assert isinstance(weights, Tensor)
        score = (members * weights).sum(1) + self.offset
        cam = (torch.stack(maps, 1) * weights[None, :, None, None]).sum(1)
        return members, score, torch.stack(logits, 1).mean(1), cam


class LocatorGraph(nn.Module):
    """The locator with its heat as probabilities."""

    def __init__(self, net: LocatorNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """(b, 1, 256, 256) -> heat, offset, kind, physes, embedding."""
        heat, *rest = self.net(x)
        return (torch.sigmoid(heat), *rest)


def export(module: nn.Module, size: tuple[int, int], outputs: list[str], path: Path) -> None:
    """Write a graph with input ``x`` (b, 1, rows, columns)."""
    module.eval()
    batch = torch.export.Dim("b", min=1, max=64)
    torch.onnx.export(
        module, (torch.randn(2, 1, *size),), str(path), dynamo=True,
        dynamic_shapes=({0: batch},), input_names=["x"], output_names=outputs,
        external_data=False, opset_version=OPSET, verbose=False,
    )  # fmt: skip
