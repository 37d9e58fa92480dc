"""Generated images with the damaged joints as a mask of the same size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ra_engine.prepare import Preprocessing, prepare_hand, prepare_image
from ra_engine.types import Affine, Radiograph
from ra_engine.views import hand_view
from ra_training.phantom import render_exposure, sample_grades, subject_seed
from ra_training.phantom.grades import Prior


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """Prepared tones (n, rows, columns) uint8, damaged joints (same shape) and totals (n,)."""

    pixels: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    totals: NDArray[np.float64]


def scenes(
    n: int, seed: int, spec: Preprocessing, *, prior: Prior = "clinic", height: int = 512
) -> Scenes:
    """Images of ``n`` subjects: one each for letterbox, two hand views each otherwise."""
    tones, masks, totals = [], [], []
    for index in range(n):
        own = subject_seed(seed, index)
        grades = sample_grades(own, prior=prior)
        exposure = render_exposure(own, grades, hands="both", height=height)
        shot = Radiograph(pixels=exposure.pixels, inverted=exposure.photometric == "MONOCHROME1")
        damage = np.any([hand.damage_mask for hand in exposure.hands], 0)
        if spec.kind == "letterbox":
            tensor, to_image = prepare_image(shot, spec)
            tones.append(_tones(tensor, spec))
            masks.append(warp(damage, to_image, spec))
            totals.append(float(grades.total))
            continue
        for hand in exposure.hands:
            view = hand_view(hand.landmarks)
            tones.append(_tones(prepare_hand(shot, view, spec), spec))
            masks.append(warp(hand.damage_mask, view.to_image, spec))
            totals.append(float(hand.grades.total))
    return Scenes(pixels=np.stack(tones), masks=np.stack(masks), totals=np.array(totals))


def warp(mask: NDArray[np.bool_], to_image: Affine, spec: Preprocessing) -> NDArray[np.bool_]:
    """A mask of the image as ``ra_engine.prepare`` would see it.

    Args:
        to_image: unit coordinates of the prepared image -> image pixels.
    """
    a, b, c, d, e, f = to_image
    a, b, d, e = a / spec.columns, b / spec.rows, d / spec.columns, e / spec.rows
    matrix = np.array([[a, b, c + 0.5 * (a + b)], [d, e, f + 0.5 * (d + e)]])
    found = cv2.warpAffine(
        mask.astype(np.uint8), matrix, (spec.columns, spec.rows),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
    )  # fmt: skip
    out: NDArray[np.bool_] = found > 0
    return out


def _tones(tensor: NDArray[np.float32], spec: Preprocessing) -> NDArray[np.uint8]:
    shown = np.clip(tensor[0] * spec.std + spec.mean, 0, 1)
    found: NDArray[np.uint8] = np.rint(shown * 255).astype(np.uint8)
    return found
