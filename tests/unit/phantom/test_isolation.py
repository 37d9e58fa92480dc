"""One purpose, one stream: a change in one place leaves the rest as it was."""

from __future__ import annotations

import numpy as np

from ra_training.phantom import HandGrades, SubjectGrades, render_exposure, sample_grades
from ra_training.phantom.anatomy import draw_anatomy
from ra_training.phantom.hand import build
from ra_training.phantom.plan import Growth, HandPlan, Subject

SEED = 3
REACH_MM = 75  # of scatter and latitude filters


def with_left(grades: SubjectGrades, **changes: int) -> SubjectGrades:
    """Grades of which the left hand is changed; ``__`` in a name stands for ``-``."""
    sites = {name.replace("__", "-"): grade for name, grade in changes.items()}
    return SubjectGrades(
        right=grades.right, left=HandGrades(grades={**grades.left.grades, **sites})
    )


def plan(grades: HandGrades, side: str = "left") -> HandPlan:
    """Shapes of a hand."""
    return build(
        Subject(
            seed=SEED, side=side, grades=grades, anatomy=draw_anatomy(SEED), growth=Growth(None),
            pose_seed=11,
        )
    )  # fmt: skip


def test_a_change_of_the_left_hand_leaves_the_right_half() -> None:
    before = sample_grades(SEED, prior="flat")
    after = with_left(before, BE_R=5, JSN_MCP__M=4, BE_MCP__I=4)
    a, b = render_exposure(SEED, before), render_exposure(SEED, after)
    limit = int(a.pixels.shape[1] / 2 - REACH_MM / a.spacing_mm)
    assert limit > 100
    assert np.array_equal(a.pixels[:, :limit], b.pixels[:, :limit])
    assert not np.array_equal(a.pixels, b.pixels)
    right = [next(h for h in e.hands if h.side == "right") for e in (a, b)]
    assert np.array_equal(right[0].landmarks, right[1].landmarks)
    assert right[0].joint_boxes == right[1].joint_boxes
    assert np.array_equal(right[0].damage_mask, right[1].damage_mask)


def test_an_erosion_leaves_every_other_erosion() -> None:
    base = {"BE_MCP-M": 3, "BE_R": 2, "BE_S": 3}
    one = plan(HandGrades(grades={**base, "BE_PIP-I": 0}))
    two = plan(HandGrades(grades={**base, "BE_PIP-I": 3}))
    bites = [{n for b in p.shorts for n in b.notches} for p in (one, two)]
    assert bites[0] == bites[1]
    radius = [p.tubes[0].notches for p in (one, two)]
    assert radius[0] == radius[1]


def test_anatomy_stays_and_pose_moves_between_visits() -> None:
    grades = sample_grades(SEED)
    first, second = (
        render_exposure(SEED, grades, hands="right", visit=v, height=256, spacing_mm=1.0)
        for v in (0, 1)
    )
    bones = [
        np.hypot(*(e.hands[0].landmarks[9] - e.hands[0].landmarks[10])) for e in (first, second)
    ]
    assert abs(bones[0] - bones[1]) < 0.01
    assert not np.allclose(first.hands[0].landmarks, second.hands[0].landmarks, atol=0.5)


def test_exposure_seed_changes_the_film_only() -> None:
    grades = sample_grades(SEED)
    a, b = (render_exposure(SEED, grades, height=200, exposure_seed=s) for s in (0, 1))
    assert not np.array_equal(a.pixels, b.pixels)
    assert a.hands[0].grades == b.hands[0].grades
