"""Lead letters: an L or an R on the film that names the hand.

A letter is a bright spot of a letter's size on dark ground, off the hand and alone, that looks much
like L or R and clearly less like anything else. What is not sure is not read: a wrong side is worse
than none. A change here or in ``glyphs`` changes verdicts: raise the gate's version with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ra_engine.glyphs import LETTERS, fitted, glyphs, standard
from ra_engine.types import HandView, Located, Radiograph, Side
from ra_engine.views import KNUCKLE, WRIST

LONGER_SIDE = 640
"""Pixels that the longer side of a larger image is reduced to, about: by a whole factor."""
HEIGHT = (0.018, 0.065)
"""Of a letter, as shares of the longer side."""
LIKENESS = {"L": (0.88, 0.08), "R": (0.85, 0.06)}
"""The least correlation with a letter, and how much less anything else must have. L has few
strokes: a J, a 1 or a bent wire comes nearer to it than anything to R."""
LEVELS = (0.75, 0.5, 0.3)
"""Shares of the brightest relief at which spots are cut out: high ones part a blurred letter's
strokes, low ones keep a faint letter whole."""
FAINT = 48
"""Relief, of 255, below which nothing is lead."""
MAX_SPOTS = 16
"""An image with more spots of a letter's size and shape has text on it, or is no hand."""

_LEAST_PX = 11
_SLENDER = 0.5  # width over height of the narrowest L; a J is narrower
_FILLED = (0.12, 0.80)  # share of its frame: thin strokes to stout ones
_PAD = 0.08  # flesh around the outermost landmarks, in lengths from wrist to knuckle
_FOREARM = 0.4  # half its width at the wrist, and as much again for each length down
_GROUND = 0.3  # tone around a letter, as a share of its own
_SIDES = {"L": Side.LEFT, "R": Side.RIGHT}


@dataclass(frozen=True, slots=True)
class Letter:
    """The side that a letter names, and its correlation (0..1) with the letter."""

    side: Side
    confidence: float


class _Box(NamedTuple):
    x: int
    y: int
    columns: int
    rows: int


def read_letter(radiograph: Radiograph, located: Located) -> Letter | None:
    """The side that the lead letters of an image name; None where there is none, or two disagree.

    A letter may lie in any quarter turn, a little tilted, and mirrored (a film that was laid down
    or scanned the other way round): it names what the technologist meant.
    """
    tone, factor, origin = _shown(radiograph)
    zone = _zone(tone.shape, located.hands, factor, origin)
    ground = _ground(tone)
    relief = np.where(zone, 0, cv2.subtract(tone, ground))
    dark = _dark(tone, zone)
    read: list[tuple[_Box, Letter]] = []
    for level in LEVELS:
        for box, spot in _spots(relief, zone, max(FAINT, round(level * float(relief.max())))):
            known = any(_within(box, other) for other, _ in read)
            if not known and _on_dark_ground(tone, ground, box, dark):
                letter = _recognised(spot)
                read += [(box, letter)] if letter is not None else []
    if len({letter.side for _, letter in read}) != 1:
        return None
    return max((letter for _, letter in read), key=lambda letter: letter.confidence)


