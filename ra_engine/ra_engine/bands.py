"""Damage bands of a score: their number, their probabilities, and those of two hands together."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ra_engine.manifest import Severity

_STEEPEST = 60.0  # logits beyond this are as good as certain


def band_of(score: float, edges: Sequence[float]) -> int:
    """The band (1-based) of a score by its nearest whole number; ``edges`` are upper limits."""
    return bisect_left(edges, round(score)) + 1


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """Probabilities of logits."""
    z = np.clip(np.asarray(logits, np.float64), -_STEEPEST, _STEEPEST)
    out: NDArray[np.float64] = 1 / (1 + np.exp(-z))
    return out


def above_both(total: float, logits: ArrayLike, table: Severity) -> NDArray[np.float64]:
    """P(total band > k) of two hands, from the total and the sum of the hands' logits."""
    a, b, c = (np.asarray(v) for v in (table.a, table.b, table.c))
    return sigmoid(a * np.log1p(total) + b * np.asarray(logits, np.float64) + c)


def bands_of(above: ArrayLike) -> tuple[float, ...]:
    """Band probabilities from P(band > k), made to fall with k; they sum to 1."""
    falling = np.minimum.accumulate(np.asarray(above, np.float64))
    edges = np.concatenate([[1.0], falling, [0.0]])
    return tuple(float(p) for p in edges[:-1] - edges[1:])


def logits_of(probabilities: Sequence[float]) -> NDArray[np.float64]:
    """Logits of P(band > k) that ``bands_of`` made these K probabilities of; (K - 1,).

    Where it had to make them fall, the lower one is what is left of both.
    """
    p = np.clip(np.asarray(probabilities, np.float64), 0, None)
    below, above = np.cumsum(p)[:-1], np.cumsum(p[::-1])[::-1][1:]
    with np.errstate(divide="ignore"):
        out: NDArray[np.float64] = np.clip(np.log(above) - np.log(below), -_STEEPEST, _STEEPEST)
    return out
