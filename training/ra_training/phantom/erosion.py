"""An erosion's shape, and how it takes bone away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_training.phantom.canvas import Window

_Real = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notch:
    """A break of the bone: a lobed outline about a centre (mm) that takes ``depth`` (0..1) of it.

    ``lobes`` are amplitudes 0..0.3 and phases (rad) of the second and third harmonic of the radius.
    """

    x: float
    y: float
    radius: float
    depth: float
    lobes: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def bite(value: _Real, win: Window, notches: tuple[Notch, ...], px: float) -> None:
    """Multiply ``value`` on ``win`` by what the deepest notch of each place leaves."""
    if not notches:
        return
    left = np.ones_like(value)
    for notch in notches:
        _sink(left, win, notch, px)
    value *= left


def _sink(left: _Real, win: Window, notch: Notch, px: float) -> None:
    """Lower ``left`` to what a notch leaves, where it reaches."""
    edge = max(0.7 * px, 0.35)
    reach = 1.6 * notch.radius + edge + px
    x, y = win.x[0], win.y[:, 0]
    a, b = np.searchsorted(x, (notch.x - reach, notch.x + reach))
    c, d = np.searchsorted(y, (notch.y - reach, notch.y + reach))
    if b <= a or d <= c:
        return
    dx = x[None, a:b] - np.float32(notch.x)
    dy = y[c:d, None] - np.float32(notch.y)
    radius: float | _Real = notch.radius
    a2, p2, a3, p3 = notch.lobes
    if a2 or a3:
        angle = np.arctan2(dy, dx)
        radius = np.float32(notch.radius) * (
            1 + a2 * np.cos(2 * angle + p2) + a3 * np.cos(3 * angle + p3)
        )
    distance = np.sqrt(dx * dx + dy * dy) - radius
    here = left[c:d, a:b]
    np.minimum(here, 1 - notch.depth * np.clip(0.5 - distance / (2 * edge), 0, 1), out=here)
