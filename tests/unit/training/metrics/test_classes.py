"""Every figure of the classes against an independent library."""

from __future__ import annotations

import numpy as np
import pytest

from ra_training.metrics import classes


def _cases(n: int = 300, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(2)
    truth = draw.integers(0, k, n)
    return truth, np.clip(truth + np.rint(draw.normal(0, 1.2, n)).astype(int), 0, k - 1)


def test_against_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="pip install -e .[dev]")
    truth, predicted = _cases()
    assert classes.accuracy(truth, predicted) == metrics.accuracy_score(truth, predicted)
    assert classes.quadratic_kappa(truth, predicted) == pytest.approx(
        metrics.cohen_kappa_score(truth, predicted, weights="quadratic")
    )
    assert classes.mean_error(truth, predicted) == pytest.approx(
        metrics.mean_absolute_error(truth, predicted)
    )
    assert classes.root_error(truth, predicted) == pytest.approx(
        metrics.root_mean_squared_error(truth, predicted)
    )
    assert np.array_equal(
        classes.confusion(truth, predicted, 10), metrics.confusion_matrix(truth, predicted)
    )


def test_within_one_and_balanced_error_against_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="pip install -e .[dev]")
    truth, predicted = _cases()
    table = metrics.confusion_matrix(truth, predicted, normalize="all")
    near = sum(np.trace(table, offset=k) for k in (-1, 0, 1))
    assert classes.within_one(truth, predicted) == pytest.approx(near)
    rare = (truth > 2) | (np.arange(len(truth)) % 9 == 0)  # few cases of the first classes
    each = [
        metrics.mean_absolute_error(truth[rare & (truth == k)], predicted[rare & (truth == k)])
        for k in range(10)
    ]
    assert classes.balanced_error(truth[rare], predicted[rare]) == pytest.approx(np.mean(each))
    assert classes.mean_error(truth[rare], predicted[rare]) != pytest.approx(
        np.mean(each), rel=0.01
    )


def test_correlation_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    truth, predicted = _cases()
    assert classes.correlation(truth, predicted) == pytest.approx(
        stats.pearsonr(truth, predicted).statistic
    )


def test_balanced_error_weighs_every_class_alike() -> None:
    truth = np.array([0] * 98 + [1, 1])
    assert classes.balanced_error(truth, np.zeros(100, int)) == 0.5
    assert classes.mean_error(truth, np.zeros(100, int)) == pytest.approx(0.02)


def test_within_one() -> None:
    assert classes.within_one(np.array([0, 3, 5, 9]), np.array([1, 3, 2, 8])) == 0.75


def test_edges_are_upper_limits() -> None:
    found = classes.classes_of(np.array([-1.0, 0.0, 0.5, 6.0, 6.1, 280.0]), (0.0, 6.0))
    assert found.tolist() == [0, 0, 1, 1, 2, 2]
