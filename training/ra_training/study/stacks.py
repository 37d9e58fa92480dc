"""Stage 3 of a study: stacks of every seed, fitted on out-of-fold predictions only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ra_training.calibration import conformal, reliability, temperature
from ra_training.ensemble import ordinal, stack
from ra_training.errors import TrainingError
from ra_training.metrics.classes import classes_of
from ra_training.study.results import Results

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacked:
    """Stage 3.

    Attributes:
        members: names of the columns; weights: (s, m) of the non-negative stack;
        score: method -> (s, n_test); calibrate: (s, n_calibrate) of the non-negative stack;
        classes: (s, n_test), or None where a class had no out-of-fold case.
    """

    members: tuple[str, ...]
    weights: Array
    score: dict[str, Array]
    calibrate: Array
    classes: NDArray[np.int64] | None


def stacked(results: Results) -> Stacked:
    """Stack the score networks of every seed."""
    cells = results.score_cells
    truth = results.train_truth
    score: dict[str, list[Array]] = {"nnls": [], "ridge": []}
    weights, calibrate = [], []
    classes: list[NDArray[np.int64]] | None = []
    for s in range(len(cells[0].oof)):
        oof, test, held = (
            np.stack([getattr(c, name)[s] for c in cells], 1)
            for name in ("oof", "test", "calibrate")
        )
        known = np.isfinite(oof).all(1)
        fitted = stack.fit(oof[known], truth[known])
        ridge = stack.fit(oof[known], truth[known], method="ridge")
        weights.append(fitted.weights)
        score["nnls"].append(fitted.predict(test))
        score["ridge"].append(ridge.predict(test))
        calibrate.append(fitted.predict(held))
        if classes is not None:
            own = _classes(
                _features(oof, results, s, "oof_logits")[known], truth[known],
                _features(test, results, s, "test_logits"), results.edges,
            )  # fmt: skip
            classes = None if own is None else [*classes, own]
    return Stacked(
        members=tuple(c.name for c in cells), weights=np.array(weights),
        score={k: np.stack(v) for k, v in score.items()}, calibrate=np.stack(calibrate),
        classes=None if classes is None else np.stack(classes),
    )  # fmt: skip


def _classes(
    oof: Array, truth: Array, test: Array, edges: tuple[float, ...]
) -> NDArray[np.int64] | None:
    """Classes (n_test,) by a proportional-odds model on features; None without every class."""
    try:
        fitted = ordinal.fit(oof, classes_of(truth, edges), classes=len(edges) + 1, alpha=1e-2)
    except TrainingError:
        return None
    return fitted.predict(test)


def _features(scores: Array, results: Results, seed: int, logits: str) -> Array:
    """(n, m) statements of all members: logarithms of scores, mean cumulative logits of classes.

    Logarithms, so that odds of high classes do not run away with high scores.
    """
    own = [np.log1p(np.maximum(scores, 0))]
    own += [getattr(c, logits)[seed].mean(1, keepdims=True) for c in results.class_cells]
    return np.concatenate(own, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Intervals of the stack of the first seed, and reliability of the first class network."""

    interval: conformal.Conformal
    coverage: conformal.Coverage
    temperature: float | None
    before: reliability.Reliability | None
    after: reliability.Reliability | None
    class_cell: str


def calibrated(results: Results, found: Stacked) -> Calibrated:
    """Fit on the calibration set, measure on the test set."""
    n = len(results.calibrate_truth)
    bands = max(1, min(6, n // 40))  # below forty cases a band's 95th centile is its maximum
    interval = conformal.fit(found.calibrate[0], results.calibrate_truth, bands=bands)
    cover = conformal.coverage(interval, found.score["nnls"][0], results.test_truth)
    if not results.class_cells:
        return Calibrated(
            interval=interval, coverage=cover, temperature=None, before=None, after=None,
            class_cell="",
        )  # fmt: skip
    cell = results.class_cells[0]
    held = classes_of(results.calibrate_truth, results.edges)
    t = temperature.fit_cumulative(cell.calibrate_logits[0], held)
    shares = [temperature.probabilities(cell.test_logits[0] / scale) for scale in (1.0, t)]
    before, after = (reliability.thresholds(p, results.test_classes) for p in shares)
    return Calibrated(
        interval=interval, coverage=cover, temperature=t, before=before, after=after,
        class_cell=cell.name,
    )  # fmt: skip
