"""What a finding must be: finite, inside its scale, about a view that exists."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np

from ra_engine.types import Category, Heatmap, Measurement, QualityFlag, ScoredImage

_SUM_TOLERANCE = 1e-6


def problem(findings: object, image: ScoredImage) -> str:
    """What is wrong with a scorer's findings of one image, "" when nothing is."""
    if isinstance(findings, str | bytes) or not isinstance(findings, Sequence):
        return f"gave a {type(findings).__name__} where a sequence of findings belongs"
    for finding in findings:
        wrong = _wrong(finding, len(image.views))
        if wrong:
            return wrong
    return ""


def _wrong(finding: object, views: int) -> str:
    if not isinstance(finding, Measurement | Category | Heatmap | QualityFlag):
        return f"gave a {type(finding).__name__}, which is no finding"
    if finding.view is not None and not 0 <= finding.view < views:
        return f"speaks of view {finding.view}; the image has {views}"
    if isinstance(finding, Measurement):
        return _wrong_measurement(finding)
    if isinstance(finding, Category):
        return _wrong_category(finding)
    if isinstance(finding, Heatmap):
        return _wrong_heatmap(finding)
    return ""


def _wrong_measurement(m: Measurement) -> str:
    numbers = [m.value, *([m.spread] if m.spread is not None else [])]
    if m.interval is not None:
        numbers += [m.interval.low, m.interval.high]
    if not all(isfinite(n) for n in numbers):
        return f"gave {m.kind} a number that is not finite"
    if m.interval is not None and not m.interval.low <= m.value <= m.interval.high:
        return f"gave {m.kind} an interval that does not hold its value"
    return ""


def _wrong_category(c: Category) -> str:
    bands = len(c.edges) + 1
    if not 1 <= c.index <= bands:
        return f"gave {c.kind} band {c.index} of {bands}"
    if len(c.probabilities) != bands or not all(0 <= p <= 1 for p in c.probabilities):
        return f"gave {c.kind} probabilities that are not {bands} numbers from 0 to 1"
    if abs(sum(c.probabilities) - 1) > _SUM_TOLERANCE:
        return f"gave {c.kind} probabilities that do not sum to 1"
    return ""


def _wrong_heatmap(h: Heatmap) -> str:
    if (h.view is None) != (h.to_image is not None):
        return "gave a heatmap that lies neither on a view nor, with to_image, on the image"
    if h.cam.ndim != 2 or h.cam.dtype != np.float32 or not np.isfinite(h.cam).all():
        return "gave a heatmap that is no finite (h, w) float32 array"
    return ""
