"""What Display Shutter (PS3.3 C.7.6.11) and X-Ray Collimator (C.8.7.3) say lies outside the image.

Both modules give rectangles, circles and polygons in the same way, in rows and columns that count
from 1. Where several are given, a pixel must lie inside each of them. A shape that lacks a value,
or that leaves nothing of the image, is a fault of the header and counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Numbers = Callable[[str], Sequence[float]]
"""Values of an attribute by keyword; empty where it is absent or malformed."""

Mask = NDArray[np.bool_]
_FARTHEST = 65_535.0  # pixels: as many rows or columns as an image can have; edges may lie outside
_MOST_VALUES = 2 * 5_000  # of a polygon: drawing takes time for each corner, and nobody has more


def shuttered(
    shape: tuple[int, int], shapes: Callable[[str], Sequence[str]], numbers: Numbers
) -> Mask | None:
    """True where a shutter or a collimator covers the image; None where nothing is covered.

    Args:
        shape: (rows, columns) of the image.
        shapes: words of an attribute by keyword.
        numbers: numbers of an attribute by keyword.
    """
    open_: Mask | None = None  # nearly every image has neither: nothing is made of its size then
    for kind in ("Shutter", "Collimator"):
        for word in dict.fromkeys(word.strip().upper() for word in shapes(f"{kind}Shape")):
            draw = _DRAWN.get(word)
            inside = None if draw is None else draw(shape, kind, numbers)
            if inside is None:
                continue
            both = inside if open_ is None else open_ & inside
            open_ = both if bool(both.any()) else open_
    return None if open_ is None or bool(open_.all()) else ~open_


def _rectangle(shape: tuple[int, int], kind: str, numbers: Numbers) -> Mask | None:
    sides = ("LeftVertical", "RightVertical", "UpperHorizontal", "LowerHorizontal")
    given = [numbers(f"{kind}{side}Edge")[:1] for side in sides]
    if not all(_near(values) for values in given):
        return None
    left, right, upper, lower = (int(values[0]) for values in given)
    inside = np.zeros(shape, np.bool_)
    inside[max(0, upper - 1) : max(0, lower), max(0, left - 1) : max(0, right)] = True
    return inside


def _circle(shape: tuple[int, int], kind: str, numbers: Numbers) -> Mask | None:
    centre = numbers(f"CenterOfCircular{kind}")
    radius = numbers(f"RadiusOfCircular{kind}")[:1]
    if len(centre) != 2 or not radius or not _near((*centre, *radius)) or radius[0] <= 0:
        return None
    y, x = (np.arange(n, dtype=np.float64) for n in shape)
    away = (y[:, None] - (centre[0] - 1)) ** 2 + (x - (centre[1] - 1)) ** 2
    inside: Mask = away <= radius[0] ** 2
    return inside


def _polygon(shape: tuple[int, int], kind: str, numbers: Numbers) -> Mask | None:
    given = numbers(f"VerticesOfThePolygonal{kind}")
    if not 6 <= len(given) <= _MOST_VALUES or len(given) % 2 or not _near(given):
        return None
    corners = np.array(given).reshape(-1, 2)[:, ::-1] - 1  # row, column -> x, y from 0
    inside = np.zeros(shape, np.uint8)
    cv2.fillPoly(inside, [np.rint(corners).astype(np.int32)], 1)
    return inside.astype(np.bool_)


def _near(values: Sequence[float]) -> bool:
    """Whether there are values, and each is a number that an edge may have."""
    return len(values) > 0 and all(abs(v) <= _FARTHEST for v in values)  # NaN is near nothing


_DRAWN = {"RECTANGULAR": _rectangle, "CIRCULAR": _circle, "POLYGONAL": _polygon}
