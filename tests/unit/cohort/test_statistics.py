"""Statistics of change against NumPy and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ra_daemon.cohort import statistics

CHANGES = st.lists(st.integers(-1000, 1000).map(lambda n: n / 10), min_size=2, max_size=50)


@given(CHANGES)
def test_the_summary_agrees_with_scipy(changes: list[float]) -> None:
    found = statistics.summarise(changes)
    assert found.n == len(changes)
    assert found.mean == pytest.approx(float(stats.tmean(changes)), abs=1e-9)
    assert found.sd == pytest.approx(float(np.std(changes, ddof=1)), abs=1e-9)
    assert found.median == pytest.approx(float(np.median(changes)), abs=1e-9)
    assert found.iqr == pytest.approx(float(stats.iqr(changes)), abs=1e-9)


def test_small_groups() -> None:
    assert statistics.summarise([]).mean is None
    assert statistics.summarise([]).iqr is None
    one = statistics.summarise([3.0])
    assert (one.n, one.mean, one.sd, one.median) == (1, 3.0, None, 3.0)


@given(CHANGES, st.integers(1, 5))
def test_the_sdc_is_the_formula(changes: list[float], readers: int) -> None:
    second = [c * 0.9 + 1 for c in changes]
    sd = float(np.std(np.subtract(changes, second), ddof=1))
    found = statistics.smallest_detectable_change(changes, second, readers)
    assert found == pytest.approx(1.96 * sd / (math.sqrt(2) * math.sqrt(readers)), abs=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "readers"), [([1.0], [1.0], 1), ([1.0, 2], [1.0], 1), ([1.0, 2], [1, 2], 0)]
)
def test_the_sdc_needs_pairs(first: list[float], second: list[float], readers: int) -> None:
    with pytest.raises(ValueError, match="at least two"):
        statistics.smallest_detectable_change(first, second, readers)


def test_progressor_rates_by_hand() -> None:
    rates = statistics.progressor_rates([-1, 0, 0.5, 3, 10], sdc=4.0, years=[1, 1, 1, 0.5, 2])
    assert rates.no_progress_0 == pytest.approx(2 / 5)
    assert rates.no_progress_half == pytest.approx(3 / 5)
    assert rates.no_progress_sdc == pytest.approx(4 / 5)
    assert rates.rapid == pytest.approx(2 / 5)  # 3 in half a year, 10 in two years
    assert statistics.progressor_rates([]).n == 0
    assert statistics.progressor_rates([1.0]).rapid is None
    assert statistics.progressor_rates([1.0]).no_progress_sdc is None


@pytest.mark.parametrize("years", [[1.0], [1.0, 0.0]])
def test_rapid_progress_needs_times(years: list[float]) -> None:
    with pytest.raises(ValueError, match="positive time"):
        statistics.progressor_rates([1.0, 2.0], years=years)


@given(CHANGES)
def test_cumulative_probability_is_a_rising_curve(changes: list[float]) -> None:
    points = statistics.cumulative_probability(changes)
    shares, values = zip(*points, strict=True)
    assert list(values) == sorted(changes)
    assert shares[0] == pytest.approx(0.5 / len(changes))
    assert shares[-1] == pytest.approx(1 - 0.5 / len(changes))


@given(st.floats(-50, 50), st.floats(0, 30), st.floats(-50, 50), st.floats(0, 30))
def test_symmetric_half_widths_add_in_quadrature(
    value: float, half: float, base: float, base_half: float
) -> None:
    low, high = statistics.change_limits(
        value, (value - half, value + half), base, (base - base_half, base + base_half)
    )
    width = math.sqrt(half**2 + base_half**2)
    assert low == pytest.approx(value - base - width, abs=1e-6)
    assert high == pytest.approx(value - base + width, abs=1e-6)


def test_nothing_but_finite_numbers() -> None:
    with pytest.raises(ValueError, match="Finite"):
        statistics.summarise([1.0, math.nan])
