"""A version of the generator is a promise about its pixels."""

from __future__ import annotations

import numpy as np

from ra_training.phantom import PHANTOM_VERSION, Exposure, render_exposure, render_nonhand
from ra_training.phantom import sample_grades as draw

BLOCKS = 4
TOLERANCE = 2.5  # thousandths: room for another libm, none for another picture

FROZEN: dict[str, list[list[int]]] = {
    "1.0": [
        [136, 119, 120, 132, 265, 199, 207, 253, 355, 266, 309, 314, 311, 143, 209, 240],
        [66, 69, 72, 67, 75, 90, 174, 98, 74, 143, 319, 80, 70, 121, 255, 63],
        [69, 248, 232, 65, 73, 306, 295, 73, 74, 255, 229, 72, 69, 110, 104, 68],
    ]
}
"""Mean of display() in 4 x 4 blocks, thousandths, for each image of ``images``."""


def images() -> list[Exposure]:
    """Both hands damaged, one hand of a child, a foot."""
    return [
        render_exposure(3, draw(3, prior="flat"), height=256),
        render_exposure(8, draw(8), hands="left", height=256, visit=1, age=7.0),
        render_nonhand("foot", 5, height=256),
    ]


def fingerprint(shot: Exposure) -> list[int]:
    """Coarse means of an image, thousandths."""
    shown = shot.display()
    means = [
        float(cell.mean())
        for band in np.array_split(shown, BLOCKS, 0)
        for cell in np.array_split(band, BLOCKS, 1)
    ]
    return [round(1000 * m) for m in means]


def test_pixels_change_only_with_the_version() -> None:
    assert PHANTOM_VERSION in FROZEN, "record the pictures of the new version here"
    for shot, known in zip(images(), FROZEN[PHANTOM_VERSION], strict=True):
        assert np.abs(np.subtract(fingerprint(shot), known)).max() <= TOLERANCE
