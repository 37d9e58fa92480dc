"""The card of a bundle that a study made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ra_training.metrics.bootstrap import Interval
from ra_training.phantom import nuisance
from ra_training.study.config import Study
from ra_training.study.sets import Sets
from ra_training.study.yardstick import EPOCHS, TRAIN
from ra_training.zoo.cam import Method

_PHANTOM = """**Demonstration only, not for clinical use.** The weights were trained on {data};
no image of a patient was used. The figures below are phantom figures: they show that the pipeline
works, and say nothing about accuracy on patients."""
_REAL = """**For {use} use, not a medical device.** The weights were trained on {data}. The figures
below hold for images like those of the test set; other scanners, patients and readers were not
tried."""

_MAPS: dict[Method, str] = {
    "gradcam": "Grad-CAM", "hirescam": "HiResCAM", "layercam": "LayerCAM",
}  # fmt: skip


def study_card(
    study: Study, sets: Sets, *, name: str, version: str, use: str, data: str,
    figures: Mapping[str, Interval], members: Sequence[tuple[str, float]], classes: str,
    baseline: Sequence[float] = (), cam: Method = "hirescam",
) -> str:  # fmt: skip
    """Markdown: use, data, members, figures with intervals, limits.

    ``baseline``: PCC of each training of the small network on the test images; ``cam``: what the
    heatmap is.
    """
    head = (_PHANTOM if study.data.kind == "phantom" else _REAL).format(data=data, use=use)
    size = f"{study.data.rows} x {study.data.columns}"
    unit = "the whole image, padded" if study.data.unit == "image" else "one hand, canonical view"
    word = "phantom figure" if study.data.kind == "phantom" else "figure"
    sizes = "\n".join(f"| {part} | {n} |" for part, n in sets.sizes.items())
    weights = "\n".join(f"| {member} | {weight:.3f} |" for member, weight in members)
    rows = "\n".join(f"| {k} | {v} |" for k, v in figures.items())
    said = f"The class comes from {classes}, its logits divided by one temperature.\n" * bool(
        classes
    )
    return f"""# Model card: {name} {version}

{head}

## What it does
Estimates the SvdH score from {unit} ({size}), by the stack of the study "{study.name}": members of
the first seed, non-negative least squares on predictions out of fold. {said}
The heatmap is {_MAPS[cam]}, of the members as they are weighted.

| member | weight |
|---|---|
{weights}

## Data
| set | images |
|---|---|
{sizes}

Set digest {sets.digest()}. No patient is in two sets.
Class edges, from the training set: {", ".join(f"{e:g}" for e in sets.edges)}.

## On the test set, 95 % intervals, patients resampled
| {word} | value |
|---|---|
{rows}

The 90 % prediction interval is split conformal by band of the prediction, on the calibration set.
{_easy(study, baseline)}
## Limits
Hands only, adults, postero-anterior. Not for feet, children, casts or prostheses. A joint that
cannot be judged is not recognised as such. The full tables, hypotheses and the configuration are in
the study's report.
"""


def _easy(study: Study, baseline: Sequence[float]) -> str:
    """How easy generated images are: the small baseline's PCC, and what varies in them."""
    if study.data.kind != "phantom":
        return ""
    each = ", ".join(f"{v:.3f}" for v in baseline)
    told = f"{np.mean(baseline):.3f} ({each})" if len(baseline) else "not measured"
    return f"""
PCC of the small baseline (six convolutions, whole images of 256 x 320, {TRAIN} of them, {EPOCHS}
epochs) on the same test images: {told}. It says how easy these images are: read every figure beside
it.

## What varies in the images
{nuisance.table()}
"""
