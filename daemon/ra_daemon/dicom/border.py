"""The frame around the exposed field: what a collimator or the edge of the plate left unexposed.

White surrounds are ordinary on plates of computed radiography, and no model was trained on them.
Only a clear frame counts: nearly constant, at the end of the grey scale, along a whole side of the
image, and ending in a straight step. Everything else is left to the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_FINEST = 640  # pixels of the longer side at which lines are sought: area means, little noise
_NEAR = 0.05  # of the grey range: what still counts as the frame's grey
_END = 0.06  # of the grey range: how far from its end the frame's grey may lie
_STEP, _STEPPING = 0.15, 0.6  # height of the step, and the share of the side that shows it
_ALONG = 0.8  # share of the outermost line that has the frame's grey
_STRAIGHT = 0.75  # share of the side that lies on the line
_SEEN = 0.3  # share of the side that the neighbouring sides must leave
_STEEPEST = 0.1  # rows a column: about six degrees
_DEEPEST = 0.45  # of the image's height
_THINNEST = 1.5  # pixels of the reduced image
_BLUR = 5  # pixels of the reduced image: specks of other grey do not end a frame
_INSET = 2.0  # pixels of the reduced image: the step is never sharp
BLACK_FROM = 0.06
"""Share of the longer side. A thinner black frame is ordinary collimation: models know it."""
_RIM = 0.02  # of the longer side: what stays of a thick black frame, as ordinary collimation

Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edge:
    """A line y = at + lean * x, y counted from the side into the image."""

    at: float
    lean: float
    white: bool

    def depth(self, columns: int) -> float:
        """Mean depth of the frame."""
        return self.at + self.lean * (columns - 1) / 2


def border(pixels: NDArray[np.uint16], *, inverted: bool) -> NDArray[np.bool_] | None:
    """True where a clear frame surrounds the exposed field; None without one.

    Args:
        pixels: (rows, columns) grey values.
        inverted: bone is dark in them; tells white from black.
    """
    factor = max(1, max(pixels.shape) // _FINEST)
    rows, columns = (n // factor for n in pixels.shape)
    if min(rows, columns) < 16:
        return None
    kept = pixels[: rows * factor, : columns * factor]
    small = cv2.resize(kept, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
    span = float(small.max()) - float(small.min())
    if span <= 0:
        return None
    shown = (small - small.min()) / np.float32(span)
    edges = _frame(1 - shown if inverted else shown)
    return _mask(pixels.shape, factor, edges) if edges else None


def _frame(shown: Field) -> dict[int, _Edge]:
    """The frame's edges by side: number of quarter turns that bring the side to the top."""
    found = {}
    for turn in range(4):
        edge = _top(np.rot90(shown, turn))
        if edge is not None:
            found[turn] = edge
    least = BLACK_FROM * max(shown.shape)
    widths = (shown.shape[1], shown.shape[0])
    if any(e.depth(widths[t % 2]) >= least for t, e in found.items() if not e.white):
        return found
    return {turn: edge for turn, edge in found.items() if edge.white}


def _top(shown: Field) -> _Edge | None:
    """The frame along the upper side, if there is one."""
    grey = float(np.median(shown[:2]))
    white = grey >= 1 - _END
    if not white and grey > _END:
        return None
    if float((np.abs(shown[:2] - grey) <= _NEAR).mean()) < _ALONG:
        return None
    rows = len(shown)
    deepest = int(np.ceil(_DEEPEST * rows))
    upper = np.abs(shown[: deepest + _BLUR] - np.float32(grey)) <= _NEAR
    near = cv2.medianBlur(np.ascontiguousarray(upper, np.uint8), _BLUR)[:deepest]
    depth = np.where(near.all(0), rows, near.argmin(0))
    seen = np.flatnonzero(depth < _DEEPEST * rows)  # elsewhere a neighbouring side's frame
    if len(seen) < _SEEN * shown.shape[1]:
        return None
    at, lean, share = _line(seen, depth[seen].astype(np.float64))
    edge = _Edge(at=at, lean=lean, white=white)
    if share < _STRAIGHT or edge.depth(shown.shape[1]) < _THINNEST:
        return None
    inside = np.rint(at + lean * seen + _INSET + 1).astype(np.intp).clip(0, rows - 1)
    stepping = np.abs(shown[inside, seen] - grey) >= _STEP
    return edge if float(stepping.mean()) >= _STEPPING else None


def _line(x: NDArray[np.intp], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """The line that most points lie on, and their share: the best through two of a few of them."""
    spread = np.linspace(0, len(x) - 1, 14).astype(np.intp)
    i, j = (spread[k] for k in np.triu_indices(len(spread), 1))
    far = x[j] - x[i] >= len(x) / 8
    i, j = i[far], j[far]
    lean = (y[j] - y[i]) / (x[j] - x[i])
    at = y[i] - lean * x[i]
    flat = np.abs(lean) <= _STEEPEST
    if not flat.any():
        return 0.0, 0.0, 0.0
    at, lean = at[flat, None], lean[flat, None]
    share = (np.abs(y - np.maximum(0, at + lean * x)) <= 1.5).mean(1)
    best = int(share.argmax())
    return float(at[best, 0]), float(lean[best, 0]), float(share[best])


def _mask(shape: tuple[int, ...], factor: int, edges: dict[int, _Edge]) -> NDArray[np.bool_]:
    """The frame in pixels of the image.

    Of white nothing may stay, so its line is moved inwards by the width of a step; of black a rim
    stays, so that the darkest tone is that of a plate with ordinary collimation.
    """
    rim = _RIM * max(shape) / factor
    mask = np.zeros(shape, np.bool_)
    for turn, edge in edges.items():
        side = np.rot90(mask, turn)  # a view: what is written there stands in the mask
        x = (np.arange(side.shape[1], dtype=np.float32) + 0.5) / factor - 0.5
        moved = edge.at + (_INSET if edge.white else -rim)
        until = (moved + edge.lean * x) * factor
        side = side[: max(0, int(np.ceil(until.max())))]
        side |= np.arange(side.shape[0], dtype=np.float32)[:, None] < until
    return mask
