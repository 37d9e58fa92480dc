"""How far predicted totals agree with true ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Metric = Callable[[Array, Array], float]
"""A figure of (truth, predicted), both (n,)."""


def pcc(truth: Array, predicted: Array) -> float:
    """Pearson's correlation, -1 to 1; NaN where one side does not vary."""
    a, b = truth - truth.mean(), predicted - predicted.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else float("nan")


def spearman(truth: Array, predicted: Array) -> float:
    """Correlation of the ranks, ties at their mean rank (Spearman 1904)."""
    return pcc(stats.rankdata(truth), stats.rankdata(predicted))


def rmse(truth: Array, predicted: Array) -> float:
    """Root mean square error, in score units."""
    return float(np.sqrt(np.mean((predicted - truth) ** 2)))


def mae(truth: Array, predicted: Array) -> float:
    """Mean absolute error, in score units."""
    return float(np.abs(predicted - truth).mean())


def bias(truth: Array, predicted: Array) -> float:
    """Mean of predicted minus true, in score units."""
    return float((predicted - truth).mean())


def icc_a1(truth: Array, predicted: Array) -> float:
    """ICC(A,1) of two readings; unlike Pearson's correlation it falls with an offset or scale."""
    return icc_of_readers(np.stack([truth, predicted], 1))


def icc_of_readers(totals: Array) -> float:
    """ICC(A,1) of totals (n, readers): absolute agreement of single readings, two-way model.

    McGraw and Wong 1996, table 4; NaN with fewer than two cases, or where nothing varies.
    """
    n, k = totals.shape
    if n < 2:
        return float("nan")
    grand = totals.mean()
    rows = k * float(((totals.mean(1) - grand) ** 2).sum()) / (n - 1)
    columns = n * float(((totals.mean(0) - grand) ** 2).sum()) / (k - 1)
    rest = totals - totals.mean(1, keepdims=True) - totals.mean(0, keepdims=True) + grand
    error = float((rest**2).sum()) / ((n - 1) * (k - 1))
    scale = rows + (k - 1) * error + k * (columns - error) / n
    return (rows - error) / scale if scale > 0 else float("nan")


def limits_of_agreement(truth: Array, predicted: Array) -> tuple[float, float]:
    """Mean difference -/+ 1.96 SD of predicted minus true (Bland and Altman 1986)."""
    gap = predicted - truth
    spread = 1.96 * float(gap.std(ddof=1)) if len(gap) > 1 else float("nan")
    return float(gap.mean()) - spread, float(gap.mean()) + spread


def lower_limit(truth: Array, predicted: Array) -> float:
    """Lower limit of agreement."""
    return limits_of_agreement(truth, predicted)[0]


def upper_limit(truth: Array, predicted: Array) -> float:
    """Upper limit of agreement."""
    return limits_of_agreement(truth, predicted)[1]


METRICS: dict[str, Metric] = {
    "pcc": pcc,
    "spearman": spearman,
    "rmse": rmse,
    "mae": mae,
    "bias": bias,
    "icc_a1": icc_a1,
    "loa_low": lower_limit,
    "loa_high": upper_limit,
}
"""Every figure of the score, by name."""


def agreement(truth: Array, predicted: Array) -> dict[str, float]:
    """All of ``METRICS``."""
    return {name: metric(truth, predicted) for name, metric in METRICS.items()}
