"""From trained networks to ONNX graphs: opset 20, dynamic batch, FP32."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from ra_engine.backends.onnxruntime import OnnxRuntimeBackend
from ra_engine.spec import EngineSpec
from ra_training.errors import TrainingError
from ra_training.nets import DensityNet, LocatorNet

OPSET = 20
PARITY = 1e-4
"""Greatest difference of torch and ONNX Runtime in an output, as a share of its scale."""


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


def export(
    module: nn.Module, size: tuple[int, int], outputs: list[str], path: Path,
    *, images: Tensor | None = None,
) -> None:  # fmt: skip
    """Write a graph with input ``x`` (b, 1, rows, columns).

    Args:
        images: (n, 1, rows, columns) on which ``agree`` compares the graph with the module.

    Raises:
        TrainingError: as ``agree``.
    """
    module.eval()
    batch = torch.export.Dim("b", min=1, max=64)
    torch.onnx.export(
        module, (torch.randn(2, 1, *size),), str(path), dynamo=True,
        dynamic_shapes=({0: batch},), input_names=["x"], output_names=outputs,
        external_data=False, opset_version=OPSET, verbose=False,
    )  # fmt: skip
    forget(path)
    if images is not None:
        agree(module, outputs, path, images)


def forget(path: Path) -> None:
    """Drop what the exporter notes beside a graph: folders of the machine that wrote it."""
    model = onnx.load(path)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.save(model, path)


def agree(module: nn.Module, outputs: list[str], path: Path, images: Tensor) -> None:
    """Compare ONNX Runtime with torch, both in FP32 on the CPU, in every output.

    The difference of an output is the greatest absolute one over all images and places; its scale
    is torch's greatest absolute value there. The difference is at most ``PARITY`` times the scale.

    Raises:
        TrainingError: an output differs by more, or is no finite number.
    """
    session = OnnxRuntimeBackend().load(path, EngineSpec(threads=torch.get_num_threads()))
    said = session.run(images.numpy())
    with torch.inference_mode():
        values = module(images)
    for name, value in zip(outputs, values, strict=True):
        want = value.numpy()
        gap, scale = float(abs(said[name] - want).max()), float(abs(want).max())
        if not gap <= PARITY * scale:
            raise TrainingError(
                code="export-differs",
                text=f"the exported graph differs from its networks by {gap:.2g} in {name}, "
                f"whose scale is {scale:.2g}",
                hint="report this with the versions of torch, onnxruntime and onnxscript",
            )
