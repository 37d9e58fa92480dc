"""Letters, digits and plain shapes on a small grid, to compare the spots of a radiograph with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from string import ascii_uppercase, digits

import cv2
import numpy as np
from numpy.typing import NDArray

GRID, RIM = 16, 1
"""Side of the grid, and what stays dark around a glyph; in cells."""
BLUR = 0.8
"""Sigma in cells: strokes that lie half a cell apart are still alike."""
LETTERS = "LR"
"""The letters that name a side; all other glyphs are only there to be told from them."""

_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
)
_HEIGHT = 36  # of a drawn character, before it is fitted to the grid
_STROKES = (3, 6, 9)  # a twelfth to a quarter of the height: thin wire to stout casting
_TILTS = (-10.0, 0.0, 10.0)  # degrees; a letter is laid down by hand
_DOTS = {
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
}
"""Letters of five by seven blocks, as generated radiographs and dot matrices have them."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Drawn glyphs.

    Attributes:
        of: by letter of ``LETTERS``: (n, GRID * GRID) float32, each row of mean 0 and length 1.
        others: the same of every other character and of plain shapes.
    """

    of: Mapping[str, NDArray[np.float32]]
    others: NDArray[np.float32]


@cache
def glyphs() -> Glyphs:
    """Every glyph, drawn once a process."""
    drawn: dict[str, list[NDArray[np.float32]]] = {name: [] for name in (*LETTERS, "")}
    for name, shape in _upright():
        kept = drawn[name if name in LETTERS else ""]
        kept += [standard(fitted(made)) for made in _laid(shape)]
    rows = {name: np.stack(made) for name, made in drawn.items()}
    for made in rows.values():
        made.flags.writeable = False
    return Glyphs({name: rows[name] for name in LETTERS}, rows[""])


def fitted(tone: NDArray[np.float32]) -> NDArray[np.float32]:
    """(GRID, GRID) float32: a glyph, stretched to the grid inside its rim, a little blurred.

    Letters of two founts differ more in their width than in anything else, so the aspect is not
    kept: who asks for a letter limits it.

    Args:
        tone: (rows, columns) in [0, 1], the glyph bright, cropped by its frame.
    """
    inner = GRID - 2 * RIM
    how = cv2.INTER_AREA if min(tone.shape) > inner else cv2.INTER_LINEAR
    grid = np.zeros((GRID, GRID), np.float32)
    grid[RIM:-RIM, RIM:-RIM] = cv2.resize(tone, (inner, inner), interpolation=how)
    blurred: NDArray[np.float32] = cv2.GaussianBlur(
        grid, (0, 0), BLUR, borderType=cv2.BORDER_CONSTANT
    )
    return blurred


def standard(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """The grid as one row of mean 0 and length 1, so that a dot product is a correlation."""
    row: NDArray[np.float32] = (grid - grid.mean()).ravel()
    return row / np.float32(max(float(np.linalg.norm(row)), 1e-6))


def _upright() -> Iterator[tuple[str, NDArray[np.float32]]]:
    for name in ascii_uppercase + digits:
        for font in _FONTS:
            for stroke in _STROKES:
                yield name, _character(name, font, stroke)
    for name, lines in _DOTS.items():
        blocks = np.array([[float(c) for c in line] for line in lines], np.float32)
        yield name, np.kron(blocks, np.ones((8, 8), np.float32))
    for stroke in _STROKES:
        for leg in (0.45, 0.65):
            yield "R", _block_r(leg, stroke)
    for shape in _shapes():
        yield "", shape


def _character(name: str, font: int, stroke: int) -> NDArray[np.float32]:
    scale = cv2.getFontScaleFromHeight(font, _HEIGHT, stroke)
    canvas = np.zeros((3 * _HEIGHT, 3 * _HEIGHT), np.uint8)
    cv2.putText(canvas, name, (_HEIGHT, 2 * _HEIGHT), font, scale, 255, stroke, cv2.LINE_AA)
    return _cropped(canvas)


def _block_r(leg: float, stroke: int) -> NDArray[np.float32]:
    """R as lead letters are cast: a bowl as wide as the letter, a leg that begins at ``leg``."""
    high, wide = _HEIGHT, 0.7 * _HEIGHT
    bowl = 0.26 * high
    canvas = np.zeros((2 * _HEIGHT, 2 * _HEIGHT), np.uint8)
    arc = np.linspace(-np.pi / 2, np.pi / 2, 13)
    round_ = [(wide - bowl + bowl * np.cos(a), bowl + bowl * np.sin(a)) for a in arc]
    stem = [(0.0, high), (0.0, 0.0), *round_, (0.0, 2 * bowl)]
    for line in (stem, [(leg * wide, 2 * bowl), (wide, high)]):
        points = np.rint(np.array(line) + _HEIGHT / 2).astype(np.int32)
        cv2.polylines(
            canvas, [points], isClosed=False, color=255, thickness=stroke, lineType=cv2.LINE_AA
        )
    return _cropped(canvas)


def _shapes() -> Iterator[NDArray[np.float32]]:
    """Bars, discs, rings, a cross and an arrow head."""
    blank = np.zeros((_HEIGHT, _HEIGHT), np.uint8)
    middle, half, far = (_HEIGHT // 2, _HEIGHT // 2), _HEIGHT // 2 - 2, _HEIGHT - 6
    for width in (0.15, 0.3, 0.5, 1.0):
        yield np.ones((_HEIGHT, round(width * _HEIGHT)), np.float32)
    yield _cropped(cv2.circle(blank.copy(), middle, half, 255, -1))
    for stroke in _STROKES:
        yield _cropped(cv2.circle(blank.copy(), middle, half - stroke, 255, stroke))
        yield _cropped(cv2.drawMarker(blank.copy(), middle, 255, cv2.MARKER_CROSS, half, stroke))
        yield _cropped(cv2.rectangle(blank.copy(), (6, 6), (far, far), 255, stroke))
    corner = np.array([(2, 2), (far, far), (2, far)], np.int32)
    yield _cropped(cv2.fillPoly(blank.copy(), [corner], 255))


def _laid(shape: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Tilts of a shape."""
    rows, columns = shape.shape
    side = int(1.6 * max(rows, columns))
    for tilt in _TILTS:
        turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), tilt, 1.0)
        turn[:, 2] += (side / 2 - columns / 2, side / 2 - rows / 2)
        turned = cv2.warpAffine(shape, turn, (side, side), flags=cv2.INTER_LINEAR)
        yield _cropped(np.rint(turned * 255).astype(np.uint8))


def _cropped(drawn: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The part of a drawing that is not dark, in [0, 1]."""
    ys, xs = np.nonzero(drawn > 127)
    part = drawn[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    return part.astype(np.float32) / np.float32(255)
