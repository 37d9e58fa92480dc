"""Cohorts: counts, visits, children."""

from __future__ import annotations

import pytest

from ra_training.phantom import generate, subject_seed


def test_subjects_times_visits() -> None:
    samples = list(generate(3, 5, visits=2, height=160))
    assert [(s.patient_id[-4:], s.visit) for s in samples] == [
        ("0001", 1), ("0001", 2), ("0002", 1), ("0002", 2), ("0003", 1), ("0003", 2),
    ]  # fmt: skip
    for first, second in zip(samples[::2], samples[1::2], strict=True):
        assert first.subject_seed == second.subject_seed
        assert (second.study_date - first.study_date).days == 182
        assert second.grades.total >= first.grades.total


def test_a_longer_cohort_begins_with_the_shorter() -> None:
    short, longer = list(generate(2, 8, height=160)), list(generate(4, 8, height=160))
    assert [s.exposure.pixels.tobytes() for s in short] == [
        s.exposure.pixels.tobytes() for s in longer[:2]
    ]


def test_mixed_hands_all_occur() -> None:
    assert {s.hands for s in generate(16, 1, hands="mixed", height=160)} == {
        "both",
        "left",
        "right",
    }


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 25, 76), (1.0, 3, 16)])
def test_ages(share: float, low: int, high: int) -> None:
    for sample in generate(5, 3, height=160, child_fraction=share):
        assert low <= sample.age < high
        assert (sample.exposure.age is not None) == (share == 1.0)


def test_cohorts_share_no_subject() -> None:
    seeds = {subject_seed(c, i) for c in range(20) for i in range(50)}
    assert len(seeds) == 1000