def _shown(radiograph: Radiograph) -> tuple[NDArray[np.uint8], int, tuple[int, int]]:
    """What the mask leaves, bone bright, 8 bits, reduced; by which factor, and its origin (x, y).

    The factor is whole: reduction by a broken one takes ten times as long.
    """
    x, y, columns, rows = radiograph.field
    factor = max(1, round(max(rows, columns) / LONGER_SIDE))
    size = (max(1, columns // factor), max(1, rows // factor))
    part = (slice(y, y + size[1] * factor), slice(x, x + size[0] * factor))
    small = cv2.resize(radiograph.pixels[part], size, interpolation=cv2.INTER_AREA)
    seen = np.ones(small.shape, np.uint8)
    if radiograph.mask is not None:
        hidden = radiograph.mask[part].view(np.uint8)
        seen = 1 - (cv2.resize(hidden, size, interpolation=cv2.INTER_AREA) != 0).view(np.uint8)
        seen = cv2.erode(seen, np.ones((3, 3), np.uint8))
    low, high, _, _ = cv2.minMaxLoc(small, seen)
    gain = 255 / max(high - low, 1.0)
    sign, end = (-gain, high) if radiograph.inverted else (gain, low)
    tone: NDArray[np.uint8] = cv2.convertScaleAbs(small, alpha=sign, beta=-sign * end) * seen
    return tone, factor, (x, y)


def _zone(
    shape: tuple[int, ...], hands: tuple[HandView, ...], factor: int, origin: tuple[int, int]
) -> NDArray[np.uint8]:
    """(rows, columns) not 0 where a hand or its forearm lies."""
    zone = np.zeros(shape, np.uint8)
    for view in hands:
        points = (view.landmarks.astype(np.float64) - origin) / factor
        wrist, along = points[WRIST], points[WRIST] - points[KNUCKLE]
        across = np.array((-along[1], along[0])) * _FOREARM
        hull = cv2.convexHull(np.rint(points).astype(np.int32))
        arm = [wrist - across, wrist + across]
        arm += [wrist + 3 * along + 4 * across, wrist + 3 * along - 4 * across]
        cv2.fillConvexPoly(zone, hull, 1)
        pad = max(1, round(2 * _PAD * float(np.hypot(*along))))
        cv2.polylines(zone, [hull], isClosed=True, color=1, thickness=pad)
        cv2.fillConvexPoly(zone, np.rint(arm).astype(np.int32), 1)
    return zone


def _ground(tone: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What lies under everything smaller than a letter; found on every fourth pixel."""
    rows, columns = tone.shape
    size = (max(1, columns // 4), max(1, rows // 4))
    small = cv2.resize(tone, size, interpolation=cv2.INTER_AREA)
    reach = int(1.3 * HEIGHT[1] * max(size)) | 1
    opened = cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones((reach, reach), np.uint8))
    ground: NDArray[np.uint8] = cv2.resize(opened, (columns, rows))
    return ground


def _dark(tone: NDArray[np.uint8], zone: NDArray[np.uint8]) -> int:
    """Tone of the ground: a tenth of what lies off the hand is no brighter."""
    free = tone[::4, ::4][zone[::4, ::4] == 0]
    return int(np.percentile(free, 10)) if free.size else 255


def _spots(
    relief: NDArray[np.uint8], zone: NDArray[np.uint8], cut: int
) -> Iterator[tuple[_Box, NDArray[np.float32]]]:
    """Spots brighter than ``cut`` that may be letters, and their tones in [0, 1]."""
    bright = (relief > cut).view(np.uint8)
    # Outlines, for they cost a tenth of labelled components where there is little to see.
    lines, tree = cv2.findContours(bright, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not lines:
        return
    outer = [line for line, (*_, parent) in zip(lines, tree[0], strict=True) if parent < 0]
    boxes = np.array([cv2.boundingRect(line) for line in outer], np.int64).reshape(-1, 4)
    found = [k for k in _shaped(boxes, relief.shape) if _stands_alone(k, boxes)]
    for k in found if len(found) <= MAX_SPOTS else ():
        box = _Box(*(int(v) for v in boxes[k]))
        part = _around(box)
        filled = float(bright[part].mean())
        if not _FILLED[0] <= filled <= _FILLED[1] or zone[_around(box, 1)].any():
            continue
        own = np.zeros((box.rows, box.columns), np.uint8)
        cv2.drawContours(own, outer, k, 1, cv2.FILLED, offset=(-box.x, -box.y))
        own = relief[part] * cv2.dilate(own, np.ones((3, 3), np.uint8))
        yield box, own.astype(np.float32) / np.float32(own.max())


def _around(box: _Box, pad: int = 0) -> tuple[slice, slice]:
    return (
        slice(max(0, box.y - pad), box.y + box.rows + pad),
        slice(max(0, box.x - pad), box.x + box.columns + pad),
    )


def _within(box: _Box, other: _Box) -> bool:
    """Whether the middle of a box lies in another."""
    x, y = box.x + box.columns / 2, box.y + box.rows / 2
    return 0 <= x - other.x <= other.columns and 0 <= y - other.y <= other.rows


def _shaped(boxes: NDArray[np.int64], shape: tuple[int, ...]) -> list[int]:
    """Which of (n, 4) boxes have a letter's size and aspect and do not touch the edge."""
    x, y, columns, rows = boxes.T
    longer, shorter = np.maximum(columns, rows), np.minimum(columns, rows)
    least, most = (share * max(shape) for share in HEIGHT)
    sized = (longer >= max(least, _LEAST_PX)) & (longer <= most) & (shorter >= _SLENDER * longer)
    inside = (np.minimum(x, y) > 0) & (x + columns < shape[1]) & (y + rows < shape[0])
    return [int(k) for k in np.flatnonzero(sized & inside)]


def _stands_alone(k: int, boxes: NDArray[np.int64]) -> bool:
    """Whether nothing of like size lies beside it, as in a line of text; a ring around it may."""
    left, top, columns, rows = (int(v) for v in boxes[k])
    size = max(columns, rows)
    x, y, w, h = boxes.T
    longer = np.maximum(w, h)
    gap_x = np.maximum(x - (left + columns), left - (x + w))
    gap_y = np.maximum(y - (top + rows), top - (y + h))
    beside = (longer > 0.4 * size) & (longer < 2.5 * size)
    beside &= np.maximum(gap_x, gap_y) < 0.7 * size
    beside &= ~((x < left) & (y < top) & (x + w > left + columns) & (y + h > top + rows))
    beside[k] = False
    return not bool(beside.any())


def _on_dark_ground(
    tone: NDArray[np.uint8], ground: NDArray[np.uint8], box: _Box, dark: int
) -> bool:
    """Whether it is dark under a spot: metal in a forearm lies on flesh."""
    part = _around(box)
    return float(ground[part].mean()) < dark + _GROUND * (float(tone[part].max()) - dark)


def _recognised(spot: NDArray[np.float32]) -> Letter | None:
    """L or R where one of them is much alike and everything else is less."""
    known = glyphs()
    grid = fitted(spot)
    turned = [np.rot90(seen, k) for seen in (grid, grid[:, ::-1]) for k in range(4)]
    laid = np.stack([standard(t) for t in turned]).T
    best = {name: float((known.of[name] @ laid).max()) for name in LETTERS}
    name = max(best, key=lambda one: best[one])
    least, margin = LIKENESS[name]
    second = min(best.values())
    if best[name] < least or best[name] - second < margin:
        return None
    if best[name] - float((known.others @ laid).max()) < margin:
        return None
    return Letter(_SIDES[name], min(1.0, best[name]))
