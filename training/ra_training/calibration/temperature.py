"""One temperature for class logits: confidence is brought down or up, order stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

Array = NDArray[np.float64]
RANGE = (0.05, 20.0)


def probabilities(cumulative: Array) -> Array:
    """(n, k) class probabilities from (n, k - 1) logits of P(class > j).

    Where neighbouring cumulative probabilities cross, the running minimum is taken.
    """
    above = 1 / (1 + np.exp(-np.clip(cumulative, -60, 60)))
    above = np.minimum.accumulate(above, axis=1)
    ends = np.ones((len(above), 1)), np.zeros((len(above), 1))
    return -np.diff(np.concatenate([ends[0], above, ends[1]], 1), axis=1)


def likelihood(shares: Array, truth: NDArray[np.int64]) -> float:
    """Mean negative log-likelihood of 0-based classes."""
    own = shares[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(own, 1e-12)).mean())


def fit_cumulative(cumulative: Array, truth: NDArray[np.int64]) -> float:
    """Temperature t that makes ``cumulative / t`` (n, k - 1) likeliest for the classes (n,)."""
    return _best(lambda t: likelihood(probabilities(cumulative / t), truth))


def fit_softmax(logits: Array, truth: NDArray[np.int64]) -> float:
    """Temperature of softmax logits (n, k) (Guo et al. 2017)."""
    return _best(lambda t: likelihood(softmax(logits / t), truth))


def softmax(logits: Array) -> Array:
    """(n, k) shares."""
    e = np.exp(logits - logits.max(1, keepdims=True))
    shares: Array = e / e.sum(1, keepdims=True)
    return shares


def _best(loss: object) -> float:
    found = minimize_scalar(
        lambda u: loss(float(np.exp(u))),  # type: ignore[operator]
        bounds=tuple(np.log(RANGE)), method="bounded", options={"xatol": 1e-6},
    )  # fmt: skip
    return float(np.exp(found.x))
