"""Whether stated probabilities come true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Bins of a reliability plot: mean stated probability, share that came true, cases."""

    stated: tuple[float, ...]
    observed: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean gap, weighted by cases (Naeini et al. 2015)."""
        n = np.asarray(self.counts, np.float64)
        gap = np.abs(np.asarray(self.stated) - np.asarray(self.observed))
        return float((n * gap).sum() / n.sum())


def reliability(stated: Array, came_true: NDArray[np.bool_], *, bins: int = 10) -> Reliability:
    """Bins of equal width over [0, 1]; empty ones are left out.

    Args:
        stated: (n,) probabilities; came_true: (n,).
    """
    place = np.clip(np.ceil(stated * bins).astype(int) - 1, 0, bins - 1)
    used = [b for b in range(bins) if (place == b).any()]
    return Reliability(
        stated=tuple(float(stated[place == b].mean()) for b in used),
        observed=tuple(float(came_true[place == b].mean()) for b in used),
        counts=tuple(int((place == b).sum()) for b in used),
    )


def top_label(shares: Array, truth: NDArray[np.int64], *, bins: int = 10) -> Reliability:
    """Reliability of the likeliest class, from shares (n, k) and 0-based classes (n,)."""
    return reliability(shares.max(1), shares.argmax(1) == truth, bins=bins)


def thresholds(shares: Array, truth: NDArray[np.int64], *, bins: int = 10) -> Reliability:
    """Reliability of every statement 'class above j', all thresholds together."""
    above = 1 - np.cumsum(shares, 1)[:, :-1]
    real = truth[:, None] > np.arange(shares.shape[1] - 1)
    return reliability(np.clip(above, 0, 1).ravel(), real.ravel(), bins=bins)
