"""Split-conformal intervals by band of the prediction, and band probabilities of two hands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ra_training.calibration import conformal
from ra_training.ensemble import stack as stacks
from ra_training.scorer.bands import EDGES_BOTH

Array = NDArray[np.float64]


def stack(members: Array, truth: Array) -> list[float]:
    """Non-negative least-squares weights of the members (n, m) for the truth (n,)."""
    return list(stacks.fit(members, truth, method="nnls").weights)


def intervals(
    predicted: Array, truth: Array, *, level: float = 0.9, bands: int = 6
) -> dict[str, object]:
    """The table of ``calibration.conformal.fit``, as a manifest holds it."""
    return conformal.fit(predicted, truth, level=level, bands=bands).table()


def covered(table: dict[str, object], predicted: Array, truth: Array) -> NDArray[np.bool_]:
    """Whether each truth lies in its interval."""
    return conformal.Conformal.of(table).covers(predicted, truth)


def heat_scale(peak: Array, truth: Array) -> tuple[float, float]:
    """Threshold and end of the colour scale of maps, from their peaks (n,) and true scores (n,).

    Below what nine in ten healthy images stay (of the lowest quarter where none is healthy), a map
    is no evidence; two in a hundred pass the scale.
    """
    healthy = (
        peak[truth <= np.quantile(truth, 0.25)] if not (truth == 0).any() else peak[truth == 0]
    )
    threshold = max(0.0, round(float(np.quantile(healthy, 0.9)), 3))
    return threshold, max(round(float(np.quantile(peak, 0.98)), 2), threshold + 0.01)


def bands_of_two(
    total: Array, logits: Array, truth: Array, edges: Sequence[float] = EDGES_BOTH
) -> dict[str, list[float]]:
    """Coefficients a, b, c of P(total band > k) for every edge, by logistic likelihood.

    Args:
        total: (n,) predicted totals; logits: (n, bands - 1) sums of the hands' logits;
        truth: (n,) true totals; edges: upper limits of the bands of both hands.
    """
    out: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    for k, edge in enumerate(edges):
        x = np.stack([np.log1p(np.maximum(total, 0)), logits[:, k], np.ones(len(total))], 1)
        y = (truth > edge).astype(np.float64)

        def loss(w: Array, x: Array = x, y: Array = y) -> float:
            z = x @ w
            return float(np.mean(np.logaddexp(0, z) - y * z) + 1e-3 * float(w[:2] @ w[:2]))

        best = minimize(loss, np.array([1.0, 0.3, -1.0]), method="BFGS").x
        for name, value in zip(out, best, strict=True):
            out[name].append(round(float(value), 5))
    return out
