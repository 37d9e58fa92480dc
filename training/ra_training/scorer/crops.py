"""Hand views with their truth, rendered once and kept in one array a field.

Landmarks are jittered as the locator errs, so that training sees the views that serving makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ra_engine.prepare import Preprocessing, prepare_hand
from ra_engine.types import Radiograph
from ra_engine.views import apply, hand_view, invert
from ra_training.phantom import PHANTOM_VERSION, SITES, render_exposure, sample_grades, subject_seed
from ra_training.phantom.grades import Prior
from ra_training.phantom.streams import stream

SPEC = Preprocessing(kind="hand_view", rows=384, columns=288)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crops:
    """Views and truths of many hands, two rows a subject: right, then left.

    Attributes:
        pixels: (n, rows, columns) uint8, tone 0..255 before standardisation.
        joints: (n, 31, 2) float32, x, y in [0, 1] of the view, NaN when outside.
        grades: (n, 31) int8 in the order of ``SITES``.
    """

    pixels: NDArray[np.uint8]
    joints: NDArray[np.float32]
    grades: NDArray[np.int8]

    @property
    def totals(self) -> NDArray[np.float32]:
        """(n,) sum of grades, 0-140."""
        return self.grades.sum(1).astype(np.float32)


def jittered(landmarks: NDArray[np.float32], seed: int, side: str) -> NDArray[np.float32]:
    """Landmarks as a locator would give them: turned, scaled and shifted a little as a whole."""
    draw = stream(seed, "jitter", side)
    angle, scale = float(draw.normal(0, 0.05)), 1 + float(draw.normal(0, 0.025))
    size = float(np.hypot(*(landmarks[10] - landmarks[0])))
    shift = draw.normal(0, 0.025 * size, 2)
    centre = landmarks[10]
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    turned = (landmarks - centre) @ np.array([[c, s], [-s, c]]) + centre + shift
    return turned.astype(np.float32)


def views_of(
    seed: int, prior: Prior, height: int
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.float32]], list[list[int]]]:
    """Both hands of one subject: tones, joint places, grades."""
    draw = stream(seed, "crop")
    grades = sample_grades(seed, prior=prior)
    hands = ("both",) if draw.random() < 0.6 else ("right", "left")
    tones, places, labels = [], [], []
    for shown in hands:
        exposure = render_exposure(seed, grades, hands=shown, height=height)  # type: ignore[arg-type]
        radiograph = Radiograph(
            pixels=exposure.pixels, inverted=exposure.photometric == "MONOCHROME1"
        )
        for hand in exposure.hands:
            view = hand_view(jittered(hand.landmarks, seed, hand.side))
            tensor = prepare_hand(radiograph, view, SPEC)[0] * SPEC.std + SPEC.mean
            tones.append(np.rint(np.clip(tensor, 0, 1) * 255).astype(np.uint8))
            back = invert(view.to_image)
            boxes = np.array([hand.joint_boxes[s] for s in SITES], np.float32)
            centres = np.stack([boxes[:, [0, 2]].mean(1), boxes[:, [1, 3]].mean(1)], 1)
            places.append(apply(back, centres))
            labels.append([hand.grades.grade(s) for s in SITES])
    return tones, places, labels


def _job(
    job: tuple[int, Prior, int],
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.float32]], list[list[int]]]:
    return views_of(*job)


def make_crops(
    subjects: int, seed: int, priors: Sequence[Prior], *, height: int = 640, processes: int = 2
) -> Crops:
    """Render ``subjects`` subjects; priors take turns."""
    jobs = [(subject_seed(seed, i), priors[i % len(priors)], height) for i in range(subjects)]
    with get_context("spawn").Pool(processes) as pool:
        parts = pool.map(_job, jobs, chunksize=16)
    return Crops(
        pixels=np.stack([t for p in parts for t in p[0]]),
        joints=np.stack([t for p in parts for t in p[1]]),
        grades=np.array([t for p in parts for t in p[2]], np.int8),
    )


def cached_crops(
    folder: Path, subjects: int, seed: int, priors: Sequence[Prior], *, processes: int = 2
) -> Crops:
    """``make_crops`` kept in ``folder``; the name says what is inside."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"crops-{PHANTOM_VERSION}-{seed}-{subjects}-{'-'.join(priors)}.npz"
    if not path.exists():
        crops = make_crops(subjects, seed, priors, processes=processes)
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, pixels=crops.pixels, joints=crops.joints, grades=crops.grades)
        temporary.rename(path)
    with np.load(path) as data:
        return Crops(pixels=data["pixels"], joints=data["joints"], grades=data["grades"])
