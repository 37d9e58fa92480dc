"""Severity classes from training scores: zero on its own, the rest in equal shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ra_training.errors import TrainingError

Array = NDArray[np.float64]


def quantile_edges(scores: Array, classes: int = 10) -> tuple[float, ...]:
    """Upper limits, inclusive, of all classes but the last; class 0 is the score zero.

    The others hold equal shares of the scores above zero. Edges are whole scores; where ties make
    two of them fall together, there are fewer classes.

    Args:
        scores: of the training set only; classes: with the zero class.

    Raises:
        TrainingError: fewer than two classes asked for, or too few different scores.
    """
    positive = scores[scores > 0]
    if classes < 2 or len(np.unique(positive)) < classes - 1:
        raise TrainingError(
            code="classes-impossible",
            text=f"{classes} classes from {len(np.unique(positive))} different scores above zero",
            hint="ask for fewer classes, at least two, or give more training cases",
        )
    inner = np.quantile(positive, np.linspace(0, 1, classes)[1:-1])
    return (0.0, *(float(e) for e in np.unique(np.floor(inner)) if e > 0))


def class_values(scores: Array, edges: tuple[float, ...]) -> tuple[float, ...]:
    """Mean training score of every class: what an ordinal head's classes stand for.

    Raises:
        TrainingError: a class has no training case.
    """
    group = np.searchsorted(np.asarray(edges), scores, side="left")
    counts = np.bincount(group, minlength=len(edges) + 1)
    if (counts == 0).any():
        raise TrainingError(
            code="class-empty",
            text=f"class {int(np.argmin(counts))} has no training case",
            hint="fit the edges on the same training set",
        )
    return tuple(float(scores[group == k].mean()) for k in range(len(edges) + 1))
