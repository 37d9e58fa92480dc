"""Split-conformal intervals by band of the prediction, and band probabilities of two hands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, nnls

from ra_training.scorer.bands import EDGES_BOTH

Array = NDArray[np.float64]
LAST = 1e9


def stack(members: Array, truth: Array) -> list[float]:
    """Non-negative least-squares weights of the members (n, m) for the truth (n,)."""
    weights, _residual = nnls(members, truth)
    return [float(w) for w in weights]


def intervals(
    predicted: Array, truth: Array, *, level: float = 0.9, bands: int = 6
) -> dict[str, object]:
    """Mondrian split conformal: equal-count bands of the prediction, each tail on its own.

    Each side takes the ceil((n + 1) (1 + level) / 2)-th smallest signed residual of its band, so
    that in every band at least ``level`` of exchangeable cases are covered (Vovk; Romano 2019).
    """
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bands + 1)[1:-1]))
    groups = np.searchsorted(edges, predicted, side="left")
    residual = truth - predicted
    low, high = [], []
    for g in range(len(edges) + 1):
        r = np.sort(residual[groups == g])
        rank = min(len(r), int(np.ceil((len(r) + 1) * (1 + level) / 2)))
        high.append(round(max(0.0, float(r[rank - 1])), 3))
        low.append(round(max(0.0, float(-r[len(r) - rank])), 3))
    return {
        "level": level,
        "upper": [round(float(e), 3) for e in edges] + [LAST],
        "low": low,
        "high": high,
        "n": len(predicted),
    }


def covered(table: dict[str, object], predicted: Array, truth: Array) -> NDArray[np.bool_]:
    """Whether each truth lies in its interval."""
    upper, low, high = (np.asarray(table[k], np.float64) for k in ("upper", "low", "high"))
    g = np.searchsorted(upper, predicted, side="left")
    inside: NDArray[np.bool_] = (truth >= predicted - low[g]) & (truth <= predicted + high[g])
    return inside


def bands_of_two(total: Array, logits: Array, truth: Array) -> dict[str, list[float]]:
    """Coefficients a, b, c of P(total band > k) for every edge, by logistic likelihood.

    Args:
        total: (n,) predicted totals; logits: (n, bands - 1) sums of the hands' logits;
        truth: (n,) true totals.
    """
    out: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    for k, edge in enumerate(EDGES_BOTH):
        x = np.stack([np.log1p(np.maximum(total, 0)), logits[:, k], np.ones(len(total))], 1)
        y = (truth > edge).astype(np.float64)

        def loss(w: Array, x: Array = x, y: Array = y) -> float:
            z = x @ w
            return float(np.mean(np.logaddexp(0, z) - y * z) + 1e-3 * float(w[:2] @ w[:2]))

        best = minimize(loss, np.array([1.0, 0.3, -1.0]), method="BFGS").x
        for name, value in zip(out, best, strict=True):
            out[name].append(round(float(value), 5))
    return out
