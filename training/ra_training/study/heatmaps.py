"""Heatmaps of a trained network, and their figures where the damaged joints are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ra_training.metrics.explanation import Explanation, explain
from ra_training.study.maps import enlarge
from ra_training.study.scenes import Scenes
from ra_training.zoo import member as members
from ra_training.zoo.augment import plain
from ra_training.zoo.cam import METHODS, Method
from ra_training.zoo.export import Explained

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """Signed maps (n, rows, columns) in score units and scores (n,)."""

    maps: Array
    scores: Array


def maps_of(
    weights: Path, pixels: NDArray[np.uint8], *, method: Method = "hirescam", batch: int = 16
) -> Maps:
    """Maps of a member for tones (n, rows, columns) uint8, enlarged to the image.

    Raises:
        TrainingError: no such weights.
    """
    member = members.load(weights).eval()
    explained = Explained(member.backbone, member.head, method)
    scale = member.config.target_scale
    found, scores = [], []
    for i in range(0, len(pixels), batch):
        x = plain(torch.from_numpy(np.array(pixels[i : i + batch])))
        with torch.no_grad():
            score, _, cam = explained(x)
        found += [enlarge(c, pixels.shape[1:]) for c in cam.numpy() * scale]
        scores.append(score.numpy() * scale)
    return Maps(maps=np.stack(found), scores=np.concatenate(scores).astype(np.float64))


def compare_methods(weights: Path, scenes: Scenes) -> dict[str, Explanation]:
    """Figures of every method of ``zoo.cam`` on the same images."""
    return {
        m: explain(maps_of(weights, scenes.pixels, method=m).maps, scenes.masks) for m in METHODS
    }


def compare_library(
    weights: Path, scenes: Scenes, names: tuple[str, ...] = ("EigenCAM", "XGradCAM", "ScoreCAM")
) -> dict[str, Explanation]:
    """The same figures for methods of pytorch-grad-cam (Gildenblat 2021), by their class names."""
    import pytorch_grad_cam

    member = members.load(weights).eval()

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = member.backbone, member.head

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """(b, 1, rows, columns) -> (b, 1)."""
            score, _ = self.head.of(self.head.raw(self.backbone(x)))
            out: torch.Tensor = score[:, None]
            return out

    whole = Whole().eval()
    found = {}
    for name in names:
        method = getattr(pytorch_grad_cam, name)
        with method(model=whole, target_layers=[whole.backbone]) as made:
            maps = [
                made(input_tensor=plain(torch.from_numpy(np.array(p[None]))), targets=[_Score()])[0]
                for p in scenes.pixels
            ]
        found[name] = explain(np.stack(maps).astype(np.float64), scenes.masks)
    return found


class _Score:
    """pytorch-grad-cam's target: the score itself."""

    def __call__(self, out: torch.Tensor) -> torch.Tensor:
        """The only output of a case."""
        return out[0]
