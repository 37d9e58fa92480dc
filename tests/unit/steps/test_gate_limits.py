"""The gate by pixels, limit by limit: what the locator says is made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ra_daemon.domain import Reason
from ra_daemon.steps import gate
from ra_engine.testing import sample_landmarks
from ra_engine.types import Located, Radiograph
from ra_engine.views import hand_view

RADIOGRAPH = Radiograph(pixels=np.zeros((500, 900), np.uint16))
SURE = {"hand": 0.97, "wrist_only": 0.01, "partial_hand": 0.01, "cast": 0.01}


def located(hands: int = 1, *, span: float = 100.0) -> Located:
    points = (sample_landmarks(100.0 + 200 * k, 400.0, span) for k in range(hands))
    views = tuple(hand_view(p, index=k) for k, p in enumerate(points))
    return Located(hands=views, probabilities=SURE)


def reason(told: Located) -> Reason | None:
    refused = gate.judge_pixels(RADIOGRAPH, told)
    return None if refused is None else refused.reason


@pytest.mark.parametrize(("hands", "wanted"), [(1, None), (2, None), (3, Reason.TOO_MANY_HANDS)])
def test_two_hands_are_enough(hands: int, wanted: Reason | None) -> None:
    assert reason(located(hands)) is wanted


def test_too_many_hands_are_counted() -> None:
    refused = gate.judge_pixels(RADIOGRAPH, located(4))
    assert refused is not None
    assert refused.detail == "4 hands found."


@pytest.mark.parametrize(
    ("distance", "wanted"),
    [
        (0.0, None),
        (1.0, None),
        (1.01, Reason.OUT_OF_DISTRIBUTION),
        (float("inf"), Reason.OUT_OF_DISTRIBUTION),
        (float("nan"), Reason.OUT_OF_DISTRIBUTION),
    ],
)
def test_what_lies_far_from_all_that_is_known_is_refused(
    distance: float, wanted: Reason | None
) -> None:
    assert reason(replace(located(), distance=distance)) is wanted


@pytest.mark.parametrize(("span", "wanted"), [(41.0, None), (39.0, Reason.TOO_SMALL)])
def test_a_hand_of_too_few_pixels_is_refused(span: float, wanted: Reason | None) -> None:
    one = located(span=span)
    wrist, knuckle = one.hands[0].landmarks[[0, 10]]
    assert np.hypot(*(knuckle - wrist)) == pytest.approx(span, rel=0.05)
    assert reason(one) is wanted
    beside = located(2)
    mixed = replace(beside, hands=(beside.hands[0], replace(one.hands[0], index=1)))
    assert reason(mixed) is wanted, "the smaller of two hands counts"


@pytest.mark.parametrize(("seen", "wanted"), [(0.6, None), (0.61, Reason.OPEN_PHYSES)])
def test_open_growth_plates_are_refused_above_a_limit(seen: float, wanted: Reason | None) -> None:
    assert reason(replace(located(), open_physes=seen)) is wanted


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("wrist_only", Reason.WRIST_ONLY),
        ("partial_hand", Reason.CROPPED),
        ("cast", Reason.CAST),
        ("not_hand", Reason.NOT_A_HAND),
    ],
)
def test_what_is_no_hand_is_named(kind: str, wanted: Reason) -> None:
    told = {"hand": 0.2, kind: 0.8}
    assert reason(replace(located(), probabilities=told)) is wanted
    assert reason(Located(hands=(), probabilities=told)) is wanted


def test_a_hand_that_leaves_the_image_is_cropped() -> None:
    refused = gate.judge_pixels(
        RADIOGRAPH,
        Located(
            hands=(hand_view(sample_landmarks(100.0, 100.0, 100.0)),),
            probabilities=SURE,
        ),
    )
    assert refused is not None
    assert refused.reason is Reason.CROPPED
    assert "of 21 landmarks" in refused.detail


def test_children_are_told_before_what_is_strange() -> None:
    both = replace(located(), open_physes=0.9, distance=5.0)
    assert reason(both) is Reason.OPEN_PHYSES
