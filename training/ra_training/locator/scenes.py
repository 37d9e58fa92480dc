"""Whole images for the locator: hands in every framing, and everything that is no hand."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ra_engine import locate
from ra_engine.prepare import Preprocessing, prepare_image
from ra_engine.types import Radiograph
from ra_engine.views import apply, invert
from ra_training.phantom import (
    KINDS,
    PHANTOM_VERSION,
    Exposure,
    render_exposure,
    render_nonhand,
    sample_grades,
    subject_seed,
)
from ra_training.phantom.exposure import Side
from ra_training.phantom.streams import stream

SPEC = Preprocessing(kind="letterbox", rows=256, columns=256)
HAND, WRIST_ONLY, PARTIAL_HAND, NOT_HAND, CAST = range(len(locate.KINDS))
_CASTS = 0.12  # of the whole hands
_NONHAND = {"wrist": WRIST_ONLY, "fingers": PARTIAL_HAND}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """Images and truths.

    Attributes:
        pixels: (n, 256, 256) uint8 tones; landmarks: (n, 2, 21, 2) float32 in letterbox pixels, NaN
            where there is no such hand; kind: (n,) int8; physes: (n,) int8, 1 = open.
    """

    pixels: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    kind: NDArray[np.int8]
    physes: NDArray[np.int8]


def scene(seed: int, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], int, int]:
    """One image: 55 % whole hands (one in five of a child, one in eight in a cast), 12 % cropped
    hands, 33 % no hands. Half of the children are of 9 to 13 years, whose plates are thin.
    """
    own = subject_seed(seed, index)
    draw = stream(own, "scene")
    chance = float(draw.random())
    height = int(draw.integers(280, 420))
    points = np.full((2, 21, 2), np.nan, np.float32)
    if chance >= 0.67:
        kind = KINDS[int(draw.integers(len(KINDS)))]
        if draw.random() < 0.2:
            kind = "wrist" if draw.random() < 0.6 else "fingers"
        tones, _ = _tones(render_nonhand(kind, own, height=height).display())
        return tones, points, _NONHAND.get(kind, NOT_HAND), 0
    child = bool(draw.random() < 0.2)
    age = float(draw.uniform(9, 13) if draw.random() < 0.5 else draw.uniform(3, 14))
    hands = ("both", "left", "right")[int(draw.integers(3))]
    casts = _casts(own, hands) if chance < 0.55 else ()
    exposure = render_exposure(
        own, sample_grades(own, prior="flat"), hands=hands, height=height,  # type: ignore[arg-type]
        age=age if child else None, casts=casts,
    )  # fmt: skip
    if chance >= 0.55:
        shown, kind_id = _cut(exposure, draw)
        tones, _ = _tones(shown)
        return tones, points, kind_id, int(child)
    shown, back = _turn(exposure.display(), draw)
    tones, to_letterbox = _tones(shown)
    for i, hand in enumerate(exposure.hands):
        points[i] = apply(to_letterbox, apply(back, hand.landmarks))
    return tones, points, CAST if casts else HAND, int(child)


def _casts(own: int, hands: str) -> tuple[Side, ...]:
    """Which of the shown hands lies in a cast; a stream of its own."""
    draw = stream(own, "scene-cast")
    worn, right = draw.random() < _CASTS, draw.random() < 0.5
    if not worn:
        return ()
    if hands == "both":
        return ("right",) if right else ("left",)
    return ("right",) if hands == "right" else ("left",)


def _tones(
    shown: NDArray[np.float32],
) -> tuple[NDArray[np.uint8], tuple[float, float, float, float, float, float]]:
    grey = np.rint(shown * 4095).astype(np.uint16)
    tensor, to_image = prepare_image(Radiograph(pixels=grey), SPEC)
    tones = np.rint(np.clip(tensor[0] * SPEC.std + SPEC.mean, 0, 1) * 255).astype(np.uint8)
    a, b, c, d, e, f = invert(to_image)
    return tones, (a * 256, b * 256, c * 256 - 0.5, d * 256, e * 256, f * 256 - 0.5)


def _turn(
    shown: NDArray[np.float32], draw: np.random.Generator
) -> tuple[NDArray[np.float32], tuple[float, float, float, float, float, float]]:
    """Turn by up to 25 degrees on a larger plate; the affine maps old to new pixels."""
    import cv2

    rows, columns = shown.shape
    if draw.random() < 0.4:
        return shown, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    angle = float(draw.uniform(-25, 25))
    grow = 1 + abs(angle) / 60
    new = (int(columns * grow), int(rows * grow))
    m = cv2.getRotationMatrix2D((columns / 2, rows / 2), angle, 1.0)
    m[0, 2] += (new[0] - columns) / 2
    m[1, 2] += (new[1] - rows) / 2
    turned = cv2.warpAffine(shown, m, new, flags=cv2.INTER_LINEAR, borderValue=float(shown.min()))
    flat = [float(v) for v in m.ravel()]
    return turned, (flat[0], flat[1], flat[2], flat[3], flat[4], flat[5])


def _cut(exposure: Exposure, draw: np.random.Generator) -> tuple[NDArray[np.float32], int]:
    """Crop through a hand: its fingers gone (wrist only), or any other part missing."""
    shown = exposure.display()
    hand = exposure.hands[int(draw.integers(len(exposure.hands)))]
    x0, y0, x1, y1 = hand.box
    rows, columns = shown.shape
    knuckles = float(hand.landmarks[[6, 10, 14, 18], 1].mean())
    if draw.random() < 0.5:
        top = int(np.clip(knuckles + draw.uniform(-0.05, 0.25) * (y1 - y0), 0, rows - 60))
        left, right = int(max(0, x0 - 20)), int(min(columns, x1 + 20))
        return np.ascontiguousarray(shown[top:, left:right]), WRIST_ONLY
    bottom = int(np.clip(knuckles + draw.uniform(-0.2, 0.15) * (y1 - y0), 60, rows))
    left = int(max(0, x0 + draw.uniform(-0.1, 0.3) * (x1 - x0)))
    right = int(min(columns, x1 - draw.uniform(-0.1, 0.3) * (x1 - x0)))
    return np.ascontiguousarray(shown[:bottom, left : max(right, left + 60)]), PARTIAL_HAND


def _job(job: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float32], int, int]:
    return scene(*job)


def cached_scenes(folder: Path, n: int, seed: int, *, processes: int = 2) -> Scenes:
    """``n`` scenes of a seed, kept in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"scenes-{PHANTOM_VERSION}-{seed}-{n}.npz"
    if not path.exists():
        with get_context("spawn").Pool(processes) as pool:
            parts = pool.map(_job, [(seed, i) for i in range(n)], chunksize=16)
        temporary = path.with_suffix(".tmp.npz")
        np.savez(
            temporary,
            pixels=np.stack([p[0] for p in parts]),
            landmarks=np.stack([p[1] for p in parts]),
            kind=np.array([p[2] for p in parts], np.int8),
            physes=np.array([p[3] for p in parts], np.int8),
        )
        temporary.rename(path)
    with np.load(path) as data:
        return Scenes(
            pixels=data["pixels"],
            landmarks=data["landmarks"],
            kind=data["kind"],
            physes=data["physes"],
        )
