"""Invariants of grades and streams for any seed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ra_training.phantom import SITES, HandGrades, max_grade, sample_grades
from ra_training.phantom.streams import stream

SEEDS = st.integers(0, 2**40)
SHIFTS = st.floats(0, 3, allow_nan=False)
HANDS = st.fixed_dictionaries({s: st.integers(0, max_grade(s)) for s in SITES})


@given(grades=HANDS)
def test_total_is_the_sum(grades: dict[str, int]) -> None:
    hand = HandGrades(grades=grades)
    assert hand.total == sum(grades.values())
    assert 0 <= hand.total <= 140


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, low=SHIFTS, more=SHIFTS)
def test_more_severity_never_lowers_a_grade(seed: int, low: float, more: float) -> None:
    first = sample_grades(seed, visit_shift=low)
    later = sample_grades(seed, visit_shift=low + more)
    for side in ("right", "left"):
        assert all(later.hand(side).grade(s) >= first.hand(side).grade(s) for s in SITES)


@settings(max_examples=50)
@given(seed=SEEDS, extra=st.integers(0, 50))
def test_draws_of_one_purpose_leave_the_others(seed: int, extra: int) -> None:
    alone = stream(seed, "b").random(3)
    stream(seed, "a").random(extra)
    assert (stream(seed, "b").random(3) == alone).all()


@given(seed=SEEDS)
def test_purposes_differ(seed: int) -> None:
    names = ("pose", "noise", "anatomy", "texture")
    draws = {float(stream(seed, name).random()) for name in names}
    assert len(draws) == len(names)
