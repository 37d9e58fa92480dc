"""Scorer ``gradcam``: the heatmap of the graph that gave the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ra_engine.manifest import Cam
from ra_engine.types import Batch, Finding, Heatmap, Output


class GradCamScorer:
    """One signed map a hand view, in score units; thresholds by the manifest."""

    name = "gradcam"
    api_version = 1
    needs: Mapping[str, Sequence[str]] = {"svdh": ("cam",)}

    def score(self, batch: Batch, outputs: Mapping[str, Output]) -> list[list[Finding]]:
        """See ``ra_engine.contracts.Scorer``."""
        output = outputs["svdh"]
        table = Cam.model_validate(output.manifest["cam"])
        found: list[list[Finding]] = [[] for _ in batch.images]
        for row, (i, view) in enumerate(batch.rows):
            cam = np.array(output.arrays["cam"][row], np.float32)
            cam.flags.writeable = False
            found[i].append(
                Heatmap(
                    cam=cam, threshold=table.threshold, full_scale=table.full_scale,
                    score_kind="svdh_total" if len(batch.images[i].views) == 2 else "svdh_hand",
                    model=output.model, view=view, side=batch.images[i].views[view].side,
                )
            )  # fmt: skip
        return found
