"""What a rendered radiograph promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_training.phantom import SITES, Exposure, render_exposure, sample_grades
from ra_training.phantom.grades import Prior
from ra_training.phantom.render import Hands

SEVERE = 60
"""Total of a hand above which fingers may lie dislocated across the plate."""


def shots(
    hands: Hands = "both", n: int = 12, height: int = 224, prior: Prior = "flat"
) -> list[Exposure]:
    """Several radiographs."""
    return [
        render_exposure(s, sample_grades(s, prior=prior), hands=hands, height=height)
        for s in range(n)
    ]


def inside(shot: Exposure, points: NDArray[np.floating[Any]]) -> bool:
    """Whether all (n, 2) points x, y lie in the image."""
    rows, columns = shot.pixels.shape
    return bool((points >= 0).all() and (points < [columns, rows]).all())


@pytest.mark.parametrize(
    ("hands", "sides", "laterality"),
    [("both", ("right", "left"), "B"), ("left", ("left",), "L"), ("right", ("right",), "R")],
)
def test_hands_and_laterality(hands: Hands, sides: tuple[str, ...], laterality: str) -> None:
    shot = shots(hands, 1)[0]
    assert tuple(h.side for h in shot.hands) == sides
    assert shot.laterality == laterality


def test_both_photometric_interpretations_and_depths_occur() -> None:
    found = shots(n=30, height=160)
    assert {e.photometric for e in found} == {"MONOCHROME1", "MONOCHROME2"}
    assert {e.bits for e in found} == {12, 14}
    assert all(e.pixels.dtype == np.uint16 and e.pixels.max() < 2**e.bits for e in found)


def test_display_shows_bone_bright() -> None:
    for shot in shots(n=10):
        shown = shot.display()
        assert shown.dtype == np.float32
        assert 0 <= shown.min() <= shown.max() <= 1
        x, y = np.rint(shot.hands[0].landmarks[9:11].mean(0)).astype(int)  # mid third metacarpal
        assert shown[y - 2 : y + 3, x - 2 : x + 3].mean() > np.median(shown) + 0.1


@pytest.mark.parametrize("hands", ["both", "left", "right"])
def test_truths_name_every_site_and_landmark(hands: Hands) -> None:
    for shot in shots(hands, n=4):
        for hand in shot.hands:
            assert hand.landmarks.shape == (21, 2)
            assert hand.landmarks.dtype == np.float32
            assert set(hand.joint_boxes) == set(SITES)
            boxes = np.array(list(hand.joint_boxes.values()))
            assert (boxes[:, :2] < boxes[:, 2:]).all()


@pytest.mark.parametrize("hands", ["both", "left", "right"])
def test_hands_lie_in_the_image(hands: Hands) -> None:
    found = [(s, h) for s in shots(hands, n=30, height=160) for h in s.hands]
    mild = [(shot, hand) for shot, hand in found if hand.grades.total <= SEVERE]
    assert len(mild) > 10
    for shot, hand in mild:
        assert inside(shot, hand.landmarks)
        boxes = np.array(list(hand.joint_boxes.values()))
        assert inside(shot, (boxes[:, :2] + boxes[:, 2:]) / 2)


def test_severe_hands_stay_in_the_image() -> None:
    for shot in shots(n=40, height=160):
        assert all(inside(shot, hand.landmarks) for hand in shot.hands)


def test_thumbs_point_to_the_middle() -> None:
    for shot in shots(n=6):
        right, left = shot.hands
        assert right.landmarks[4, 0] > right.landmarks[20, 0]
        assert left.landmarks[4, 0] < left.landmarks[20, 0]
        assert right.landmarks[:, 0].mean() < left.landmarks[:, 0].mean()


def test_spacing_is_physical() -> None:
    grades = sample_grades(2)
    sizes = []
    for height, spacing in ((400, 0.7), (560, 0.5)):
        shot = render_exposure(2, grades, hands="left", height=height, spacing_mm=spacing)
        wrist, knuckle = shot.hands[0].landmarks[0], shot.hands[0].landmarks[10]
        sizes.append(float(np.hypot(*(wrist - knuckle))) * shot.spacing_mm)
    assert sizes[0] == pytest.approx(sizes[1], rel=0.005)
    assert 60 < sizes[0] < 105


def test_masks_mark_damage_only() -> None:
    for shot in shots(n=8):
        for hand in shot.hands:
            assert hand.damage_mask.shape == shot.pixels.shape
            assert hand.damage_mask.any() == (hand.grades.total > 0)


def test_growth_plates_are_open_in_children_only() -> None:
    grades = sample_grades(4, prior="early")
    child = render_exposure(4, grades, height=256, age=6.0)
    adult = render_exposure(4, grades, height=256, age=30.0)
    assert child.age == 6.0
    assert not np.array_equal(child.pixels, adult.pixels)


def test_the_hand_fills_the_field_and_shows_some_of_the_forearm() -> None:
    """Wrist to tip with 30 mm of the forearm: 65-90 % of the height; 30-60 mm of it in most."""
    forearms, fills = [], []
    for seed in range(20):
        for hands in ("both", "right"):
            shot = render_exposure(seed, sample_grades(seed), hands=hands, height=256)  # type: ignore[arg-type]
            marks, rows = shot.hands[0].landmarks, shot.pixels.shape[0]
            wrist = float(marks[0, 1])  # in the carpus, 18 mm from the radius' surface
            forearms.append((rows - 1 - wrist) * shot.spacing_mm - 18)
            top = min(float(h.landmarks[:, 1].min()) for h in shot.hands)
            fills.append((wrist - top + 30 / shot.spacing_mm) / rows)
    assert 30 <= np.median(forearms) <= 60
    assert min(forearms) > 15
    assert min(fills) >= 0.65
    assert max(fills) <= 0.92
