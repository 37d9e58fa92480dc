"""Predictions of all finished runs as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_training.calibration.temperature import probabilities
from ra_training.ensemble.ordinal import median_class
from ra_training.errors import TrainingError
from ra_training.metrics.agreement import rmse
from ra_training.metrics.classes import Classes, classes_of
from ra_training.study.config import Study
from ra_training.study.plan import Spec, done, specs
from ra_training.study.run import PREDICTIONS
from ra_training.study.sets import Sets

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """All seeds of one kind of network; folds are averaged on the sets outside training.

    Attributes:
        oof: (s, n_train) out-of-fold scores, NaN where no trained fold holds the case out;
        calibrate, test: (s, n) scores; the ``_logits`` (s, n, k - 1), k = 1 without classes, of
            ``oof`` with the same holes.
    """

    name: str
    stage: str
    architecture: str
    scheme: str
    loss: str
    oof: Array
    calibrate: Array
    test: Array
    oof_logits: Array
    calibrate_logits: Array
    test_logits: Array
    keys: tuple[str, ...]

    @property
    def named(self) -> tuple[str, Array]:
        """Name and scores on the test set."""
        return self.name, self.test

    def likeliest(self) -> NDArray[np.int64]:
        """(s, n_test) classes of the largest probability, as accuracy is usually reported."""
        return np.stack([probabilities(z).argmax(1) for z in self.test_logits])

    def classes(self, edges: tuple[float, ...]) -> NDArray[np.int64]:
        """(s, n_test) classes: the median one of the logits, or of the score without logits."""
        if self.test_logits.shape[2]:
            return np.stack([median_class(z) for z in self.test_logits])
        return np.stack([classes_of(p, edges) for p in self.test])

    def oof_rmse(self, truth: Array) -> float:
        """Mean over the seeds of the out-of-fold error, which alone chooses among cells."""
        known = np.isfinite(self.oof).all(0)
        return float(np.mean([rmse(truth[known], p[known]) for p in self.oof]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Truth and cells; ``pretrain`` maps runs to their mean error in months."""

    train_truth: Array
    calibrate_truth: Array
    test_truth: Array
    patients: tuple[str, ...]
    edges: tuple[float, ...]
    cells: tuple[Cell, ...]
    pretrain: dict[str, float] = field(default_factory=dict)

    @property
    def score_cells(self) -> tuple[Cell, ...]:
        """Networks trained on the score."""
        return tuple(c for c in self.cells if c.stage == "score")

    @property
    def class_cells(self) -> tuple[Cell, ...]:
        """Networks trained on the class."""
        return tuple(c for c in self.cells if c.stage == "class")

    @property
    def best(self) -> Cell:
        """The score network with the least out-of-fold error."""
        return min(self.score_cells, key=lambda c: c.oof_rmse(self.train_truth))

    @property
    def test_classes(self) -> Classes:
        """(n_test,) true classes."""
        return classes_of(self.test_truth, self.edges)


def collect(study: Study, sets: Sets, root: Path) -> Results:
    """Read every run.

    Raises:
        TrainingError: a run is not finished.
    """
    every = specs(study)
    missing = [s.key for s in every if done(root, s) is None]
    if missing:
        raise TrainingError(
            code="study-unfinished", text=f"{len(missing)} runs are left, first {missing[0]}",
            hint="give the command again; it goes on where it stopped",
        )  # fmt: skip
    groups: dict[tuple[str, str, str, str], list[Spec]] = {}
    pretrain: dict[str, float] = {}
    for spec in every:
        if spec.stage == "pretrain":
            pretrain[spec.key] = _months(spec, sets, root)
        else:
            kind = (spec.stage, spec.architecture, spec.scheme, spec.loss)
            groups.setdefault(kind, []).append(spec)
    return Results(
        train_truth=sets.train.targets("score").astype(np.float64),
        calibrate_truth=sets.calibrate.targets("score").astype(np.float64),
        test_truth=sets.test.targets("score").astype(np.float64),
        patients=tuple(s.patient_id for s in sets.test.samples),
        edges=sets.edges,
        cells=tuple(_cell(kind, part, sets, root) for kind, part in groups.items()),
        pretrain=pretrain,
    )  # fmt: skip


def _cell(kind: tuple[str, str, str, str], part: list[Spec], sets: Sets, root: Path) -> Cell:
    stage, architecture, scheme, loss = kind
    by_seed: dict[int, list[dict[str, Any]]] = {}
    for spec in part:
        with np.load(root / "runs" / spec.key / PREDICTIONS) as held:
            by_seed.setdefault(spec.seed, []).append({k: held[k].astype(float) for k in held})
    first = next(iter(by_seed.values()))[0]
    oof = np.full((len(by_seed), len(sets.train)), np.nan)
    logits = np.full((*oof.shape, first["valid_logits"].shape[1]), np.nan)
    for s, folds in enumerate(by_seed.values()):
        for one in folds:
            at = one["rows"].astype(int)
            oof[s, at], logits[s, at] = one["valid"], one["valid_logits"]

    def mean(name: str) -> Array:
        return np.stack([np.mean([f[name] for f in folds], 0) for folds in by_seed.values()])

    return Cell(
        name=f"{architecture} {scheme}" + ("" if stage == "score" else f" {loss}"), stage=stage,
        architecture=architecture, scheme=scheme, loss=loss, oof=oof, oof_logits=logits,
        calibrate=mean("calibrate"), test=mean("test"), calibrate_logits=mean("calibrate_logits"),
        test_logits=mean("test_logits"), keys=tuple(s.key for s in part),
    )  # fmt: skip


def _months(spec: Spec, sets: Sets, root: Path) -> float:
    assert sets.pretrain is not None
    with np.load(root / "runs" / spec.key / PREDICTIONS) as held:
        truth = sets.pretrain.targets("months")[held["rows"].astype(int)]
        return float(np.abs(held["valid"] - truth).mean())
