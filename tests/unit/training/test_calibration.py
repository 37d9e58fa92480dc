"""Intervals, temperature and reliability against mapie and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from ra_training.calibration import conformal, reliability, temperature


def _skewed(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    predicted = draw.gamma(0.8, 40, n)
    return predicted, predicted + draw.normal(0, 1 + 0.1 * predicted) + draw.exponential(2, n)


def test_intervals_against_mapie_band_by_band() -> None:
    pytest.importorskip("mapie", reason="pip install -e .[dev]")
    from mapie.conformity_scores import AbsoluteConformityScore
    from mapie.regression import SplitConformalRegressor
    from sklearn.base import BaseEstimator, RegressorMixin

    class Identity(RegressorMixin, BaseEstimator):
        def fit(self, x: np.ndarray, y: np.ndarray) -> Identity:
            self.fitted_ = True
            return self

        def predict(self, x: np.ndarray) -> np.ndarray:
            return x[:, 0]

    predicted, truth = _skewed(1200, 1)
    own = conformal.fit(predicted, truth, bands=4)
    for g in range(4):
        rows = own.band(predicted) == g
        model = Identity().fit(predicted[:, None], truth)
        theirs = SplitConformalRegressor(
            model, confidence_level=0.9, conformity_score=AbsoluteConformityScore(sym=False),
            prefit=True,
        )  # fmt: skip
        theirs.conformalize(predicted[rows][:, None], truth[rows])
        _, limits = theirs.predict_interval(predicted[rows][:5, None])
        low, high = own.limits(predicted[rows][:5])
        assert limits[:, 0, 0] == pytest.approx(low, abs=2e-3)
        assert limits[:, 1, 0] == pytest.approx(high, abs=2e-3)


def test_coverage_on_other_cases() -> None:
    fitted = conformal.fit(*_skewed(6000, 1))
    found = conformal.coverage(fitted, *_skewed(6000, 2))
    assert 0.87 <= found.overall <= 0.93
    assert min(found.by_band) >= 0.85
    assert sum(found.counts) == 6000


def test_table_goes_there_and_back() -> None:
    fitted = conformal.fit(*_skewed(300, 3))
    assert conformal.Conformal.of(fitted.table()) == fitted


def test_ties_at_zero_leave_a_whole_table() -> None:
    predicted = np.concatenate([np.zeros(400), np.linspace(1, 90, 100)])
    fitted = conformal.fit(predicted, predicted + 1)
    assert fitted.upper[-1] == conformal.LAST
    assert len(fitted.upper) == len(fitted.low) == len(fitted.high)
    assert fitted.covers(predicted, predicted + 1).all()


def test_limits_stay_in_the_range_of_the_score() -> None:
    fitted = conformal.fit(*_skewed(300, 3))
    low, high = fitted.limits(np.array([0.0, 279.0]), floor=0, ceiling=280)
    assert low.min() >= 0
    assert high.max() <= 280


def _logits(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 1.5, (n, 5))
    shares = temperature.softmax(logits)
    truth = np.array([draw.choice(5, p=s) for s in shares])
    return 3 * logits, truth  # three times too sure


def test_temperature_finds_the_scale() -> None:
    logits, truth = _logits(4000, 4)
    assert temperature.fit_softmax(logits, truth) == pytest.approx(3, rel=0.08)


def test_temperature_against_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn", reason="pip install -e .[dev]")
    if tuple(int(p) for p in sklearn.__version__.split(".")[:2]) < (1, 8):
        pytest.skip("temperature scaling came with scikit-learn 1.8")
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    class Given(ClassifierMixin, BaseEstimator):
        def fit(self, x: np.ndarray, y: np.ndarray) -> Given:
            self.classes_ = np.arange(5)
            return self

        def decision_function(self, x: np.ndarray) -> np.ndarray:
            return x

        def predict(self, x: np.ndarray) -> np.ndarray:
            return x.argmax(1)

    logits, truth = _logits(1500, 5)
    model = FrozenEstimator(Given().fit(logits, truth))
    theirs = CalibratedClassifierCV(model, method="temperature").fit(logits, truth)
    own = temperature.softmax(logits / temperature.fit_softmax(logits, truth))
    assert own == pytest.approx(theirs.predict_proba(logits), abs=5e-3)


def _cumulative(cuts: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of P(class > j), 2.5 times too sure, and classes drawn by the true ones."""
    draw = np.random.default_rng(7)
    latent = draw.normal(0, 3, (n, 1))
    truth = (latent + draw.logistic(0, 1, (n, 1)) > cuts).sum(1)
    return 2.5 * (latent - cuts), truth


def test_cumulative_temperature_finds_the_scale() -> None:
    logits, truth = _cumulative(np.array([-2.0, 0.0, 2.0]), 4000)
    assert temperature.fit_cumulative(logits, truth) == pytest.approx(2.5, rel=0.08)


def test_cumulative_temperature_of_two_classes_against_statsmodels() -> None:
    api = pytest.importorskip("statsmodels.api", reason="pip install -e .[dev]")
    logits, truth = _cumulative(np.array([0.5]), 800)
    theirs = api.Logit(truth, logits).fit(disp=0).params[0]
    assert temperature.fit_cumulative(logits, truth) == pytest.approx(1 / theirs, rel=1e-4)


def test_cumulative_temperature_of_many_classes_against_scipy() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="pip install -e .[dev]")
    from scipy import optimize, stats

    logits, truth = _cumulative(np.array([-2.0, 0.0, 2.0]), 800)

    def loss(log_scale: np.ndarray) -> float:
        above = stats.logistic.cdf(logits, scale=np.exp(log_scale))
        shares = -np.diff(np.hstack([np.ones((800, 1)), above, np.zeros((800, 1))]))
        return float(metrics.log_loss(truth, shares))

    best = np.exp(optimize.minimize(loss, [0.0], method="Nelder-Mead", tol=1e-7).x[0])
    assert temperature.fit_cumulative(logits, truth) == pytest.approx(best, rel=1e-4)


def test_probabilities_are_shares_even_where_logits_cross() -> None:
    shares = temperature.probabilities(np.array([[2.0, 3.0, -1.0]]))
    assert shares.sum() == pytest.approx(1)
    assert shares.min() >= 0


def test_reliability_against_scikit_learn() -> None:
    calibration = pytest.importorskip("sklearn.calibration", reason="pip install -e .[dev]")
    draw = np.random.default_rng(7)
    stated = draw.uniform(0.001, 0.999, 3000)
    came = draw.random(3000) < stated**2
    own = reliability.reliability(stated, came)
    observed, mean = calibration.calibration_curve(came, stated, n_bins=10)
    assert own.observed == pytest.approx(tuple(observed))
    assert own.stated == pytest.approx(tuple(mean))


def test_calibration_error_against_mapie() -> None:
    pytest.importorskip("mapie", reason="pip install -e .[dev]")
    from mapie.metrics.calibration import expected_calibration_error

    draw = np.random.default_rng(8)
    stated = draw.uniform(0.001, 0.999, 3000)
    came = draw.random(3000) < stated**2
    theirs = expected_calibration_error(came.astype(int), stated, num_bins=10)
    assert reliability.reliability(stated, came).ece == pytest.approx(theirs, abs=5e-3)


def test_statements_that_come_true_lie_on_the_diagonal() -> None:
    logits, truth = _logits(6000, 9)
    sure = reliability.top_label(temperature.softmax(logits), truth)
    right = reliability.top_label(temperature.softmax(logits / 3), truth)
    assert right.ece < 0.03 < sure.ece
    assert reliability.thresholds(temperature.softmax(logits / 3), truth).ece < 0.03
