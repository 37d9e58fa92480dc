"""Grades: sites, sums, the prior's moments, visits that never heal."""

from __future__ import annotations

import numpy as np
import pytest

from ra_training.phantom import (
    EROSION_SITES,
    NARROWING_SITES,
    SITES,
    HandGrades,
    max_grade,
    progression,
    sample_grades,
)
from ra_training.phantom.grades import Prior


def test_site_tables() -> None:
    assert (len(EROSION_SITES), len(NARROWING_SITES), len(set(SITES))) == (16, 15, 31)
    assert sum(max_grade(s) for s in EROSION_SITES) == 80
    assert sum(max_grade(s) for s in NARROWING_SITES) == 60


def test_total_is_the_sum_of_grades() -> None:
    hand = HandGrades(grades={"BE_R": 5, "JSN_SR": 4, "BE_MCP-I": 1})
    assert (hand.erosion_total, hand.narrowing_total, hand.total) == (6, 4, 10)
    assert hand.grade("BE_U") == 0


@pytest.mark.parametrize("prior", ["clinic", "early", "flat"])
def test_grades_stay_in_their_range(prior: str) -> None:
    for seed in range(40):
        grades = sample_grades(seed, prior=prior)  # type: ignore[arg-type]
        for side in ("right", "left"):
            assert all(0 <= grades.hand(side).grade(s) <= max_grade(s) for s in SITES)


@pytest.mark.parametrize(
    ("prior", "median", "spread"),
    [("clinic", (8, 25), (38, 58)), ("early", (4, 16), (32, 50)), ("flat", (50, 95), (75, 105))],
)
def test_moments_of_a_prior(prior: Prior, median: tuple[int, int], spread: tuple[int, int]) -> None:
    rows = []
    for seed in range(500):
        g = sample_grades(seed, prior=prior)
        rows.append(
            (
                g.right.total, g.left.total,
                g.right.erosion_total + g.left.erosion_total,
                g.right.narrowing_total + g.left.narrowing_total,
            )
        )  # fmt: skip
    right, left, erosion, narrowing = np.array(rows).T
    total = right + left
    assert median[0] <= np.median(total) <= median[1]
    assert spread[0] <= total.std() <= spread[1]
    assert 0.80 <= np.corrcoef(right, left)[0, 1] <= 0.90
    assert np.corrcoef(erosion, narrowing)[0, 1] < 0.90


def test_early_prior_is_milder() -> None:
    clinic = np.mean([sample_grades(s).total for s in range(150)])
    early = np.mean([sample_grades(s, prior="early").total for s in range(150)])
    assert early < clinic


def test_no_site_heals_between_visits() -> None:
    for seed in range(60):
        first, later = (
            sample_grades(seed, visit_shift=progression(seed, visit)) for visit in (0, 3)
        )
        for side in ("right", "left"):
            for site in SITES:
                assert later.hand(side).grade(site) >= first.hand(side).grade(site)


def test_some_progress_fast_and_most_do_not() -> None:
    speeds = np.array([progression(seed, 1) for seed in range(400)])
    assert 0.13 <= (speeds >= 0.25).mean() <= 0.27
    assert (speeds == 0).mean() > 0.3
