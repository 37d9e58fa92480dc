"""Prediction intervals from a bundle's calibration table."""

from __future__ import annotations

from bisect import bisect_left

from ra_engine.manifest import IntervalTable
from ra_engine.types import Interval


def interval(table: IntervalTable, value: float, scale_max: float) -> Interval:
    """The interval of a predicted ``value`` on 0..``scale_max``; it always holds ``value``."""
    band = min(bisect_left(table.upper, value), len(table.upper) - 1)
    low = max(0.0, value - max(0.0, table.low[band]))
    high = min(scale_max, value + max(0.0, table.high[band]))
    return Interval(
        low=min(low, value),
        high=max(high, value),
        level=table.level,
        calibrated_on=table.reference,
    )
