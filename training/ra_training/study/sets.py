"""The sets of a study, opened or generated, and checked against each other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ra_training.data.overlap import no_patient_twice
from ra_training.data.prepared import Prepared, load
from ra_training.ensemble.edges import class_values, quantile_edges
from ra_training.study.config import Part, Study
from ra_training.study.folds import folds


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """What runs read.

    Attributes:
        fold: (n_train,) fold of every training case; edges, values: of the severity classes, from
            the training labels only.
    """

    train: Prepared
    calibrate: Prepared
    test: Prepared
    pretrain: Prepared | None
    fold: NDArray[np.int64]
    edges: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """Images for a budget."""
        return {
            "train": len(self.train), "calibrate": len(self.calibrate), "test": len(self.test),
            "pretrain": 0 if self.pretrain is None else len(self.pretrain),
        }  # fmt: skip

    def digest(self) -> str:
        """sha256 over the pixels, cases and labels of every set."""
        parts = (self.train, self.calibrate, self.test, self.pretrain)
        told = [None if part is None else part.digest() for part in parts]
        return hashlib.sha256(repr(told).encode()).hexdigest()


def open_sets(study: Study, cache: Path, *, processes: int = 2) -> Sets:
    """Open or generate every set.

    Raises:
        TrainingError: a patient is in two sets, labels are missing, classes are impossible.
    """
    data = study.data
    parts: dict[str, Prepared | None] = {"pretrain": None}
    for name in ("train", "calibrate", "test", "pretrain"):
        part = getattr(data, name)
        if part is not None:
            label = "months" if name == "pretrain" else "score"
            parts[name] = _open(study, part, label, cache, processes)
    no_patient_twice(parts)
    train, calibrate, test = parts["train"], parts["calibrate"], parts["test"]
    assert train is not None
    assert calibrate is not None
    assert test is not None
    scores = train.targets("score").astype(np.float64)
    edges = study.plan.edges or quantile_edges(scores, study.plan.classes)
    return Sets(
        train=train, calibrate=calibrate, test=test, pretrain=parts["pretrain"],
        fold=folds([s.patient_id for s in train.samples], study.plan.folds),
        edges=edges, values=class_values(scores, edges),
    )  # fmt: skip


def _open(study: Study, part: Part, label: str, cache: Path, processes: int) -> Prepared:
    if part.folder is not None:
        return load(part.folder)
    from ra_training.data.generated import Recipe, generated

    data = study.data
    recipe = Recipe(
        n=part.n, seed=part.seed, unit=data.unit, rows=data.rows, columns=data.columns,
        prior=data.prior, label="months" if label == "months" else "score", height=data.height,
    )  # fmt: skip
    return generated(recipe, cache, processes=processes)
