"""How far predicted severity classes agree with true ones; classes count from 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ra_training.metrics import agreement
from ra_training.metrics.agreement import Array

Classes = NDArray[np.int64]
ClassMetric = Callable[[Classes, Classes], float]


def classes_of(scores: Array, edges: Sequence[float]) -> Classes:
    """0-based class of every score; ``edges`` are the classes' upper limits, inclusive."""
    return np.searchsorted(np.asarray(edges), scores, side="left").astype(np.int64)


def accuracy(truth: Classes, predicted: Classes) -> float:
    """Share of exact hits; with ten ordered classes it says little alone."""
    return float((truth == predicted).mean())


def within_one(truth: Classes, predicted: Classes) -> float:
    """Share of hits of the class or a neighbour."""
    return float((np.abs(truth - predicted) <= 1).mean())


def quadratic_kappa(truth: Classes, predicted: Classes) -> float:
    """Kappa with quadratic weights (Cohen 1968), over the classes 0 to the highest seen."""
    count = int(max(truth.max(), predicted.max())) + 1
    table = confusion(truth, predicted, count).astype(np.float64)
    i, j = np.mgrid[:count, :count]
    weight = (i - j) ** 2
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    chance = float((weight * expected).sum())
    return 1 - float((weight * table).sum()) / chance if chance > 0 else float("nan")


def mean_error(truth: Classes, predicted: Classes) -> float:
    """Mean absolute error, in classes."""
    return float(np.abs(truth - predicted).mean())


def balanced_error(truth: Classes, predicted: Classes) -> float:
    """Mean over the true classes of their mean absolute error (AMAE, Baccianella 2009)."""
    each = [np.abs(predicted[truth == k] - k).mean() for k in np.unique(truth)]
    return float(np.mean(each))


def root_error(truth: Classes, predicted: Classes) -> float:
    """Root mean square error, in classes."""
    return agreement.rmse(truth.astype(np.float64), predicted.astype(np.float64))


def correlation(truth: Classes, predicted: Classes) -> float:
    """Pearson's correlation of class numbers, as the paper reports it."""
    return agreement.pcc(truth.astype(np.float64), predicted.astype(np.float64))


def confusion(truth: Classes, predicted: Classes, count: int) -> NDArray[np.int64]:
    """(count, count) cases by true (row) and predicted (column) class."""
    table = np.zeros((count, count), np.int64)
    np.add.at(table, (truth, predicted), 1)
    return table


CLASS_METRICS: dict[str, ClassMetric] = {
    "accuracy": accuracy,
    "within_one": within_one,
    "qwk": quadratic_kappa,
    "class_mae": mean_error,
    "class_amae": balanced_error,
    "class_rmse": root_error,
    "class_pcc": correlation,
}
"""Every figure of the classes, by name."""
