"""Stacking of classes: a proportional-odds model over members (McCullagh 1980)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from ra_training.errors import TrainingError

Array = NDArray[np.float64]
Classes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordinal:
    """Logit of P(class > k) = features @ weights - cuts[k]; the cuts ascend."""

    weights: tuple[float, ...]
    cuts: tuple[float, ...]

    def logits(self, features: Array) -> Array:
        """(n, k - 1) cumulative logits from features (n, m)."""
        found: Array = (features @ np.asarray(self.weights))[:, None] - np.asarray(self.cuts)
        return found

    def predict(self, features: Array) -> Classes:
        """(n,) 0-based median classes, which have the least expected absolute error."""
        return median_class(self.logits(features))


def median_class(cumulative: Array) -> Classes:
    """(n,) number of thresholds that are passed more likely than not."""
    found: Classes = (cumulative > 0).sum(1).astype(np.int64)
    return found


def fit(features: Array, truth: Classes, *, classes: int, alpha: float = 1e-3) -> Ordinal:
    """Fit by maximum likelihood with a small ridge penalty on standardised features.

    Args:
        features: (n, m) out-of-fold statements of the members, for example log1p of their scores;
        truth: (n,) 0-based classes, each with a case; alpha: penalty a case.

    Raises:
        TrainingError: a class has no case.
    """
    if len(np.unique(truth)) < classes:
        raise TrainingError(
            code="class-empty",
            text=f"{len(np.unique(truth))} of {classes} classes have a case",
            hint="ask for fewer classes, or stack on more cases",
        )
    mean, spread = features.mean(0), features.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    x = (features - mean) / spread
    share = np.array([(truth > k).mean() for k in range(classes - 1)])
    first = -np.log(share / (1 - share))
    start = np.concatenate([np.full(x.shape[1], 0.1), _steps(first)])
    done = minimize(
        _loss, start, args=(x, truth, alpha), method="L-BFGS-B", jac=True,
        options={"maxiter": 2000, "ftol": 1e-14, "gtol": 1e-9},
    )  # fmt: skip
    weights, cuts = done.x[: x.shape[1]], _cuts(done.x[x.shape[1] :])
    own = weights / spread
    shift = float(mean @ own)
    return Ordinal(weights=tuple(float(w) for w in own), cuts=tuple(float(c + shift) for c in cuts))


def _steps(cuts: Array) -> Array:
    """The first cut, then logarithms of the steps: any values give ascending cuts."""
    return np.concatenate([cuts[:1], np.log(np.maximum(np.diff(cuts), 1e-3))])


def _cuts(steps: Array) -> Array:
    found: Array = steps[0] + np.concatenate([[0.0], np.cumsum(np.exp(steps[1:]))])
    return found


def _loss(parameters: Array, x: Array, truth: Classes, alpha: float) -> tuple[float, Array]:
    """Mean negative log-likelihood with its gradient."""
    n, m = x.shape
    w, steps = parameters[:m], parameters[m:]
    cuts = _cuts(steps)
    z = x @ w
    ends = np.concatenate([[-np.inf], cuts, [np.inf]])
    lower, upper = ends[truth] - z, ends[truth + 1] - z
    p_low, p_high = expit(lower), expit(upper)
    share = np.maximum(p_high - p_low, 1e-12)
    d_low, d_high = p_low * (1 - p_low) / share, p_high * (1 - p_high) / share
    grad_w = x.T @ (d_high - d_low) / n + 2 * alpha * w
    by_cut = np.zeros(len(cuts) + 2)
    np.add.at(by_cut, truth + 1, -d_high / n)
    np.add.at(by_cut, truth, d_low / n)
    inner = by_cut[1:-1]
    tail = np.cumsum(inner[::-1])[::-1]
    grad_steps = np.concatenate([tail[:1], tail[1:] * np.exp(steps[1:])])
    value = float(-np.log(share).mean() + alpha * (w @ w))
    return value, np.concatenate([grad_w, grad_steps])
