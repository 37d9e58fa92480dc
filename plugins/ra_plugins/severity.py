"""Scorer ``severity``: the damage band, with probabilities from the ordinal head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ra_engine.bands import above_both, band_of, bands_of, sigmoid
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
                above = sigmoid(logits[0])
            else:
                total = float(np.clip(scores, 0, scale).sum())
                above = above_both(total, logits.sum(0), table) if both else sigmoid(logits[0])
            probabilities = bands_of(above)
            index = band_of(total, edges)
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
