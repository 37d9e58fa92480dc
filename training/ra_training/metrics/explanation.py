"""Whether heatmaps lie on damage: measured where the damaged joints are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ra_training.metrics.agreement import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Figures of many maps; images without damage or without positive evidence do not count.

    Attributes:
        energy: mean share of the positive map inside damaged joints; area: mean share of the image
            that they cover, what an even map would get; gain: energy / area.
        hits: share of maps whose highest pixel lies inside (pointing game, Zhang et al. 2018).
    """

    n: int
    energy: float
    area: float
    hits: float

    @property
    def gain(self) -> float:
        """How many times more energy lies inside than by chance."""
        return self.energy / self.area if self.area > 0 else float("nan")


def energy_share(cam: Array, mask: NDArray[np.bool_]) -> float:
    """Share of the positive part of a map (h, w) inside a mask (h, w); NaN without any."""
    positive = np.maximum(cam, 0)
    total = float(positive.sum())
    return float(positive[mask].sum()) / total if total > 0 else float("nan")


def pointing_hit(cam: Array, mask: NDArray[np.bool_], *, tolerance: int = 0) -> bool:
    """Whether the highest pixel lies inside the mask, or within ``tolerance`` pixels of it."""
    y, x = np.unravel_index(int(np.argmax(cam)), cam.shape)
    a, b = max(0, int(y) - tolerance), max(0, int(x) - tolerance)
    return bool(mask[a : int(y) + tolerance + 1, b : int(x) + tolerance + 1].any())


def explain(cams: Array, masks: NDArray[np.bool_]) -> Explanation:
    """Figures over maps (n, h, w) and truth (n, h, w).

    Raises:
        ValueError: shapes differ.
    """
    if cams.shape != masks.shape:
        raise ValueError(f"maps {cams.shape}, truth {masks.shape}")
    energy, area, hits = [], [], []
    for cam, mask in zip(cams, masks, strict=True):
        share = energy_share(cam, mask)
        if not mask.any() or np.isnan(share):
            continue
        energy.append(share)
        area.append(float(mask.mean()))
        hits.append(pointing_hit(cam, mask))
    if not energy:
        nothing = float("nan")
        return Explanation(n=0, energy=nothing, area=nothing, hits=nothing)
    return Explanation(
        n=len(energy), energy=float(np.mean(energy)), area=float(np.mean(area)),
        hits=float(np.mean(hits)),
    )  # fmt: skip
