"""A version of the generator is a promise about its pixels."""

from __future__ import annotations

import hashlib

import numpy as np

from ra_training.phantom import PHANTOM_VERSION, Exposure, render_exposure, render_nonhand
from ra_training.phantom import sample_grades as draw
from ra_training.phantom.anatomy import draw_anatomy
from ra_training.phantom.hand import build
from ra_training.phantom.plan import Growth, Subject

BLOCKS = 4
TOLERANCE = 2.5  # thousandths: room for another libm, none for another picture

FROZEN: dict[str, list[list[int]]] = {
    "2.3": [
        [198, 167, 187, 169, 342, 265, 327, 268, 424, 302, 446, 282, 376, 162, 363, 190],
        [98, 101, 116, 107, 112, 176, 328, 249, 108, 208, 587, 161, 99, 259, 422, 86],
        [198, 354, 348, 206, 220, 421, 416, 228, 217, 400, 382, 231, 186, 249, 239, 195],
    ]
}
"""Mean of display() in 4 x 4 blocks, thousandths, for each image of ``images``."""


GEOMETRY = {"2.3": "2b0995eb63d2089b9c195e94a71c454c211c3487885c7122b20bc5e8547ec070"}
"""Digest of every shape and erosion of ``geometry``."""


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


def geometry() -> str:
    """Shapes of hands of every severity, to a tenth of a micrometre, without the film."""
    found = hashlib.sha256()
    for seed in range(12):
        for side in ("right", "left"):
            plan = build(
                Subject(
                    seed=seed, side=side,
                    grades=draw(seed, prior="flat", visit_shift=1.0).hand(side),
                    anatomy=draw_anatomy(seed), growth=Growth(None if seed % 4 else 5.0),
                    pose_seed=seed,
                )
            )  # fmt: skip
            for tube in plan.tubes:
                numbers = [*tube.base, *tube.head, tube.shaft, tube.cortex, tube.density]
                numbers += [v for n in tube.notches for v in (n.x, n.y, n.radius, n.depth)]
                found.update(" ".join(f"{v + 0.0:.4f}" for v in numbers).encode())
            for bone in plan.shorts:
                numbers = [*bone.centre, bone.size, bone.thickness, bone.density]
                numbers += [v for n in bone.notches for v in (n.x, n.y, n.radius, n.depth)]
                found.update(" ".join(f"{v + 0.0:.4f}" for v in numbers).encode())
            for block in plan.blocks:
                numbers = [v for corner in block.corners for v in corner]
                numbers += [v for n in block.notches for v in (n.x, n.y, n.radius, n.depth)]
                found.update(" ".join(f"{v + 0.0:.4f}" for v in numbers).encode())
    return found.hexdigest()


def test_shapes_change_only_with_the_version() -> None:
    assert geometry() == GEOMETRY[PHANTOM_VERSION], "raise PHANTOM_VERSION, train the models anew"
