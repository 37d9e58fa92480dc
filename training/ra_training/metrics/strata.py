"""The same figures by score band, source, reader and site: means over all hide the tails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ra_training.data.sample import Sample
from ra_training.metrics.agreement import Array, agreement

SCORE_BANDS: tuple[tuple[str, float, float], ...] = (
    ("0", -np.inf, 0.0),
    ("1-10", 0.0, 10.0),
    ("11-50", 10.0, 50.0),
    ("over 50", 50.0, np.inf),
)
"""Name, and the true total's limits: above the first, up to the second."""

Table = dict[str, dict[str, float]]


def by_group(names: Sequence[str], truth: Array, predicted: Array) -> Table:
    """Figures and case numbers (``n``) of every group that ``names`` (n,) puts cases into."""
    label = np.asarray(names, dtype=object)
    out: Table = {}
    for name in dict.fromkeys(names):
        rows = label == name
        out[name] = {"n": float(rows.sum()), **agreement(truth[rows], predicted[rows])}
    return out


def score_bands(truth: Array) -> list[str]:
    """(n,) names of the bands of true totals: 0, 1-10, 11-50, over 50."""
    names = np.empty(len(truth), object)
    for name, low, high in SCORE_BANDS:
        names[(truth > low) & (truth <= high)] = name
    return [str(n) for n in names]


def by_score_band(truth: Array, predicted: Array) -> Table:
    """Figures by band of the true total; empty bands are left out."""
    found = by_group(score_bands(truth), truth, predicted)
    return {name: found[name] for name, _, _ in SCORE_BANDS if name in found}


def by_reader(samples: Sequence[Sample], predicted: Array) -> Table:
    """Figures against every reader's own totals, over the cases that the reader read."""
    out: Table = {}
    for name in sorted({r for s in samples for r in s.readers}):
        rows = [i for i, s in enumerate(samples) if name in s.readers]
        own = np.array([samples[i].readers[name] for i in rows], np.float64)
        out[name] = {"n": float(len(rows)), **agreement(own, predicted[rows])}
    return out


def by_site(samples: Sequence[Sample], predicted: Mapping[str, Array]) -> Table:
    """Figures of every joint site with predictions (n,) by id; unread sites are left out."""
    out: Table = {}
    for site, values in sorted(predicted.items()):
        rows = [i for i, s in enumerate(samples) if site in s.joints]
        if rows:
            own = np.array([samples[i].joints[site] for i in rows], np.float64)
            out[site] = {"n": float(len(rows)), **agreement(own, values[rows])}
    return out


def residual_by_site(samples: Sequence[Sample], truth: Array, predicted: Array) -> Table:
    """Error of the total where a site is damaged and where it is sound.

    For models that give totals only: a site whose damage is missed pulls ``bias_damaged`` down.
    """
    out: Table = {}
    for site in sorted({k for s in samples for k in s.joints}):
        grade = np.array([s.joints.get(site, np.nan) for s in samples])
        gap = predicted - truth
        bad, good = gap[grade > 0], gap[grade == 0]
        if len(bad) and len(good):
            out[site] = {
                "n_damaged": float(len(bad)), "bias_damaged": float(bad.mean()),
                "mae_damaged": float(np.abs(bad).mean()), "bias_sound": float(good.mean()),
                "mae_sound": float(np.abs(good).mean()),
            }  # fmt: skip
    return out
