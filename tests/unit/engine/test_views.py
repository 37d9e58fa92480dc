"""The canonical frame of one hand."""

from __future__ import annotations

import numpy as np
import pytest

from ra_engine.testing import sample_landmarks
from ra_engine.views import (
    ANCHOR,
    KNUCKLE,
    SPAN,
    WRIST,
    apply,
    hand_view,
    invert,
    quarter_turn,
    side_by_side,
)


def test_knuckle_and_wrist_lie_where_the_frame_says() -> None:
    points = sample_landmarks(300, 900, 250)
    view = hand_view(points)
    unit = apply(invert(view.to_image), points)
    assert tuple(unit[KNUCKLE]) == pytest.approx(ANCHOR, abs=1e-4)
    assert tuple(unit[WRIST]) == pytest.approx((ANCHOR[0], ANCHOR[1] + SPAN), abs=1e-4)


def test_landmarks_of_a_view_are_read_only_and_a_copy_of_their_own() -> None:
    points = sample_landmarks(300, 900, 250)
    view = hand_view(points.astype(np.float64).astype(np.float32))
    with pytest.raises(ValueError, match="read-only"):
        view.landmarks[0, 0] = 1


def test_the_callers_landmarks_stay_writeable() -> None:
    points = sample_landmarks(300, 900, 250)
    view = hand_view(points)
    points[0, 0] = -1
    assert view.landmarks[0, 0] == 300


def test_a_hand_without_length_is_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        hand_view(np.zeros((21, 2), np.float32))


def test_a_singular_map_has_no_inverse() -> None:
    with pytest.raises(ValueError, match="singular"):
        invert((1, 2, 0, 2, 4, 0))


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("lean", [-40, 0, 40])
def test_the_turn_that_brings_the_fingers_up_is_found(turn: int, lean: int) -> None:
    """A hand that was turned clockwise by quarters, y down, and leans a little."""
    angle = np.deg2rad(90 * turn + lean)
    clockwise = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (sample_landmarks(0, 0, 250) @ clockwise.T).astype(np.float32)
    assert quarter_turn([hand_view(points)]) == turn
    assert quarter_turn([hand_view(points), hand_view(points + 700)]) == turn


def test_no_hand_needs_no_turn() -> None:
    assert quarter_turn([]) == 0


def test_hands_lie_beside_each_other_or_one_above_the_other() -> None:
    first = hand_view(sample_landmarks(300, 900, 250))
    for (x, y), beside in {(900, 800): True, (0, 900): True, (380, 300): False}.items():
        assert side_by_side([first, hand_view(sample_landmarks(x, y, 250))]) is beside
