"""Faults of the prototype that were mended, measured: sides, lengths, resolution, forearm, veil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from ra_training.phantom import HandGrades, SubjectGrades, film, render_exposure, sample_grades
from ra_training.phantom.anatomy import draw_anatomy
from ra_training.phantom.canvas import Canvas
from ra_training.phantom.damage import marginal
from ra_training.phantom.grades import HEALTHY
from ra_training.phantom.grain import strands
from ra_training.phantom.hand import build
from tests.unit.phantom.test_anatomy import subject

METACARPAL = 5  # of the index finger, among the tubes of a hand
BOTH = SubjectGrades(right=HEALTHY, left=HEALTHY)


@pytest.mark.parametrize("side", ["left", "right"])
def test_first_erosions_lie_on_the_radial_side_of_either_hand(side: str) -> None:
    radial = [
        marginal(s, side, "BE_MCP-I", 2, end=(0.0, 0.0), inward=(0.0, -1.0), width=15.0)[0].x > 0
        for s in range(400)
    ]
    assert 0.58 <= np.mean(radial) <= 0.72


def test_the_length_of_a_ray_does_not_tell_its_narrowing() -> None:
    """Lengths of one bone differ more between people than a lost space moves a fingertip."""
    ratios = []
    for seed in range(40):
        lengths = draw_anatomy(seed).lengths
        ratios.append(lengths[2][1] / lengths[1][1])  # proximal phalanges of two neighbours
    lost_mm = 1.75
    assert np.std(ratios) * 44.5 > 0.5 * lost_mm


def test_strands_have_one_size_in_mm_at_every_resolution() -> None:
    def reach(px: float) -> float:
        grain = strands(5, px).tile - 1
        step = round(1.0 / px)
        return float((grain[step:] * grain[:-step]).mean() / grain.var())

    assert reach(0.25) == pytest.approx(reach(0.5), abs=0.08)


def test_noise_a_square_millimetre_is_one_at_every_resolution() -> None:
    tube = replace(film.draw_tube(3, 400), quanta=4000.0, collimation=(0, 0, 0, 0))
    spreads = []
    for px, block in ((0.5, 2), (0.25, 4)):
        size = int(100 / px)
        shown = film.expose(Canvas(size, size, px), tube, 1)
        spreads.append(
            float(uniform_filter(shown.astype(np.float64), block)[::block, ::block].std())
        )
    assert spreads[1] == pytest.approx(spreads[0], rel=0.25)


@pytest.mark.parametrize("age", [2.0, 6.0, 12.0, None])
def test_the_forearm_leaves_the_image(age: float | None) -> None:
    for seed in range(4):
        shot = render_exposure(seed, BOTH, hands="right", height=320, age=age)
        shown = shot.display()
        bottom = shown[-16:-12].mean(0)  # above the collimation's edge
        middle = float(np.median(shown[240:280].max(1)))
        assert bottom.max() > 0.5 * middle, (seed, age)


def test_the_veil_has_no_blocks() -> None:
    """Scatter was enlarged by repetition: steps at every eighth pixel."""
    canvas = Canvas(320, 400, 0.5)
    canvas.soft[100:220, 120:280] = 30.0
    tube = replace(
        film.draw_tube(1, 320), quanta=1e12, scatter=0.14, blur_mm=0.0, collimation=(0, 0, 0, 0)
    )
    shown = film.expose(canvas, tube, 1).astype(np.float64)
    step = np.abs(np.diff(shown[:80, 20:-20], axis=1)).mean(0)  # far from the object: veil alone
    phases = [float(np.median(step[k::8])) for k in range(8)]
    assert min(phases) > 0
    assert max(phases) < 1.5 * np.mean(phases)


def test_thumbs_stand_off_as_people_hold_them() -> None:
    angles = []
    for seed in range(40):
        shot = render_exposure(seed, BOTH, hands="right", height=256)
        points = shot.hands[0].landmarks
        thumb, middle = points[2] - points[1], points[10] - points[9]
        cosine = thumb @ middle / (np.linalg.norm(thumb) * np.linalg.norm(middle))
        angles.append(np.degrees(np.arccos(cosine)))
    assert 24 <= np.mean(angles) <= 40
    assert np.std(angles) >= 3
    assert min(angles) >= 12
    assert max(angles) <= 55


def test_cortices_are_as_thick_as_metacarpals_have_them_and_do_not_tell_the_total() -> None:
    """Combined cortical thickness over width of the second metacarpal's shaft, as it is drawn."""
    healthy: list[float] = []
    worn: list[float] = []
    totals: list[float] = []
    for seed in range(200):
        grades = sample_grades(seed)
        for found, given in ((healthy, HEALTHY), (worn, grades.right)):
            who = replace(subject(seed), grades=given)
            bone = build(who).tubes[METACARPAL]
            found.append(2 * bone.cortex / bone.shaft)
        totals.append(grades.right.total)
    assert 0.42 <= np.mean(healthy) <= 0.55
    assert np.all(np.array(worn) <= np.array(healthy))  # falls with severity
    assert np.corrcoef(worn, totals)[0, 1] > -0.5  # and does not tell it


def test_a_healthy_hand_has_no_grade() -> None:
    assert BOTH.total == 0
    assert isinstance(BOTH.right, HandGrades)
