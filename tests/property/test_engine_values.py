"""Invariants of intervals, bands and views."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ra_engine.bands import above_both, bands_of, logits_of
from ra_engine.intervals import interval
from ra_engine.manifest import IntervalTable, Severity
from ra_engine.prepare import Preprocessing, prepare_image, tone_range
from ra_engine.testing import sample_landmarks
from ra_engine.types import Radiograph
from ra_engine.views import apply, hand_view, invert

NUMBERS = st.floats(-50, 400, allow_nan=False)


@st.composite
def tables(draw: st.DrawFn) -> IntervalTable:
    bands = draw(st.integers(1, 6))
    upper = sorted(draw(st.lists(st.floats(0, 300), min_size=bands, max_size=bands)))
    widths = st.lists(st.floats(-5, 100), min_size=bands, max_size=bands)
    return IntervalTable(
        level=0.9, upper=(*upper[:-1], 1e9), low=tuple(draw(widths)), high=tuple(draw(widths)), n=9
    )


@given(tables(), st.floats(0, 280))
def test_an_interval_holds_its_value_and_stays_on_the_scale(
    table: IntervalTable, value: float
) -> None:
    found = interval(table, value, 280)
    assert 0 <= found.low <= value <= found.high <= 280
    assert found.level == 0.9


@given(hnp.arrays(np.float64, st.integers(1, 8), elements=st.floats(0, 1)))
def test_bands_are_probabilities(above: NDArray[np.float64]) -> None:
    bands = bands_of(above)
    assert len(bands) == len(above) + 1
    assert all(0 <= p <= 1 for p in bands)
    assert abs(sum(bands) - 1) < 1e-9


@given(hnp.arrays(np.float64, st.integers(1, 8), elements=st.floats(-25, 25)))
def test_logits_come_back_from_the_bands_that_they_made(logits: NDArray[np.float64]) -> None:
    falling = np.minimum.accumulate(logits)
    found = logits_of(bands_of(1 / (1 + np.exp(-falling))))
    assert found == pytest.approx(falling, abs=1e-3)


@given(st.floats(0, 280), hnp.arrays(np.float64, 2, elements=st.floats(-500, 500)))
def test_probabilities_of_two_hands_are_finite(total: float, logits: NDArray[np.float64]) -> None:
    table = Severity(
        edges_hand=(0, 8), edges_both=(0, 16), a=(1, 1), b=(0.5, 0.5), c=(0, -3), reference="r"
    )
    assert np.isfinite(bands_of(above_both(total, logits, table))).all()


@given(
    st.floats(-4000, 4000), st.floats(-4000, 4000), st.floats(20, 3000), st.floats(0, 6.2832),
    st.booleans(),
)  # fmt: skip
def test_the_frame_does_not_depend_on_place_size_angle_or_mirroring(
    x: float, y: float, span: float, angle: float, mirrored: bool
) -> None:
    base = sample_landmarks(0, 0, 100).astype(np.float64)
    moved = base / 100 * span
    if mirrored:
        moved[:, 0] *= -1
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (moved @ turn.T + (x, y)).astype(np.float32)
    view, plain = hand_view(points), hand_view(base.astype(np.float32))
    assert view.mirrored is mirrored
    unit = apply(invert(view.to_image), points)
    want = apply(invert(plain.to_image), base.astype(np.float32))
    assert np.abs(unit - want).max() < 0.02


@given(hnp.arrays(np.uint16, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.booleans())
def test_any_pixels_give_finite_tones_in_range(pixels: NDArray[np.uint16], inverted: bool) -> None:
    spec = Preprocessing(kind="letterbox", rows=16, columns=16, mean=0, std=1)
    tensor, _ = prepare_image(Radiograph(pixels=pixels, inverted=inverted), spec)
    assert tensor.shape == (1, 16, 16)
    assert np.isfinite(tensor).all()
    assert tensor.min() >= 0
    assert tensor.max() <= 1


@given(
    hnp.arrays(np.uint16, st.integers(1, 300), elements=st.integers(0, 4095)),
    st.floats(0, 49), st.floats(51, 100),
)  # fmt: skip
def test_percentiles_mirror_with_the_image(
    values: NDArray[np.uint16], low: float, high: float
) -> None:
    assume(all(abs(p / 100 * len(values) % 1 - 0.5) < 0.499 for p in (low, high)))
    pixels = values[None]
    plain = tone_range(Radiograph(pixels=pixels), (low, high))
    turned = tone_range(Radiograph(pixels=4095 - pixels, inverted=True), (low, high))
    if plain[1] - plain[0] > 1:  # the guard against flat images moves the upper end only
        assert (4095 - turned[1], 4095 - turned[0]) == plain
