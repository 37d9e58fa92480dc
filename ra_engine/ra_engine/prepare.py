"""THE preprocessing: training and serving import this one.

Order of operations, stated in every manifest as ``ORDER``:
1 histogram of the grey values under the mask, percentiles from it;
2 integer area reduction when the target is less than half as fine;
3 one affine warp, bilinear, outside = background;
4 one affine tone map (sign = inversion), clip to [0, 1];
5 subtract mean, divide by standard deviation.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ra_engine.types import Affine, HandView, Radiograph

_EXACT = 1 << 24
"""OpenCV counts in float32, whose integers are exact up to here."""

ORDER = ("histogram", "area", "warp", "tone", "clip", "standardise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """What a graph expects.

    Attributes:
        kind: ``hand_view`` (one hand, canonical) or ``letterbox`` (whole image, padded).
        rows, columns: of the tensor.
        percentiles: (low, high) in percent, mapped to 0 and 1.
        mean, std: of the tensor, subtracted and divided by.
    """

    kind: Literal["hand_view", "letterbox"]
    rows: int
    columns: int
    percentiles: tuple[float, float] = (0.5, 99.7)
    mean: float = 0.3
    std: float = 0.25

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON of all fields and the order of operations."""
        text = json.dumps({**asdict(self), "order": ORDER}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def tone_range(radiograph: Radiograph, percentiles: tuple[float, float]) -> tuple[float, float]:
    """Grey values at the two percentiles; high > low always.

    The percentile is the smallest grey value whose cumulative count reaches the share.
    """
    values = radiograph.pixels if radiograph.mask is None else radiograph.pixels[~radiograph.mask]
    if values.size == 0:
        return 0.0, 1.0
    counts = np.cumsum(_histogram(values))
    ranks = [max(1.0, p / 100 * counts[-1]) for p in percentiles]
    if radiograph.inverted:
        # Percentiles are of the bone-bright image: mirror the ranks, and with them the tie rule.
        ranks = [counts[-1] - rank for rank in reversed(ranks)]
    tie: Literal["left", "right"] = "right" if radiograph.inverted else "left"
    low, high = (min(int(np.searchsorted(counts, r, tie)), len(counts) - 1) for r in ranks)
    return float(low), float(max(high, low + 1))


def _histogram(values: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Pixels by grey value, up to the highest that occurs; equal to ``numpy.bincount``."""
    flat = values.reshape(1, -1)
    if flat.size >= _EXACT:
        return np.asarray(np.bincount(flat.ravel()), np.int64)
    bins = int(flat.max()) + 1
    counts = cv2.calcHist([flat], [0], None, [bins], [0, bins])
    exact: NDArray[np.int64] = counts.ravel().astype(np.int64)
    return exact


def prepare_hand(
    radiograph: Radiograph,
    view: HandView,
    spec: Preprocessing,
    *,
    tone: tuple[float, float] | None = None,
) -> NDArray[np.float32]:
    """(1, rows, columns) float32 of one hand view; ``tone`` saves a second histogram."""
    a, b, c, d, e, f = view.to_image
    to_image: Affine = (a / spec.columns, b / spec.rows, c, d / spec.columns, e / spec.rows, f)
    return _prepare(radiograph, _centred(to_image), spec, tone)


def prepare_image(
    radiograph: Radiograph,
    spec: Preprocessing,
    *,
    turn: int = 0,
    tone: tuple[float, float] | None = None,
) -> tuple[NDArray[np.float32], Affine]:
    """(1, rows, columns) float32 of the whole image, padded, and unit -> image pixel affine.

    Args:
        turn: quarter turns counter-clockwise that the image is given first, 0 to 3; the affine
            leads back to the image as it is stored.
        tone: saves a second histogram.
    """
    to_image = _letterbox(radiograph, spec, turn)
    tensor = _prepare(radiograph, _centred(to_image), spec, tone)
    return tensor, _unit(to_image, spec)


def whole_image(radiograph: Radiograph, spec: Preprocessing, *, turn: int = 0) -> Affine:
    """Unit square of the padded image -> pixels of the image, as ``prepare_image`` lays it."""
    return _unit(_letterbox(radiograph, spec, turn), spec)


def _unit(to_image: Affine, spec: Preprocessing) -> Affine:
    a, b, c, d, e, f = to_image
    return a * spec.columns, b * spec.rows, c, d * spec.columns, e * spec.rows, f


def _letterbox(radiograph: Radiograph, spec: Preprocessing, turn: int) -> Affine:
    """Edges of target pixels -> pixels of the image, turned by quarters.

    The target is laid around what the mask leaves, so that a frame costs no resolution.
    """
    x, y, columns, rows = radiograph.field
    wide, high = (spec.columns, spec.rows) if turn % 2 == 0 else (spec.rows, spec.columns)
    scale = max(rows / high, columns / wide)
    left = x + (columns - wide * scale) / 2 - 0.5
    top = y + (rows - high * scale) / 2 - 0.5
    right, bottom = left + wide * scale, top + high * scale
    laid: tuple[Affine, ...] = (
        (scale, 0.0, left, 0.0, scale, top),
        (0.0, -scale, right, scale, 0.0, top),
        (-scale, 0.0, right, 0.0, -scale, bottom),
        (0.0, scale, left, -scale, 0.0, bottom),
    )
    return laid[turn]


def _centred(edge: Affine) -> Affine:
    """From maps of pixel edges to maps of pixel centres (+0.5 in the target)."""
    a, b, c, d, e, f = edge
    return (a, b, c + 0.5 * (a + b), d, e, f + 0.5 * (d + e))


def _prepare(
    radiograph: Radiograph, to_image: Affine, spec: Preprocessing, tone: tuple[float, float] | None
) -> NDArray[np.float32]:
    low, high = tone if tone is not None else tone_range(radiograph, spec.percentiles)
    background = high if radiograph.inverted else low
    pixels = radiograph.pixels
    if radiograph.mask is not None:
        pixels = np.where(radiograph.mask, np.uint16(background), pixels)
    a, b, c, d, e, f = to_image
    finer = int(np.sqrt(abs(a * e - b * d)))
    if finer >= 2:
        pixels, (a, b, c, d, e, f) = _reduce(pixels, to_image, finer)
    matrix = np.array([[a, b, c], [d, e, f]], np.float64)
    warped = cv2.warpAffine(
        pixels,
        matrix,
        (spec.columns, spec.rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=float(background),
    ).astype(np.float32)
    sign = -1.0 if radiograph.inverted else 1.0
    warped *= np.float32(sign / (high - low))
    warped += np.float32((high if radiograph.inverted else -low) / (high - low))
    np.clip(warped, 0, 1, out=warped)
    warped -= np.float32(spec.mean)
    warped *= np.float32(1 / spec.std)
    tensor: NDArray[np.float32] = warped[None]
    return tensor


def _reduce(
    pixels: NDArray[np.uint16], to_image: Affine, factor: int
) -> tuple[NDArray[np.uint16], Affine]:
    """Shrink by an integer factor (area mean on integers); the affine follows."""
    rows, columns = (max(1, n // factor) for n in pixels.shape)
    kept = pixels[: rows * factor, : columns * factor]
    small = cv2.resize(kept, (columns, rows), interpolation=cv2.INTER_AREA)
    a, b, c, d, e, f = to_image
    shift = (factor - 1) / 2
    out = (
        a / factor,
        b / factor,
        (c - shift) / factor,
        d / factor,
        e / factor,
        (f - shift) / factor,
    )
    return small, out
