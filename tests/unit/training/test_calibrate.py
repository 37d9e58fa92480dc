"""Intervals, stacking and bands of two hands."""

from __future__ import annotations

import numpy as np
import pytest

from ra_training import calibrate
from ra_training.scorer.bands import BANDS, EDGES_BOTH, EDGES_HAND, band


def _skewed(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    predicted = draw.gamma(0.8, 40, n)
    return predicted, predicted + draw.normal(0, 1 + 0.1 * predicted) + draw.exponential(2, n)


def test_intervals_cover_exchangeable_cases_in_every_band() -> None:
    table = calibrate.intervals(*_skewed(6000, 1))
    predicted, truth = _skewed(6000, 2)
    inside = calibrate.covered(table, predicted, truth)
    group = np.searchsorted(np.asarray(table["upper"]), predicted)
    assert inside.mean() == pytest.approx(0.9, abs=0.015)
    for g in range(6):
        assert inside[group == g].mean() == pytest.approx(0.9, abs=0.035)


def test_correction_widens_small_samples() -> None:
    truth = np.arange(1.0, 11.0)
    table = calibrate.intervals(np.zeros(10), truth, bands=1)
    assert table["high"] == [10.0]
    assert table["low"] == [0.0]


def test_half_widths_are_never_negative() -> None:
    predicted = np.linspace(0, 100, 600)
    table = calibrate.intervals(predicted, predicted + 5)
    assert min(table["low"]) >= 0  # type: ignore[call-overload]
    assert min(table["high"]) >= 0  # type: ignore[call-overload]


def test_stack_gives_no_negative_weight_and_finds_the_better_member() -> None:
    draw = np.random.default_rng(3)
    truth = draw.gamma(0.8, 40, 500)
    good, bad = truth + draw.normal(0, 1, 500), truth + draw.normal(0, 20, 500)
    weights = calibrate.stack(np.stack([good, bad, -truth], 1), truth)
    assert min(weights) >= 0
    assert weights[0] > 0.9
    assert weights[2] == 0


def test_bands_of_two_rise_with_the_total() -> None:
    draw = np.random.default_rng(4)
    truth = np.rint(draw.gamma(0.8, 40, 800))
    total = np.maximum(0, truth + draw.normal(0, 3, 800))
    logits = np.log1p(total)[:, None] - np.log1p(np.asarray(EDGES_BOTH))[None]
    found = calibrate.bands_of_two(total, logits, truth)
    a, b = np.asarray(found["a"]), np.asarray(found["b"])
    assert len(a) == BANDS - 1
    assert np.all(a + b > 0)


@pytest.mark.parametrize("edges", [EDGES_HAND, EDGES_BOTH])
def test_zero_is_a_band_of_its_own(edges: tuple[float, ...]) -> None:
    totals = np.array([0.0, 1.0, edges[1], edges[1] + 1, 280.0], np.float32)
    assert band(totals, edges).tolist() == [1, 2, 2, 3, BANDS]
