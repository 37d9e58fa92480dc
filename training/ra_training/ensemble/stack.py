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


PENALTIES: tuple[float, ...] = tuple(10.0 ** (k / 2) for k in range(-8, 3))
"""What ``ridge`` chooses from, in units of the number of cases times the members' mean variance."""


def fit(
    members: Array, truth: Array, *, method: Method = "nnls", alpha: float | None = None
) -> Stack:
    """Fit the weights of members (n, m) for truth (n,).

    ``nnls``: non-negative least squares without an offset (Breiman 1996). ``ridge``: least squares
    plus ``alpha`` times the squared weights of centred members, with an offset.

    Args:
        members: predictions of cases that the members did not train on; never in-fold.
        alpha: of ridge; None: the one of ``PENALTIES`` with the least error when each case is left
            out. A member that hardly moves needs a large weight to say anything, and a penalty that
            knows no scale lets it have it.

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
    penalty: float = _penalty(x, truth - centre) if alpha is None else alpha
    w = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (truth - centre))
    return Stack(weights=tuple(float(v) for v in w), offset=centre - float(mean @ w), method=method)


def _penalty(x: Array, y: Array) -> float:
    """The penalty with the least leave-one-out error, in closed form (Allen 1974, PRESS)."""
    scale = (len(x) * float(x.var(0).mean())) or 1.0
    u, d, _ = np.linalg.svd(x, full_matrices=False)

    def left_out(alpha: float) -> float:
        shrunk = u * (d**2 / (d**2 + alpha))
        leverage = (shrunk * u).sum(1) + 1 / len(x)
        return float((((y - shrunk @ (u.T @ y)) / (1 - leverage)) ** 2).mean())

    return min((scale * share for share in PENALTIES), key=left_out)
