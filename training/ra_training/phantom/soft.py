"""Soft tissue."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot

import numpy as np

from ra_training.phantom.canvas import Canvas, Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Capsule:
    """Soft tissue: a segment with a radius that runs from ``r0`` to ``r1`` (mm)."""

    a: Point
    b: Point
    r0: float
    r1: float

    def draw(self, canvas: Canvas) -> None:
        """Keep the longer path."""
        (ax, ay), (bx, by) = self.a, self.b
        length = max(hypot(bx - ax, by - ay), 1e-3)
        ux, uy = (bx - ax) / length, (by - ay) / length
        margin = max(self.r0, self.r1) + 1
        win = canvas.window(
            min(ax, bx) - margin, max(ax, bx) + margin, min(ay, by) - margin, max(ay, by) + margin
        )
        if win is None:
            return
        t = np.clip((win.x - ax) * ux + (win.y - ay) * uy, 0, length)
        d2 = (win.x - ax - t * ux) ** 2 + (win.y - ay - t * uy) ** 2
        radius = self.r0 + (self.r1 - self.r0) * (t / length)
        path = 1.7 * np.sqrt(np.clip(radius * radius - d2, 0, None))
        view = canvas.soft[win.rows, win.columns]
        np.maximum(view, path.astype(np.float32, copy=False), out=view)
