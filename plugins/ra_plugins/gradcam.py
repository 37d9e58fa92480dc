"""Scorer ``gradcam``: the heatmap of the graph that gave the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ra_engine.manifest import Cam, PreprocessingTable
from ra_engine.prepare import whole_image
from ra_engine.types import Batch, Finding, Heatmap, Output, Side
from ra_engine.views import quarter_turn
from ra_plugins.svdh import HAND_KIND


class GradCamScorer:
    """One signed map a hand view, or of the whole image; thresholds by the manifest."""

    name = "gradcam"
    api_version = 1
    needs: Mapping[str, Sequence[str]] = {"svdh": ("cam",)}

    def score(self, batch: Batch, outputs: Mapping[str, Output]) -> list[list[Finding]]:
        """See ``ra_engine.contracts.Scorer``."""
        output = outputs["svdh"]
        table = Cam.model_validate(output.manifest["cam"])
        if output.manifest["unit"] == "image":
            return _whole_images(batch, output, table)
        found: list[list[Finding]] = [[] for _ in batch.images]
        for row, (i, view) in enumerate(batch.rows):
            cam = np.array(output.arrays["cam"][row], np.float32)
            cam.flags.writeable = False
            found[i].append(
                Heatmap(
                    cam=cam, threshold=table.threshold, full_scale=table.full_scale,
                    score_kind=_score_kind([v.side for v in batch.images[i].views], view),
                    model=output.model, view=view, side=batch.images[i].views[view].side,
                )
            )  # fmt: skip
        return found


def _whole_images(batch: Batch, output: Output, table: Cam) -> list[list[Finding]]:
    """One map an image, from the first of its rows."""
    spec = PreprocessingTable.model_validate(output.manifest["preprocessing"]).spec()
    found: list[list[Finding]] = []
    for i, image in enumerate(batch.images):
        rows = [r for r, (j, _) in enumerate(batch.rows) if j == i]
        if not rows:
            found.append([])
            continue
        cam = np.array(output.arrays["cam"][rows[0]], np.float32)
        cam.flags.writeable = False
        sides = [v.side for v in image.views]
        kind = "svdh_total" if len(sides) > 1 else HAND_KIND[sides[0]]
        found.append(
            [
                Heatmap(
                    cam=cam, threshold=table.threshold, full_scale=table.full_scale,
                    score_kind=kind, model=output.model, view=None,
                    to_image=whole_image(
                        image.radiograph, spec, turn=quarter_turn(image.views)
                    ),
                )
            ]
        )  # fmt: skip
    return found


def _score_kind(sides: Sequence[Side], view: int) -> str:
    """The score that the map explains: the hand's own, or the total where sides are disputed."""
    if len(sides) > 1 and Side.UNKNOWN in sides:
        return "svdh_total"
    return HAND_KIND[sides[view]]
