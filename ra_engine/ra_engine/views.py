"""Hand views: the canonical frame of one hand, from its landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from math import atan2, hypot, pi

import numpy as np
from numpy.typing import NDArray

from ra_engine.types import Affine, HandView, Side

WRIST, THUMB_TIP, KNUCKLE = 0, 4, 10
"""Landmarks that fix the frame: wrist, tip of the thumb, third metacarpophalangeal joint."""
ASPECT = 0.75
"""Columns over rows of a view."""
SPAN = 0.40
"""Distance from wrist to knuckle as a share of the view's rows."""
ANCHOR = (0.47, 0.50)
"""Where the knuckle lies in the view (x, y in [0, 1])."""


def hand_view(
    landmarks: NDArray[np.float32],
    *,
    index: int = 0,
    side: Side = Side.UNKNOWN,
    side_source: str = "none",
    confidence: float = 1.0,
) -> HandView:
    """The view of a hand: third metacarpal vertical, fingers up, thumb to the right.

    Args:
        landmarks: (21, 2) x, y in image pixels, order as in ``HandView``.

    Raises:
        ValueError: wrist and knuckle coincide.
    """
    to_image, mirrored = view_affine(landmarks)
    points = np.array(landmarks, np.float32)
    points.flags.writeable = False
    return HandView(
        index=index,
        side=side,
        side_source=side_source,
        to_image=to_image,
        mirrored=mirrored,
        landmarks=points,
        confidence=confidence,
    )


def view_affine(landmarks: NDArray[np.float32]) -> tuple[Affine, bool]:
    """Similarity from unit view coordinates to image pixels, and whether it mirrors."""
    wx, wy = (float(v) for v in landmarks[WRIST])
    kx, ky = (float(v) for v in landmarks[KNUCKLE])
    length = hypot(wx - kx, wy - ky)
    if length < 1e-3:
        raise ValueError("wrist and third knuckle coincide")
    down = ((wx - kx) / length, (wy - ky) / length)
    right = (down[1], -down[0])
    tx, ty = (float(v) for v in landmarks[THUMB_TIP])
    mirrored = (tx - kx) * right[0] + (ty - ky) * right[1] < 0
    if mirrored:
        right = (-right[0], -right[1])
    rows = length / SPAN  # image pixels over the view's height
    columns = rows * ASPECT
    a, b = right[0] * columns, down[0] * rows
    d, e = right[1] * columns, down[1] * rows
    c = kx - a * ANCHOR[0] - b * ANCHOR[1]
    f = ky - d * ANCHOR[0] - e * ANCHOR[1]
    return (a, b, c, d, e, f), mirrored


def quarter_turn(views: Sequence[HandView]) -> int:
    """Quarter turns counter-clockwise that bring the fingers of most hands nearest to the top.

    0 where there is no hand.
    """
    if not views:
        return 0
    rays = np.array([v.landmarks[KNUCKLE] - v.landmarks[WRIST] for v in views], np.float64)
    right, down = rays.sum(0).tolist()
    return round(atan2(right, -down) / (pi / 2)) % 4  # fingers to the right need one turn


def side_by_side(views: Sequence[HandView]) -> bool:
    """Whether hands lie beside each other in the image, and not one above the other."""
    wrists = np.array([v.landmarks[WRIST] for v in views])
    across, down = np.ptp(wrists, axis=0)
    return bool(across >= down)


def apply(affine: Affine, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map (n, 2) points."""
    a, b, c, d, e, f = affine
    x, y = points[:, 0], points[:, 1]
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1).astype(np.float32)


def invert(affine: Affine) -> Affine:
    """The inverse map.

    Raises:
        ValueError: the map is singular.
    """
    a, b, c, d, e, f = affine
    det = a * e - b * d
    if abs(det) < 1e-12:
        raise ValueError("singular affine")
    return (e / det, -b / det, (b * f - c * e) / det, -d / det, a / det, (c * d - a * f) / det)
