"""Short bones: any outline that its centre sees whole, given as a radius for every angle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import atan2, cos, pi, sin

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from ra_training.phantom.canvas import Canvas, Field, Point
from ra_training.phantom.erosion import Notch, bite
from ra_training.phantom.grain import Grain
from ra_training.phantom.tube import MU_CORTICAL, MU_TRABECULAR

ANGLES = 96
_TURN = np.linspace(-pi, pi, ANGLES + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """A short bone in the frame of its hand.

    Attributes:
        centre: mm; outline: control points (mm, in the hand frame, about their own centre);
        size: factor; turn: rad; sign: -1 when the hand is mirrored; thickness: mm at its middle.
    """

    centre: Point
    outline: tuple[Point, ...]
    cortex: float
    size: float = 1.0
    turn: float = 0.0
    sign: float = 1.0
    density: float = 1.0
    thickness: float = 11.0
    notches: tuple[Notch, ...] = ()

    @property
    def inradius(self) -> float:
        """Smallest distance from the centre to the outline, mm."""
        return float(radii(self.outline).min()) * self.size

    def edge(self, angle: float) -> float:
        """Distance (mm) from the centre to the outline at an angle of the hand frame."""
        wrapped = atan2(sin(angle), cos(angle))
        return float(np.interp(wrapped, _TURN, radii(self.outline))) * self.size

    def draw(self, canvas: Canvas, grain: Grain) -> None:
        """Add its attenuation."""
        table = radii(self.outline)
        reach = float(table.max()) * self.size + 1
        cx, cy = self.centre
        win = canvas.window(cx - reach, cx + reach, cy - reach, cy + reach)
        if win is None:
            return
        dx, dy = win.x - np.float32(cx), win.y - np.float32(cy)
        c, s = np.float32(cos(self.turn)), np.float32(sin(self.turn))
        along = (dx * c + dy * s) * np.float32(self.sign)
        up = dx * s - dy * c  # image y points down, the hand's up
        place = (np.arctan2(up, along) + np.float32(pi)) * np.float32(ANGLES / (2 * pi))
        low = np.minimum(place.astype(np.int32), ANGLES - 1)
        part = place - low
        fine = table.astype(np.float32) * np.float32(self.size)
        rim = fine[low] * (1 - part) + fine[low + 1] * part
        # the slope of the outline makes the radial distance longer than the true one
        slope = np.float32(0.93)
        depth = (rim - np.sqrt(dx * dx + dy * dy)) * slope
        inr = max(self.inradius, 1.0)
        ramp = np.clip(0.5 + depth / np.float32(1.2 * canvas.px), 0, 1)
        outer = _dome(depth, inr)
        inner = _dome(depth - self.cortex, inr)
        spongy = 1.1 * MU_TRABECULAR * inner * grain.at(up, along)
        value = self.thickness * (MU_CORTICAL * 0.85 * (outer - 0.95 * inner) + spongy)
        value = value * ramp * self.density
        bite(value, win, self.notches, canvas.px)
        canvas.bone[win.rows, win.columns] += value.astype(np.float32, copy=False)


@cache
def radii(outline: tuple[Point, ...]) -> NDArray[np.float64]:
    """(ANGLES + 1,) radius of the smooth closed curve through the points, from -pi to pi.

    Raises:
        ValueError: the origin does not see the whole outline.
    """
    angles = np.array([atan2(y, x) for x, y in outline])
    order = np.argsort(angles)
    if not (np.diff(np.unwrap(angles)) > 0).all() and not (np.diff(np.unwrap(angles)) < 0).all():
        raise ValueError("an outline's points must go round its centre once: move or reorder them")
    points = np.array(outline)[order]
    reach = np.hypot(points[:, 0], points[:, 1])
    turn = angles[order]
    closed = np.append(turn, turn[0] + 2 * pi)
    spline = CubicSpline(closed, np.append(reach, reach[0]), bc_type="periodic")
    wrapped = np.where(turn[0] > _TURN, _TURN + 2 * pi, _TURN)
    found: NDArray[np.float64] = np.asarray(spline(wrapped))
    found[-1] = found[0]
    return found


def _dome(inside: Field, inradius: float) -> Field:
    """Relative thickness 0..1: rises steeply at the edge, full at ``inradius`` below it."""
    u = np.clip(1 - inside / np.float32(inradius), 0, 1)
    dome: Field = np.where(inside > 0, np.sqrt(1 - u * u), np.float32(0))
    return dome
