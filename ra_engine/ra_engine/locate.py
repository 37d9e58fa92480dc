"""From the locator's arrays to hands: centres, landmarks, plausibility."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ra_engine.bundle import Bundle
from ra_engine.contracts import Session
from ra_engine.errors import BundleError
from ra_engine.manifest import LocatorTable
from ra_engine.prepare import prepare_image, tone_range
from ra_engine.types import HandView, Located, Radiograph
from ra_engine.views import apply, hand_view, side_by_side

KINDS = ("hand", "wrist_only", "partial_hand", "not_hand", "cast")
"""Classes of a locator in their order; one that learned no casts has the first four."""
CENTRE_CHANNEL = 21
_SNAP_CELLS = 3
_MAX_CANDIDATES = 6
_DISORDER = 10.0
UPRIGHT = 0.5
"""Probability of a hand from which an image is taken as it lies."""
TURNED, TURNED_CONFIDENCE, TURNED_DISTANCE = 0.95, 0.4, 0.8
"""What a turned image must reach: probability, confidence of each hand, and distance, of which an
upright one may have 1. Of 844 images without a hand (324 real, 520 generated), each turned three
ways, none showed any hand, and none a probability above a third."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hand:
    points: NDArray[np.float32]  # (21, 2) in unit coordinates of the letterbox
    confidence: float


class Locator:
    """Finds hands and tells what kind of image it is."""

    def __init__(self, session: Session, bundle: Bundle) -> None:
        table = bundle.manifest.locator
        if table is None:
            raise BundleError(f"Bundle {bundle.name} has no [locator] table.")
        self._session = session
        self._spec = bundle.manifest.preprocessing.spec()
        self._table = table
        try:
            with np.load(bundle.path / table.statistics) as held:
                self._mean = held["mean"].astype(np.float64)
                self._precision = held["precision"].astype(np.float64)
        except (KeyError, ValueError, OSError) as error:
            what = f"{table.statistics} must hold mean and precision"
            raise BundleError(f"Bundle {bundle.name}: {what}.") from error

    def locate(self, radiograph: Radiograph) -> Located:
        """Find the hands of one radiograph, in the image as it lies or turned by quarters.

        It is turned only where it shows no hand as it lies. Four tries are four chances to be
        wrong, so a turned image must be surer than one that lies as the locator learned it.
        """
        tone = tone_range(radiograph, self._spec.percentiles)
        upright = self.look(radiograph, tone=tone)
        if upright.hands and upright.probabilities["hand"] >= UPRIGHT:
            return upright
        turned = (self.look(radiograph, turn=turn, tone=tone) for turn in (1, 2, 3))
        sure = [located for located in turned if _sure(located)]
        return max(sure, key=_confidence, default=upright)

    def look(
        self, radiograph: Radiograph, *, turn: int = 0, tone: tuple[float, float] | None = None
    ) -> Located:
        """Find the hands in the image as it lies, or turned first.

        Args:
            turn: quarter turns counter-clockwise; the hands' places are those in the stored image.
            tone: see ``prepare_image``.
        """
        tensor, to_image = prepare_image(radiograph, self._spec, turn=turn, tone=tone)
        out = self._session.run(tensor[None])
        found = hands_of(out["heat"][0], out["offset"][0], self._table)
        views = []
        for hand in found:
            points = apply(to_image, hand.points)
            try:
                views.append(hand_view(points, confidence=hand.confidence))
            except ValueError:
                continue
        kind = _softmax(out["kind"][0].astype(np.float64))
        gap = out["embedding"][0].astype(np.float64) - self._mean
        distance = float(np.sqrt(max(0.0, gap @ self._precision @ gap))) / self._table.distance
        return Located(
            hands=_indexed(views),
            probabilities=dict(zip(KINDS, (float(p) for p in kind), strict=False)),
            open_physes=float(1 / (1 + np.exp(-float(out["physes"][0, 0])))),
            distance=distance,
        )


