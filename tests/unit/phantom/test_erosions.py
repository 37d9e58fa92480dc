"""Erosions are as large and as deep as films show them (phantom.md, section 12)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from ra_training.phantom.canvas import Window
from ra_training.phantom.damage import marginal
from ra_training.phantom.erosion import bite

PX, SEEDS = 0.1, range(60)
WIDTHS = {"BE_MCP-M": 15.0, "BE_PIP-I": 11.2, "BE_R": 17.0}


def left(seed: int, site: str, grade: int) -> NDArray[np.float32]:
    """What an erosion leaves of a bone's head, whose end is at the top."""
    width = WIDTHS[site]
    notches = marginal(seed, "right", site, grade, end=(0.0, 0.0), inward=(0.0, 1.0), width=width)
    n = round(2 * width / PX)
    steps = ((np.arange(n) + 0.5) * PX).astype(np.float32)
    window = Window(slice(0, n), slice(0, n), (steps - width)[None, :], (steps - 4)[:, None])
    value = np.ones((n, n), np.float32)
    bite(value, window, notches, PX)
    return value[:, round(width / 2 / PX) : n - round(width / 2 / PX)]  # the bone alone


def extent_mm(lost: NDArray[np.float32]) -> float:
    """Largest of the widths along four directions of what is lost by half of the most."""
    ys, xs = np.nonzero(lost > 0.5 * lost.max())
    turned = (xs, ys, (xs + ys) / np.sqrt(2), (xs - ys) / np.sqrt(2))
    return float(max(np.ptp(t) for t in turned) + 1) * PX


@pytest.mark.parametrize("site", WIDTHS)
def test_the_first_grade_measures_one_to_two_millimetres(site: str) -> None:
    sizes = [extent_mm(1 - left(s, site, 1)) for s in SEEDS]
    assert min(sizes) >= 1.0
    assert max(sizes) <= 2.3
    assert 1.2 <= np.median(sizes) <= 2.0


@pytest.mark.parametrize("grade", [1, 2, 3, 4])
@pytest.mark.parametrize("site", WIDTHS)
def test_erosions_take_a_third_to_three_fifths_of_the_bone(site: str, grade: int) -> None:
    for s in SEEDS:
        assert 0.3 <= (1 - left(s, site, grade)).max() <= 0.601


@pytest.mark.parametrize("site", WIDTHS)
def test_the_third_grade_passes_the_midline_and_the_second_does_not(site: str) -> None:
    passed = {2: 0, 3: 0}
    for grade in passed:
        for s in SEEDS:
            lost = 1 - left(s, site, grade) > 0.15
            half = lost.shape[1] // 2
            passed[grade] += bool(lost[:, : half - 5].any() and lost[:, half + 5 :].any())
    assert passed[3] == len(SEEDS)
    assert passed[2] <= 0.05 * len(SEEDS)


@pytest.mark.parametrize("site", WIDTHS)
def test_the_fifth_grade_leaves_a_collapsed_end(site: str) -> None:
    for s in SEEDS:
        lost = 1 - left(s, site, 5) > 0.5
        assert lost.any(0).mean() > 0.8, "across the whole end"


@pytest.mark.parametrize("site", WIDTHS)
def test_each_grade_takes_more_than_the_last(site: str) -> None:
    area = [np.median([(1 - left(s, site, g)).sum() * PX**2 for s in SEEDS]) for g in range(6)]
    assert all(b > 1.2 * a for a, b in pairwise(area[1:]))
