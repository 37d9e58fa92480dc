"""Bone without a joint: styloids, bridges of an ankylosis, parts of what is no hand; metal."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_training.phantom.canvas import Canvas, Point
from ra_training.phantom.erosion import Notch, bite
from ra_training.phantom.grain import Grain
from ra_training.phantom.tube import MU_CORTICAL, MU_TRABECULAR

_Real = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A short bone: a rounded convex polygon (mm, counter-clockwise in the image or not)."""

    corners: tuple[Point, ...]
    cortex: float
    density: float = 1.0
    thickness: float = 11.0
    rounding: float = 0.9
    notches: tuple[Notch, ...] = ()

    @property
    def centre(self) -> Point:
        """Mean of the corners."""
        xs, ys = zip(*self.corners, strict=True)
        return sum(xs) / len(xs), sum(ys) / len(ys)

    @property
    def inradius(self) -> float:
        """Distance from the centre to the nearest side, mm."""
        cx, cy = self.centre
        return min(d - (nx * cx + ny * cy) for nx, ny, d in self._sides())

    def draw(self, canvas: Canvas, grain: Grain) -> None:
        """Add its attenuation."""
        xs, ys = zip(*self.corners, strict=True)
        win = canvas.window(min(xs) - 1, max(xs) + 1, min(ys) - 1, max(ys) + 1)
        if win is None:
            return
        depth = np.full(np.broadcast_shapes(win.x.shape, win.y.shape), np.inf, np.float32)
        k = self.rounding
        total = np.zeros_like(depth)
        for nx, ny, d in self._sides():
            distance = np.float32(d) - np.float32(nx) * win.x - np.float32(ny) * win.y
            depth = np.minimum(depth, distance)
            total += np.exp(np.clip(-distance / k, -20, 20))
        smooth = k * 0.7 - k * np.log(total)  # soft minimum: rounds the corners, keeps the size
        inr = max(self.inradius, 1.0)
        outer = _dome(smooth, inr)
        inner = _dome(smooth - self.cortex, inr)
        cx, cy = self.centre
        spongy = MU_TRABECULAR * inner * grain.at(win.y - np.float32(cy), win.x - np.float32(cx))
        value = self.thickness * (0.8 * MU_CORTICAL * (outer - 0.95 * inner) + spongy)
        value = value * self.density
        bite(value, win, self.notches, canvas.px)
        canvas.bone[win.rows, win.columns] += value.astype(np.float32, copy=False)

    def _sides(self) -> list[tuple[float, float, float]]:
        """Outward unit normal and offset of every side."""
        cx, cy = self.centre
        sides = []
        for (x0, y0), (x1, y1) in zip(
            self.corners, (*self.corners[1:], self.corners[0]), strict=True
        ):
            length = hypot(x1 - x0, y1 - y0)
            nx, ny = (y1 - y0) / length, -(x1 - x0) / length
            if nx * (cx - x0) + ny * (cy - y0) > 0:
                nx, ny = -nx, -ny
            sides.append((nx, ny, nx * x0 + ny * y0))
        return sides


def _dome(inside: _Real, inradius: float) -> _Real:
    """Relative thickness 0..1 of a lens that is full at ``inradius`` below its edge."""
    u = np.clip(1 - inside / inradius, 0, 1)
    dome: _Real = np.where(inside > 0, np.sqrt(1 - u * u), 0)
    return dome