def hands_of(
    heat: NDArray[np.float32], offset: NDArray[np.float32], table: LocatorTable
) -> list[_Hand]:
    """Hands from (22, n, n) heat and (42, n, n) offsets; the best of any overlapping ones."""
    n = heat.shape[1]
    hands: list[_Hand] = []
    for y, x in _peaks(heat[CENTRE_CHANNEL], table.centre):
        vectors = offset[:, y, x].reshape(21, 2)
        cells = np.array([x, y], np.float32) + vectors * n
        if not np.isfinite(cells).all():
            continue
        points, heights = _snapped(cells, heat)
        confidence = float(np.sort(heights)[: max(1, len(heights) // 3)].mean())
        if confidence < table.landmark or implausibility(points) > table.plausibility:
            continue
        unit = ((points + 0.5) / n).astype(np.float32)
        if all(_apart(unit, other.points) for other in hands):
            hands.append(_Hand(points=unit, confidence=confidence))
    return hands


def implausibility(points: NDArray[np.float32]) -> float:
    """How far 21 landmarks are from a hand's proportions; a plausible hand stays below 1.

    The worst over the four fingers of the departure (in natural logarithm, scaled by 0.7) of
    segment lengths from the adult's share of wrist-to-knuckle, and of directions; knuckles that
    do not lie in the order of their digits are never plausible.
    """
    span = float(np.hypot(*(points[10] - points[0])))
    if span < 1e-6:
        return float("inf")
    worst = 0.0
    shares = ((0.75, 0.45, 0.45), (0.72, 0.50, 0.50), (0.64, 0.47, 0.50), (0.60, 0.37, 0.40))
    for digit, expected in enumerate(shares, start=1):
        ray = points[1 + 4 * digit : 5 + 4 * digit]
        lengths = np.hypot(*np.diff(ray, axis=0).T) / span
        departure = np.abs(np.log(np.maximum(lengths, 1e-3) / np.array(expected)))
        worst = max(worst, float(departure.max()) / 0.7)
        whole = ray[3] - ray[0]
        along = float(np.dot(whole, points[10] - points[0])) / (
            span * float(np.hypot(*whole)) + 1e-9
        )
        worst = max(worst, (1 - along) / 0.6)
    return worst if _in_order(points) else max(worst, _DISORDER)


def _in_order(points: NDArray[np.float32]) -> bool:
    """Whether the knuckles of the four fingers follow each other across the hand."""
    axis = points[10] - points[0]
    across = points[[6, 10, 14, 18]] @ np.array([-axis[1], axis[0]])
    steps = np.diff(across)
    return bool((steps > 0).all() or (steps < 0).all())


def _peaks(channel: NDArray[np.float32], threshold: float) -> list[tuple[int, int]]:
    """Local maxima above a threshold, highest first."""
    padded = np.pad(channel, 2, constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    maxima = (channel >= windows.max((2, 3))) & (channel > threshold)
    ys, xs = np.nonzero(maxima)
    order = np.argsort(-channel[ys, xs], kind="stable")[:_MAX_CANDIDATES]
    return [(int(ys[i]), int(xs[i])) for i in order]


def _snapped(
    cells: NDArray[np.float32], heat: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Move every regressed landmark to the centre of its heat nearby; also the heat's height."""
    n = heat.shape[1]
    out, heights = cells.copy(), np.zeros(21, np.float32)
    for k in range(21):
        cx, cy = (round(float(v)) for v in cells[k])
        x0, x1 = max(0, cx - _SNAP_CELLS), min(n, cx + _SNAP_CELLS + 1)
        y0, y1 = max(0, cy - _SNAP_CELLS), min(n, cy + _SNAP_CELLS + 1)
        if x1 <= x0 or y1 <= y0:
            continue
        patch = heat[k, y0:y1, x0:x1].astype(np.float64)
        heights[k] = patch.max()
        if heights[k] < 0.2:
            continue
        weight = np.clip(patch - 0.5 * patch.max(), 0, None)
        ys, xs = np.mgrid[y0:y1, x0:x1]
        out[k] = (weight * xs).sum() / weight.sum(), (weight * ys).sum() / weight.sum()
    return out, heights


def _apart(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    span = float(np.hypot(*(a[10] - a[0])))
    return float(np.hypot(*(a[10] - b[10]))) > 0.6 * span


def _indexed(views: list[HandView]) -> tuple[HandView, ...]:
    axis = 0 if len(views) < 2 or side_by_side(views) else 1
    ordered = sorted(views, key=lambda v: float(v.landmarks[0, axis]))
    return tuple(replace(v, index=i) for i, v in enumerate(ordered))


def _sure(located: Located) -> bool:
    """Whether a turned image shows hands beyond doubt."""
    return (
        len(located.hands) > 0
        and located.probabilities["hand"] >= TURNED
        and _confidence(located) >= TURNED_CONFIDENCE
        and located.distance <= TURNED_DISTANCE
    )


def _confidence(located: Located) -> float:
    return min(hand.confidence for hand in located.hands)


def _softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(z - z.max())
    out: NDArray[np.float64] = e / e.sum()
    return out
