"""A plaster cast from the forearm to the knuckles: a distractor that raises no score."""

from __future__ import annotations

from math import hypot, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_training.phantom.canvas import Canvas, Point
from ra_training.phantom.streams import stream

Lengths = NDArray[np.floating[Any]]
MU_PLASTER = 0.02  # 1/mm, between soft tissue and cortical bone
_FROM, _TO = (-2.0, -150.0), (3.0, 44.0)
_INNER = (27.0, 43.0)
"""Inner radius at the forearm and at the knuckles of a man, mm."""


def draw_cast(canvas: Canvas, start: Point, end: Point, scale: float, seed: int) -> None:
    """Add a shell of plaster to the line integrals.

    Args:
        start, end: its axis from forearm to knuckles, image mm; scale: of the hand.
    """
    draw = stream(seed, "cast")
    thickness = float(draw.uniform(4.0, 8.0)) * scale
    turns = float(draw.uniform(6.0, 10.0)) * scale
    ragged = float(draw.uniform(0, 2 * pi))
    length = hypot(end[0] - start[0], end[1] - start[1])
    ux, uy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    margin = _INNER[1] * scale + thickness + 1
    win = canvas.window(
        min(start[0], end[0]) - margin, max(start[0], end[0]) + margin,
        min(start[1], end[1]) - margin, max(start[1], end[1]) + margin,
    )  # fmt: skip
    if win is None:
        return
    t = (win.x - start[0]) * ux + (win.y - start[1]) * uy
    n = -(win.x - start[0]) * uy + (win.y - start[1]) * ux
    share = np.clip(t / length, 0, 1)
    inner = (_INNER[0] + (_INNER[1] - _INNER[0]) * share**2) * scale
    path = _chord(inner + thickness, n) - _chord(inner, n)
    weave = 1 + 0.10 * np.sin(2 * pi * t / turns)
    edge = length + 2.0 * scale * np.sin(n / (4 * scale) + ragged)
    inside = (t > 0) & (t < edge)
    shell = MU_PLASTER * path * weave * inside
    canvas.bone[win.rows, win.columns] += shell.astype(np.float32)


def axis() -> tuple[Point, Point]:
    """Ends of a cast in the hand frame, mm at scale 1."""
    return _FROM, _TO


def _chord(radius: Lengths, across: Lengths) -> Lengths:
    found: Lengths = 2 * np.sqrt(np.clip(radius**2 - across**2, 0, None))
    return found
