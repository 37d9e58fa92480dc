"""What of a finished study goes into its bundle: networks, weights, predictions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ra_training.calibration import temperature
from ra_training.ensemble.ordinal import median_class
from ra_training.metrics.classes import classes_of, quadratic_kappa
from ra_training.study.config import Study
from ra_training.study.plan import specs
from ra_training.study.results import Cell, Results
from ra_training.study.stacks import Stacked

Array = NDArray[np.float64]
LEAST_WEIGHT = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What goes into a bundle.

    Attributes:
        names, weights, files: of the members that the stack uses, one for every fold.
        classes: weight files of the class network; temperature: of its logits; class_name: its
            name, "" without one.
        calibrate, test: (n,) scores of the stack; logits: (n, k - 1) of the calibration set.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    files: tuple[Path, ...]
    classes: tuple[Path, ...]
    class_name: str
    temperature: float
    calibrate: Array
    test: Array
    logits: Array
    test_logits: Array


def carry(study: Study, results: Results, found: Stacked, root: Path) -> Carried:
    """Members of the first seed with weight, and the class network that calibration likes best."""
    names, weights, files = [], [], []
    for cell, weight in zip(results.score_cells, found.weights[0], strict=True):
        if weight <= LEAST_WEIGHT:
            continue
        own = _files(study, cell, root)
        for k, path in enumerate(own):
            names.append(cell.name if len(own) == 1 else f"{cell.name} fold {k + 1}")
            weights.append(float(weight) / len(own))
            files.append(path)
    truth = classes_of(results.calibrate_truth, results.edges)
    best = max(
        results.class_cells,
        key=lambda c: quadratic_kappa(truth, median_class(c.calibrate_logits[0])),
        default=None,
    )
    none = np.zeros((len(truth), 0))
    return Carried(
        names=tuple(names), weights=tuple(weights), files=tuple(files),
        classes=() if best is None else tuple(_files(study, best, root)),
        class_name="" if best is None else best.name,
        temperature=1.0 if best is None else temperature.fit_cumulative(
            best.calibrate_logits[0], truth
        ),
        calibrate=found.calibrate[0], test=found.score["nnls"][0],
        logits=none if best is None else best.calibrate_logits[0],
        test_logits=none if best is None else best.test_logits[0],
    )  # fmt: skip


def _files(study: Study, cell: Cell, root: Path) -> list[Path]:
    """Weight files of a cell's runs of the first seed, by fold."""
    kind = (cell.stage, cell.architecture, cell.scheme, cell.loss, study.plan.seeds[0])
    return [
        root / "runs" / s.key / "member.safetensors"
        for s in specs(study)
        if (s.stage, s.architecture, s.scheme, s.loss, s.seed) == kind
    ]
