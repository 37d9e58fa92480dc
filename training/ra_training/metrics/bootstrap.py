"""Intervals by resampling patients: hands and visits of one patient stay together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Figure = Callable[..., float]
"""A figure of (truth, predicted); truth (n,), predicted (n,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its percentile interval.

    Attributes:
        value: on all cases; low, high: limits at ``level``; patients: resampled units.
    """

    value: float
    low: float
    high: float
    level: float
    patients: int

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside; for differences."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "-"  # a correlation where the truth does not vary
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def bootstrap(
    figure: Figure, truth: NDArray[np.generic], predicted: NDArray[np.generic],
    patients: Sequence[str], *, draws: int = 1000, level: float = 0.95, seed: int = 0,
) -> Interval:  # fmt: skip
    """Percentile interval of a figure (Efron 1979), patients resampled with replacement.

    Args:
        predicted: (n,), or (s, n) for s training seeds: the figure is then the mean over them.

    Raises:
        ValueError: lengths differ.
    """
    return _interval(
        lambda rows: _mean(figure, truth, predicted, rows), len(truth), patients,
        draws=draws, level=level, seed=seed,
    )  # fmt: skip


def paired_difference(
    figure: Figure, truth: NDArray[np.generic], first: NDArray[np.generic],
    second: NDArray[np.generic], patients: Sequence[str],
    *, draws: int = 1000, level: float = 0.95, seed: int = 0,
) -> Interval:  # fmt: skip
    """Interval of figure(second) - figure(first), both on the same resampled patients.

    Args:
        first, second: (n,), or (s, n) for s training seeds, whose figures are averaged.
    """
    return _interval(
        lambda rows: _mean(figure, truth, second, rows) - _mean(figure, truth, first, rows),
        len(truth), patients, draws=draws, level=level, seed=seed,
    )  # fmt: skip


def _mean(
    figure: Figure, truth: NDArray[np.generic], predicted: NDArray[np.generic],
    rows: NDArray[np.intp],
) -> float:  # fmt: skip
    each = [figure(truth[rows], one[rows]) for one in np.atleast_2d(predicted)]
    return float(np.mean(each))


def _interval(
    value: Callable[[NDArray[np.intp]], float], n: int, patients: Sequence[str],
    *, draws: int, level: float, seed: int,
) -> Interval:  # fmt: skip
    if len(patients) != n:
        raise ValueError(f"{n} cases, {len(patients)} patients")
    _, group = np.unique(np.asarray(patients), return_inverse=True)
    order = np.argsort(group, kind="stable").astype(np.intp)
    members = np.split(order, np.cumsum(np.bincount(group))[:-1])
    draw = np.random.default_rng(seed)
    found = np.empty(draws)
    for i in range(draws):
        chosen = draw.integers(len(members), size=len(members))
        found[i] = value(np.concatenate([members[j] for j in chosen]))
    # A resample in which the truth does not vary has no correlation: it is left out.
    found = found[np.isfinite(found)]
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(found, tails) if len(found) else (np.nan, np.nan)
    return Interval(
        value=value(np.arange(n, dtype=np.intp)), low=float(low), high=float(high), level=level,
        patients=len(members),
    )  # fmt: skip
