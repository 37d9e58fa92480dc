"""Patient-level intervals and paired differences."""

from __future__ import annotations

import numpy as np
import pytest

from ra_training.metrics.agreement import mae, pcc, rmse
from ra_training.metrics.bootstrap import bootstrap, paired_difference


def _cases(n: int = 150, seed: int = 3) -> tuple[np.ndarray, np.ndarray, list[str]]:
    draw = np.random.default_rng(seed)
    truth = draw.gamma(0.8, 40, n)
    return truth, truth + draw.normal(0, 15, n), [f"p{i}" for i in range(n)]


def test_interval_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    truth, predicted, patients = _cases()
    own = bootstrap(mae, truth, predicted, patients, draws=4000)
    want = stats.bootstrap(
        (truth, predicted), lambda a, b: mae(a, b), paired=True, vectorized=False,
        method="percentile", n_resamples=4000, rng=np.random.default_rng(9),
    ).confidence_interval  # fmt: skip
    assert (own.low, own.high) == pytest.approx((want.low, want.high), abs=0.25)
    assert own.value == pytest.approx(mae(truth, predicted))


def test_hands_of_a_patient_stay_together() -> None:
    truth, predicted, patients = _cases()
    apart = bootstrap(mae, np.tile(truth, 2), np.tile(predicted, 2), [*patients, *(
        f"{p}'" for p in patients)])  # fmt: skip
    together = bootstrap(mae, np.tile(truth, 2), np.tile(predicted, 2), patients * 2)
    alone = bootstrap(mae, truth, predicted, patients)
    assert together.patients == 150
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert apart.high - apart.low < 0.85 * (together.high - together.low)


def test_pairing_sees_what_separate_intervals_hide() -> None:
    truth, first, patients = _cases()
    second = truth + 0.95 * (first - truth)
    found = paired_difference(rmse, truth, first, second, patients)
    one = bootstrap(rmse, truth, first, patients)
    other = bootstrap(rmse, truth, second, patients)
    assert other.high > one.low  # overlapping
    assert found.excludes_zero
    assert found.value == pytest.approx(other.value - one.value)
    assert found.high < 0


def test_a_model_does_not_differ_from_itself() -> None:
    truth, predicted, patients = _cases()
    found = paired_difference(pcc, truth, predicted, predicted, patients)
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert not found.excludes_zero


def test_seeds_are_averaged() -> None:
    truth, predicted, patients = _cases()
    seeds = np.stack([predicted, truth + 3])
    found = bootstrap(mae, truth, seeds, patients)
    assert found.value == pytest.approx((mae(truth, predicted) + 3) / 2)


def test_same_seed_same_interval() -> None:
    truth, predicted, patients = _cases()
    assert bootstrap(pcc, truth, predicted, patients) == bootstrap(pcc, truth, predicted, patients)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(120):
        draw = np.random.default_rng(1000 + seed)
        truth = np.zeros(80)
        predicted = draw.normal(2, 5, 80)
        found = bootstrap(
            lambda a, b: float((b - a).mean()), truth, predicted, [str(i) for i in range(80)],
            draws=300, level=0.9, seed=seed,
        )  # fmt: skip
        hits += found.low <= 2 <= found.high
    assert 0.8 <= hits / 120 <= 0.97


def test_patients_must_be_told() -> None:
    truth, predicted, patients = _cases()
    with pytest.raises(ValueError, match="patients"):
        bootstrap(mae, truth, predicted, patients[:-1])
