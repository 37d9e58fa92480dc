"""Stacking of scores on out-of-fold predictions (Wolpert 1992)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ra_training.errors import TrainingError

Array = NDArray[np.float64]
Method = Literal["nnls", "ridge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """score = members @ weights + offset, as the exported graph computes it."""

    weights: tuple[float, ...]
    offset: float
    method: Method

    def predict(self, members: Array) -> Array:
        """(n,) scores from members (n, m)."""
        found: Array = members @ np.asarray(self.weights) + self.offset
        return found


def fit(members: Array, truth: Array, *, method: Method = "nnls", alpha: float = 1.0) -> Stack:
    """Fit the weights of members (n, m) for truth (n,).

    ``nnls``: non-negative least squares without an offset (Breiman 1996). ``ridge``: least squares
    plus ``alpha`` times the squared weights of centred members, with an offset.

    Args:
        members: predictions of cases that the members did not train on; never in-fold.

    Raises:
        TrainingError: a prediction is missing, or lengths differ.
    """
    if members.ndim != 2 or len(members) != len(truth) or not np.isfinite(members).all():
        raise TrainingError(
            code="stack-incomplete",
            text=f"members {members.shape} for {len(truth)} cases, or predictions are missing",
            hint="give one out-of-fold prediction of every member for every case",
        )
    if method == "nnls":
        weights, _ = nnls(members, truth)
        return Stack(weights=tuple(float(w) for w in weights), offset=0.0, method=method)
    mean, centre = members.mean(0), float(truth.mean())
    x = members - mean
    w = np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ (truth - centre))
    return Stack(weights=tuple(float(v) for v in w), offset=centre - float(mean @ w), method=method)
