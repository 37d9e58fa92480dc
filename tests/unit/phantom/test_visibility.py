"""Every step of every grade shows in the bone: no label without a sign."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_training.phantom import SITES, HandGrades, max_grade
from ra_training.phantom.anatomy import CARPALS, draw_anatomy
from ra_training.phantom.canvas import Canvas, Point
from ra_training.phantom.hand import build
from ra_training.phantom.plan import Growth, HandPlan, Subject
from ra_training.phantom.render import Pose, draw_plan
from tests.support.grain import smooth

PX, SIZE_MM = 0.2, 44.0
SEEDS = (0, 1, 2, 3, 4, 5)
LEAST_MM2 = 1.0
CHANGE = 0.04  # of the line integral; healthy bone reaches 1.2, noise stays near 0.02


class _SameTotal(HandGrades):
    """Grades whose total is fixed, so that drift and osteopenia do not add to the change."""

    @property
    def total(self) -> int:
        return 30


def hand(seed: int, site: str, grade: int) -> HandPlan:
    """Shapes of an adult right hand with one damaged site."""
    return build(
        Subject(
            seed=seed, side="right", grades=_SameTotal(grades={site: grade}),
            anatomy=draw_anatomy(seed), growth=Growth(None), pose_seed=seed,
        )
    )  # fmt: skip


def bone_near(plan: HandPlan, centre: Point) -> NDArray[np.float32]:
    """Line integral of bone around a joint, without texture, noise and soft tissue."""
    n = round(SIZE_MM / PX)
    canvas = Canvas(n, n, PX)
    pose = Pose(
        origin=(SIZE_MM / 2 - centre[0], SIZE_MM / 2 + centre[1]), angle=0.0, scale=1.0, sign=1.0
    )
    draw_plan(plan, pose, canvas, smooth(PX))
    return canvas.bone


def steps_mm2(seed: int, site: str) -> list[float]:
    """Area that each step of the grade changes, mm^2."""
    centre = hand(seed, site, 0).joints[site][0]
    fields = [bone_near(hand(seed, site, g), centre) for g in range(max_grade(site) + 1)]
    return [float((np.abs(b - a) > CHANGE).sum() * PX**2) for a, b in pairwise(fields)]


@pytest.mark.parametrize("site", SITES)
def test_every_grade_step_changes_bone(site: str) -> None:
    for seed in SEEDS:
        for grade, area in enumerate(steps_mm2(seed, site), 1):
            assert area >= LEAST_MM2, f"seed {seed}: grade {grade - 1} to {grade} shows {area} mm2"


def test_grade_zero_is_no_damage() -> None:
    """A cyst of a bone that the score leaves out is all that may be found."""
    plan = hand(0, "BE_R", 0)
    graded = {f"BE_{name}": CARPALS[name][0] for name in ("S", "L", "Tm")}
    for bone in plan.shorts:
        near = min(np.hypot(*np.subtract(bone.centre, c)) for c in graded.values())
        assert near > 2 or not bone.notches
    assert not any(tube.notches for tube in plan.tubes if not tube.groove)
    assert not any(block.notches for block in plan.blocks)
