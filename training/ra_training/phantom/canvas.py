"""The pixel grid: bone adds attenuation, soft tissue keeps the longest path."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Point = tuple[float, float]


@dataclass(slots=True)
class Canvas:
    """Line integrals of bone (dimensionless) and soft tissue (mm) on a pixel grid.

    Attributes:
        rows, columns: size in pixels; px: mm a pixel; pixel centres at (i + 0.5) px.
    """

    rows: int
    columns: int
    px: float
    bone: Field = field(init=False)
    soft: Field = field(init=False)

    def __post_init__(self) -> None:
        self.bone = np.zeros((self.rows, self.columns), np.float32)
        self.soft = np.zeros((self.rows, self.columns), np.float32)

    def window(self, x0: float, x1: float, y0: float, y1: float) -> Window | None:
        """Part of the grid inside a box in mm, or None outside the image."""
        a, b = max(int(x0 / self.px) - 1, 0), min(ceil(x1 / self.px) + 1, self.columns)
        c, d = max(int(y0 / self.px) - 1, 0), min(ceil(y1 / self.px) + 1, self.rows)
        if b <= a or d <= c:
            return None
        x = ((np.arange(a, b, dtype=np.float32) + np.float32(0.5)) * np.float32(self.px))[None, :]
        y = ((np.arange(c, d, dtype=np.float32) + np.float32(0.5)) * np.float32(self.px))[:, None]
        return Window(slice(c, d), slice(a, b), x, y)


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a grid: its slices, and the pixels' places x (1, columns) and y (rows, 1) in mm."""

    rows: slice
    columns: slice
    x: Field
    y: Field
