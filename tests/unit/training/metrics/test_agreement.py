"""Every figure of the score against an independent library."""

from __future__ import annotations

import numpy as np
import pytest

from ra_training.metrics import agreement

stats = pytest.importorskip("scipy.stats")


def _cases(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    truth = np.rint(draw.gamma(0.8, 40, n))
    return truth, 0.8 * truth + 6 + draw.normal(0, 12, n)


def test_correlations_against_scipy() -> None:
    truth, predicted = _cases()
    assert agreement.pcc(truth, predicted) == pytest.approx(
        stats.pearsonr(truth, predicted).statistic
    )
    assert agreement.spearman(truth, np.rint(predicted)) == pytest.approx(
        stats.spearmanr(truth, np.rint(predicted)).statistic
    )


def test_correlation_of_a_constant_is_no_number() -> None:
    truth, _ = _cases()
    assert np.isnan(agreement.pcc(truth, np.full_like(truth, 3.0)))


def test_errors_against_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="pip install -e .[dev]")
    truth, predicted = _cases()
    assert agreement.rmse(truth, predicted) == pytest.approx(
        metrics.root_mean_squared_error(truth, predicted)
    )
    assert agreement.mae(truth, predicted) == pytest.approx(
        metrics.mean_absolute_error(truth, predicted)
    )


def test_intraclass_correlation_against_pingouin() -> None:
    pingouin = pytest.importorskip("pingouin", reason="pip install -e .[dev]")
    pandas = pytest.importorskip("pandas")
    truth, predicted = _cases(60)
    long = pandas.DataFrame(
        {
            "case": np.tile(np.arange(60), 2),
            "rater": np.repeat(["truth", "model"], 60),
            "score": np.concatenate([truth, predicted]),
        }
    )
    table = pingouin.intraclass_corr(long, targets="case", raters="rater", ratings="score")
    want = table.loc[table["Type"].isin(["ICC2", "ICC(A,1)"]), "ICC"].iloc[0]
    assert agreement.icc_a1(truth, predicted) == pytest.approx(want, abs=2e-3)


def test_an_offset_lowers_agreement_and_not_correlation() -> None:
    truth, predicted = _cases()
    assert agreement.pcc(truth, predicted + 40) == pytest.approx(agreement.pcc(truth, predicted))
    assert agreement.icc_a1(truth, predicted + 40) < agreement.icc_a1(truth, predicted) - 0.1
    assert agreement.bias(truth, predicted + 40) == pytest.approx(
        agreement.bias(truth, predicted) + 40
    )


def test_limits_of_agreement_hold_95_percent_of_normal_differences() -> None:
    draw = np.random.default_rng(5)
    truth = draw.normal(50, 20, 20000)
    low, high = agreement.limits_of_agreement(truth, truth + draw.normal(3, 2, 20000))
    assert (low, high) == pytest.approx((3 - 1.96 * 2, 3 + 1.96 * 2), abs=0.06)


def test_bias_and_limits_of_agreement_against_scipy() -> None:
    truth, predicted = _cases(80)
    gap = predicted - truth
    paired = stats.ttest_rel(predicted, truth).confidence_interval(0.95)
    assert agreement.bias(truth, predicted) == pytest.approx((paired.low + paired.high) / 2)
    want = stats.norm.interval(0.95, gap.mean(), stats.tstd(gap))
    assert agreement.limits_of_agreement(truth, predicted) == pytest.approx(want, rel=1e-4)
    found = agreement.agreement(truth, predicted)
    assert (found["loa_low"], found["loa_high"]) == pytest.approx(want, rel=1e-4)


def test_all_figures_have_a_name() -> None:
    found = agreement.agreement(*_cases())
    assert set(found) == {
        "pcc", "spearman", "rmse", "mae", "bias", "icc_a1", "loa_low", "loa_high",
    }  # fmt: skip
