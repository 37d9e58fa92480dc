"""Trabecular strands: a tile of each subject, of which bones show parts along their own axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ra_training.phantom.canvas import Field
from ra_training.phantom.streams import stream

ALONG_MM, ACROSS_MM = 0.9, 0.3
"""Sigma of a strand: three times as long as wide."""
CONTRAST = 0.20
"""SD of the trabecular attenuation; behind cortex and flesh the film shows a fifth of that."""
_TILE_MM = (150.0, 48.0)
_APART = (0.618034, 0.754878)  # irrational steps: no two bones start at one place of the tile


@dataclass(frozen=True, slots=True, kw_only=True)
class Grain:
    """A factor of mean 1 for the spongy part of bones.

    Attributes:
        tile: (along, across) float32, wraps around; px: mm a pixel; start: first pixel of a bone.
    """

    tile: Field
    px: float
    start: tuple[int, int] = (0, 0)

    def bone(self, number: int) -> Grain:
        """The part of one bone; each number has its own."""
        rows, columns = self.tile.shape
        places = (number * _APART[0] * rows, number * _APART[1] * columns)
        return replace(self, start=(int(places[0]) % rows, int(places[1]) % columns))

    def at(self, along: NDArray[np.floating[Any]], across: NDArray[np.floating[Any]]) -> Field:
        """Values at places (mm) along and across the axis of a bone; the two broadcast."""
        scale = np.float32(1 / self.px)
        rows, columns = self.tile.shape
        down = (along * scale).astype(np.int32) + np.int32(self.start[0] + 8 * rows)
        right = (across * scale).astype(np.int32) + np.int32(self.start[1] + 8 * columns)
        values: Field = self.tile[down % np.int32(rows), right % np.int32(columns)]
        return values


def strands(seed: int, px: float) -> Grain:
    """The strands of a subject at ``px`` mm a pixel: they stay through all visits."""
    size = tuple(max(8, round(mm / px)) for mm in _TILE_MM)
    noise = stream(seed, "strands").standard_normal(size, dtype=np.float32)
    tile = gaussian_filter(noise, (ALONG_MM / px, ACROSS_MM / px), truncate=2.0, mode="wrap")
    tile *= np.float32(CONTRAST) / (tile.std() + np.float32(1e-9))
    return Grain(tile=tile + np.float32(1), px=px)
