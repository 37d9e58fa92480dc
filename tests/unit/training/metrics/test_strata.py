"""Figures by group."""

from __future__ import annotations

import numpy as np
import pytest

from ra_training.data.sample import Sample
from ra_training.metrics import strata
from ra_training.metrics.agreement import agreement


def _samples() -> list[Sample]:
    return [
        Sample(
            key=str(i), patient_id=str(i), visit="1", source=("table", "phantom")[i % 2],
            image=None, hands="both", score=float(i),
            readers={"A": float(i), "B": float(i) + 2} if i < 20 else {"A": float(i)},
            joints={"L_BE_R": float(i % 3), "R_BE_U": 0.0},
        )
        for i in range(40)
    ]  # fmt: skip


def test_every_case_is_in_one_score_band() -> None:
    truth = np.array([0.0, 1.0, 10.0, 11.0, 50.0, 51.0, 280.0])
    rows = strata.by_score_band(truth, truth + 2)
    assert list(rows) == ["0", "1-10", "11-50", "over 50"]
    assert [r["n"] for r in rows.values()] == [1, 2, 2, 2]
    assert all(r["mae"] == r["bias"] == 2 for r in rows.values())


def test_a_group_has_the_figure_of_its_cases() -> None:
    samples = _samples()
    truth = np.array([s.score for s in samples], np.float64)
    predicted = truth + np.where(np.arange(40) % 2, 5.0, 1.0)
    found = strata.by_group([s.source for s in samples], truth, predicted)
    assert found["table"]["bias"] == 1
    assert found["phantom"]["bias"] == 5
    assert found["table"] == {"n": 20, **agreement(truth[::2], predicted[::2])}


def test_readers_are_judged_by_their_own_readings() -> None:
    samples = _samples()
    predicted = np.arange(40.0)
    found = strata.by_reader(samples, predicted)
    assert (found["A"]["n"], found["B"]["n"]) == (40, 20)
    assert found["A"]["bias"] == 0
    assert found["B"]["bias"] == -2


def test_sites() -> None:
    samples = _samples()
    grades = np.array([s.joints["L_BE_R"] for s in samples])
    found = strata.by_site(samples, {"L_BE_R": grades + 1, "L_BE_NONE": grades})
    assert set(found) == {"L_BE_R"}
    assert found["L_BE_R"]["bias"] == 1


def test_missed_damage_shows_at_its_site() -> None:
    samples = _samples()
    truth = np.array([s.score for s in samples], np.float64)
    missed = truth - 4 * np.array([s.joints["L_BE_R"] > 0 for s in samples])
    found = strata.residual_by_site(samples, truth, missed)
    assert set(found) == {"L_BE_R"}  # the other site is never damaged
    assert found["L_BE_R"]["bias_damaged"] == pytest.approx(-4)
    assert found["L_BE_R"]["bias_sound"] == 0
