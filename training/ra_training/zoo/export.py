"""From trained members to one graph: members, score, class logits and heatmap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ra_training.graphs import export
from ra_training.zoo.cam import Method, score_and_weights, weighted
from ra_training.zoo.heads import Head
from ra_training.zoo.registry import Backbone

OUTPUTS = ["members", "score", "class_logits", "cam"]


class Explained(nn.Module):
    """One member with its map.

    forward: (b, 1, rows, columns) -> score (b,), cumulative logits (b, k), map (b, h, w).
    """

    def __init__(self, backbone: Backbone, head: Head, method: Method = "hirescam") -> None:
        super().__init__()
        self.backbone = backbone.eval().requires_grad_(False)  # noqa: FBT003 - torch's own
        frozen = head.eval().requires_grad_(False)  # noqa: FBT003 - torch's own
        self.traced = score_and_weights(frozen, backbone.channels)
        self.method = method

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        a = self.backbone(x)
        score, logits, weights = self.traced(a.mean((2, 3)))
        return score, logits, weighted(a, weights, self.method)


class Classes(nn.Module):
    """A network of the class alone, without score and map.

    forward: (b, 1, rows, columns) -> cumulative logits (b, k), divided by ``temperature``.
    """

    def __init__(self, backbone: Backbone, head: Head, temperature: float = 1.0) -> None:
        super().__init__()
        self.backbone = backbone.eval().requires_grad_(False)  # noqa: FBT003 - torch's own
        self.head = head.eval().requires_grad_(False)  # noqa: FBT003 - torch's own
        self.temperature = temperature

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.head.of(self.head.raw(self.backbone(x)))[1]
        return logits / self.temperature


class Ensemble(nn.Module):
    """Stacked members as one graph, with the outputs that DESIGN's bundles have.

    forward: (b, 1, rows, columns) -> members (b, m), score (b,), class_logits (b, k),
    cam (b, h, w). Logits are the mean of ``classes``, or of those members that have some.
    ``flip`` averages every output over the image and its mirror, for twice the work.
    """

    weights: Tensor

    def __init__(
        self, members: Sequence[Explained], weights: Sequence[float], offset: float = 0.0,
        *, classes: Sequence[Classes] = (), flip: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if len(members) != len(weights):
            raise ValueError(f"{len(members)} members, {len(weights)} weights")
        self.members = nn.ModuleList(members)
        self.classes = nn.ModuleList(classes)
        self.register_buffer("weights", torch.tensor(list(weights), dtype=torch.float32))
        self.offset = offset
        self.flip = flip

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See the class."""
        if not self.flip:
            return self._once(x)
        n = x.shape[0]
        members, score, logits, cam = self._once(torch.cat([x, x.flip(3)]))
        cam = torch.cat([cam[:n], cam[n:].flip(2)])
        first, second = zip(*((v[:n], v[n:]) for v in (members, score, logits, cam)), strict=True)
        members, score, logits, cam = ((a + b) / 2 for a, b in zip(first, second, strict=True))
        return members, score, logits, cam

    def _once(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scores, logits, maps = zip(*(m(x) for m in self.members), strict=True)
        members = torch.stack(scores, 1)
        score = (members * self.weights).sum(1) + self.offset
        with_classes = [net(x) for net in self.classes] or [z for z in logits if z.shape[1]]
        classes = torch.stack(with_classes, 1).mean(1) if with_classes else members[:, :0]
        cam = (torch.stack(maps, 1) * self.weights[None, :, None, None]).sum(1)
        return members, score, classes, cam


def export_graph(
    members: Sequence[tuple[Backbone, Head]], weights: Sequence[float], path: Path,
    *, size: tuple[int, int], offset: float = 0.0, cam: Method = "hirescam",
    classes: Sequence[tuple[Backbone, Head]] = (), temperature: float = 1.0, flip: bool = False,
    images: Tensor | None = None,
) -> Path:  # fmt: skip
    """Write an ensemble as ONNX (opset 20, FP32, any batch, fixed rows and columns).

    Args:
        classes: networks of the class, whose logits stand for those of the members.
        temperature: divides the logits of ``classes``.
        images: (n, 1, rows, columns) on which the graph is compared with its networks.

    Raises:
        TrainingError: as ``graphs.agree``.
    """
    explained = [Explained(b, h, cam) for b, h in members]
    outputs = list(OUTPUTS)
    graph: nn.Module = Ensemble(
        explained, weights, offset, classes=[Classes(b, h, temperature) for b, h in classes],
        flip=flip,
    )  # fmt: skip
    if not classes and all(
        h.of(h.raw(torch.zeros(1, b.channels, 1, 1)))[1].shape[1] == 0 for b, h in members
    ):
        outputs.remove("class_logits")
        graph = _Scores(graph)
    export(graph.eval(), size, outputs, path, images=images)
    return path


class _Scores(nn.Module):
    """An ensemble without classes: three outputs."""

    def __init__(self, ensemble: nn.Module) -> None:
        super().__init__()
        self.ensemble = ensemble

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Members, score, map."""
        members, score, _, cam = self.ensemble(x)
        return members, score, cam
