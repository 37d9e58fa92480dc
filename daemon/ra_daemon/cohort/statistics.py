"""Statistics of change, as trials of radiographic progression report them.

Smallest detectable change: Bruynesteyn et al., Ann Rheum Dis 2005;64:179. Rapid radiographic
progression (>= 5 units a year) and the non-progressor cut-offs (<= 0, <= 0.5, <= SDC) as in the
BeSt study and its successors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RAPID_UNITS_A_YEAR = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSummary:
    """Change from baseline of a group, in score units; quartiles by linear interpolation.

    ``sd`` is None below two subjects; everything else is None for an empty group.
    """

    n: int
    mean: float | None
    sd: float | None
    median: float | None
    q1: float | None
    q3: float | None

    @property
    def iqr(self) -> float | None:
        """Interquartile range."""
        return None if self.q1 is None or self.q3 is None else self.q3 - self.q1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressorRates:
    """Shares in 0..1; None for an empty group, and where the cut-off is not known."""

    n: int
    no_progress_0: float | None
    no_progress_half: float | None
    no_progress_sdc: float | None
    rapid: float | None


def summarise(changes: Sequence[float]) -> ChangeSummary:
    """Mean, SD (n - 1), median and quartiles of change."""
    values = _array(changes)
    if values.size == 0:
        return ChangeSummary(n=0, mean=None, sd=None, median=None, q1=None, q3=None)
    q1, median, q3 = (float(q) for q in np.percentile(values, (25, 50, 75)))
    return ChangeSummary(
        n=int(values.size),
        mean=float(values.mean()),
        sd=float(values.std(ddof=1)) if values.size > 1 else None,
        median=median,
        q1=q1,
        q3=q3,
    )


def smallest_detectable_change(
    first: Sequence[float], second: Sequence[float], readers: int = 1
) -> float:
    """SDC = 1.96 SD(d) / (sqrt 2 sqrt k), d = difference of two readers' *change* scores.

    Args:
        first: change scores by one reader (or reading).
        second: the same subjects' change scores by the other.
        readers: k, how many readers' scores are averaged in the value that is judged; always
            print it with the result.

    Raises:
        ValueError: lengths differ, fewer than two subjects, or no reader.
    """
    a, b = _array(first), _array(second)
    if a.shape != b.shape or a.size < 2 or readers < 1:
        raise ValueError("The SDC needs the change scores of at least two subjects by two readers.")
    return float(1.96 * (a - b).std(ddof=1) / (math.sqrt(2) * math.sqrt(readers)))


def progressor_rates(
    changes: Sequence[float],
    *,
    sdc: float | None = None,
    years: Sequence[float] | None = None,
) -> ProgressorRates:
    """Shares of non-progressors, and of rapid progressors where the time between visits is known.

    Args:
        changes: change from baseline by subject.
        sdc: smallest detectable change, or None.
        years: time from baseline by subject (> 0), or None; change is brought to one year.

    Raises:
        ValueError: ``years`` is of another length or not positive.
    """
    values = _array(changes)
    if values.size == 0:
        return ProgressorRates(
            n=0, no_progress_0=None, no_progress_half=None, no_progress_sdc=None, rapid=None
        )
    rapid = None
    if years is not None:
        spans = _array(years)
        if spans.shape != values.shape or not bool((spans > 0).all()):
            raise ValueError("One positive time for each change is needed.")
        rapid = float(np.mean(values / spans >= RAPID_UNITS_A_YEAR))
    return ProgressorRates(
        n=int(values.size),
        no_progress_0=float(np.mean(values <= 0)),
        no_progress_half=float(np.mean(values <= 0.5)),
        no_progress_sdc=None if sdc is None else float(np.mean(values <= sdc)),
        rapid=rapid,
    )


def cumulative_probability(changes: Sequence[float]) -> list[tuple[float, float]]:
    """Points (cumulative share in 0..1, change) of the field's usual plot, ascending.

    The i-th of n ordered changes stands at (i - 0.5) / n (Landewe and van der Heijde, Ann Rheum
    Dis 2004;63 suppl).
    """
    values = np.sort(_array(changes))
    return [((i + 0.5) / values.size, float(v)) for i, v in enumerate(values)]


def change_limits(
    value: float, limits: tuple[float, float], base: float, base_limits: tuple[float, float]
) -> tuple[float, float]:
    """Limits of ``value - base`` from the limits of both, taken as independent.

    Half-widths add in quadrature, sqrt(hw1^2 + hw0^2), each side with its own (Zou and Donner,
    Stat Med 2008;27:1693). Errors of one patient's images correlate in truth, so the limits are
    too wide rather than too narrow.
    """
    change = value - base
    low = math.hypot(value - limits[0], base_limits[1] - base)
    high = math.hypot(limits[1] - value, base - base_limits[0])
    return change - low, change + high


def _array(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not bool(np.isfinite(array).all()):
        raise ValueError("Finite numbers are needed, missing ones left out.")
    return array
