"""Long bones."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_training.phantom.canvas import Canvas, Point
from ra_training.phantom.erosion import Notch, bite
from ra_training.phantom.grain import Grain

_Real = NDArray[np.floating[Any]]  # numpy's stubs widen float32 arrays that meet Python floats
MU_CORTICAL, MU_TRABECULAR = 0.105, 0.030  # 1/mm, near 50 kVp


@dataclass(frozen=True, slots=True, kw_only=True)
class Tube:
    """A long bone from ``base`` to ``head`` (mm): widths, cortex and the shape of its ends.

    Attributes:
        convex: how far the head bulges, as part of half its width; cup: the same of the hollow of
            the base; groove: mm that the middle of the head is lower (two condyles).
        tilt_head, tilt_base: slope of the end's surface toward the thumb, mm a mm.
        porosis: part of the mineral that is lost beside the joints, 0..1.
        rim: mm below the head's surface where its far edge shows; 0 shows none.
        plate: place along the axis and width of an open growth plate, mm.
    """

    base: Point
    head: Point
    shaft: float
    base_width: float
    head_width: float
    cortex: float
    density: float = 1.0
    depth: float = 0.9
    convex: float = 0.42
    cup: float = 0.22
    groove: float = 0.0
    tilt_head: float = 0.0
    tilt_base: float = 0.0
    porosis: float = 0.0
    rim: float = 0.0
    notches: tuple[Notch, ...] = ()
    plate: tuple[float, float] | None = None

    def draw(self, canvas: Canvas, grain: Grain) -> None:
        """Add its attenuation."""
        px, (bx, by), (hx, hy) = canvas.px, self.base, self.head
        length = hypot(hx - bx, hy - by)
        ux, uy = (hx - bx) / length, (hy - by) / length
        wide = max(self.base_width, self.head_width)
        margin = 0.62 * wide + 1.0 + 0.5 * wide * max(abs(self.tilt_head), abs(self.tilt_base))
        win = canvas.window(
            min(bx, hx) - margin, max(bx, hx) + margin, min(by, hy) - margin, max(by, hy) + margin
        )
        if win is None:
            return
        t = (win.x - bx) * ux + (win.y - by) * uy
        n = (win.y - by) * ux - (win.x - bx) * uy
        s = np.clip(t / length, -0.5, 1.5)
        flare_b, flare_h = np.exp(-((s / 0.16) ** 2)), np.exp(-(((1 - s) / 0.13) ** 2))
        half = 0.5 * (
            self.shaft
            + (self.base_width - self.shaft) * flare_b
            + (self.head_width - self.shaft) * flare_h
        )
        end_b, end_h = self._ends(n, np.clip((n / half) ** 2, 0, 1.44), length)
        edge = 0.6 * px
        inside = _ramp(t - end_h, edge) * _ramp(end_b - t, edge)
        if self.plate is not None:
            place, width = self.plate
            inside *= 1 - np.exp(-((1.3 * (t - place) / width) ** 4))
        flare = np.maximum(flare_b, flare_h)
        cortex = self.cortex * np.clip(1 - 0.75 * flare, 0.22, 1)
        outer = _chord(half, n, self.depth)
        inner = _chord(np.maximum(half - cortex, 0.05), n, self.depth)
        rims = np.exp(-(((t - end_h) / 0.9) ** 2)) + np.exp(-(((t - end_b) / 0.9) ** 2))
        if self.rim:
            rims += 0.55 * np.exp(-(((t - end_h + self.rim) / 0.8) ** 2))
        value = MU_CORTICAL * (outer - inner) + MU_TRABECULAR * inner * grain.at(t, n)
        value += 0.45 * MU_CORTICAL * rims * (outer > 0)
        if self.porosis:
            value *= 1 - self.porosis * np.sqrt(flare)
        value *= inside * self.density
        bite(value, win, self.notches, px)
        canvas.bone[win.rows, win.columns] += value.astype(np.float32, copy=False)

    def _ends(self, n: _Real, r2: _Real, length: float) -> tuple[_Real, _Real]:
        """Where base and head end along the axis, by the place ``n`` across it."""
        head = length - 0.5 * self.head_width * self.convex * r2 + self.tilt_head * n
        if self.groove:
            head -= self.groove * np.exp(-((n / (0.2 * self.head_width)) ** 2))
        return self.tilt_base * n - 0.5 * self.base_width * self.cup * r2, head


def _ramp(x: _Real, edge: float) -> _Real:
    """1 inside (x < 0), 0 outside, linear over ``edge`` mm each side."""
    ramp: _Real = np.clip(0.5 - x / (2 * edge), 0, 1)
    return ramp


def _chord(half: _Real, n: _Real, depth: float) -> _Real:
    chord: _Real = 2 * depth * np.sqrt(np.clip(half * half - n * n, 0, None))
    return chord
