"""Figures that a reviewer asks for, on held-out generated images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SCORE_BANDS = ((-1.0, 0.0), (0.0, 10.0), (10.0, 50.0), (50.0, 281.0))


def pcc(a: Array, b: Array) -> float:
    """Pearson's correlation."""
    return float(np.corrcoef(a, b)[0, 1])


def rmse(a: Array, b: Array) -> float:
    """Root mean square difference."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


def quadratic_kappa(a: NDArray[np.int64], b: NDArray[np.int64], classes: int) -> float:
    """Quadratic-weighted kappa of 1-based classes (Cohen 1968)."""
    table = np.zeros((classes, classes))
    np.add.at(table, (a - 1, b - 1), 1)
    i, j = np.mgrid[:classes, :classes]
    weight = (i - j) ** 2 / (classes - 1) ** 2
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    return float(1 - (weight * table).sum() / (weight * expected).sum())


def by_score_band(predicted: Array, truth: Array) -> dict[str, tuple[int, float, float]]:
    """Cases, mean absolute error and bias by band of the true total: 0, 1-10, 11-50, over 50."""
    names = ("0", "1-10", "11-50", "over 50")
    out = {}
    for name, (low, high) in zip(names, SCORE_BANDS, strict=True):
        rows = (truth > low) & (truth <= high)
        if rows.any():
            gap = predicted[rows] - truth[rows]
            out[name] = (int(rows.sum()), float(np.abs(gap).mean()), float(gap.mean()))
    return out
