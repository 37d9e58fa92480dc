"""Scorer ``severity``: the damage band, with probabilities from the ordinal head."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ra_engine.manifest import Score, Severity
from ra_engine.types import Batch, Category, Finding, Output, Side

CODE = ("RA0101", "99RADAEMON", "Radiographic damage band")


class SeverityScorer:
    """Band k of K of the score's own scale: one hand, or the total of both."""

    name = "severity"
    api_version = 1
    needs: Mapping[str, Sequence[str]] = {"severity": ("score", "class_logits")}

    def score(self, batch: Batch, outputs: Mapping[str, Output]) -> list[list[Finding]]:
        """See ``ra_engine.contracts.Scorer``."""
        output = outputs["severity"]
        table = Severity.model_validate(output.manifest["severity"])
        scale = Score.model_validate(output.manifest["score"]).scale_max
        found: list[list[Finding]] = []
        for i, image in enumerate(batch.images):
            rows = [r for r, (j, _) in enumerate(batch.rows) if j == i]
            if not rows:
                found.append([])
                continue
            both = len(rows) == 2
            edges = table.edges_both if both else table.edges_hand
            if not edges:  # a model of whole images that knows no such image
                found.append([])
                continue
            logits = output.arrays["class_logits"][rows].astype(float)
            scores = output.arrays["score"][rows].astype(float)
            if output.manifest["unit"] == "image":
                total = float(np.clip(scores[0], 0, scale * len(rows)))
                above = _sigmoid(logits[0])
            else:
                total = float(np.clip(scores, 0, scale).sum())
                above = above_both(total, logits.sum(0), table) if both else _sigmoid(logits[0])
            probabilities = bands_of(above)
            index = bisect_left(edges, round(total)) + 1
            found.append(
                [
                    Category(
                        kind="severity", label=f"damage band {index} of {len(probabilities)}",
                        index=index, edges=edges, probabilities=probabilities,
                        reference=table.reference, code=CODE, model=output.model,
                        view=None if both else 0,
                        side=Side.UNKNOWN if both else image.views[0].side,
                    )
                ]
            )  # fmt: skip
        return found


def above_both(total: float, logits: NDArray[np.float64], table: Severity) -> NDArray[np.float64]:
    """P(total band > k) of two hands, from the total and the sum of the hands' logits."""
    a, b, c = (np.asarray(v) for v in (table.a, table.b, table.c))
    return _sigmoid(a * np.log1p(total) + b * logits + c)


def bands_of(above: NDArray[np.float64]) -> tuple[float, ...]:
    """Band probabilities from P(band > k), made to fall with k; they sum to 1."""
    falling = np.minimum.accumulate(above)
    edges = np.concatenate([[1.0], falling, [0.0]])
    return tuple(float(p) for p in edges[:-1] - edges[1:])


def _sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    out: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(z, -60, 60)))
    return out
