"""Model cards: what a bundle is, what it was measured on, and what it must not be used for."""

from __future__ import annotations

from typing import Any

from scipy.stats import binomtest

from ra_training.phantom import PHANTOM_VERSION, nuisance

_HONEST = """**Demonstration only, not for clinical use.** The weights were trained on generated
radiographs (phantoms) of version {version}; no image of a patient was used. The figures below are
phantom figures: they show that the pipeline works, and say nothing about accuracy on patients.
"""


def scorer_card(version: str, recipe: dict[str, Any], figures: dict[str, Any]) -> str:
    """The card of the score bundle."""
    rows = _score_bands(figures)
    each = _each(figures)
    cover = ", ".join(f"{v:.3f}" for v in figures["coverage_by_band"])
    return f"""# Model card: demo {version}

{_HONEST.format(version=PHANTOM_VERSION)}
## What it does
Counts joint damage in one hand view (384 x 288, canonical) as a signed density that sums to the
estimated SvdH score of that hand (0-140); a two-hand image gets the sum (0-280) with an interval of
its own, calibrated on sums. Members: {", ".join(recipe["scorer"]["members"])}; stacked by
non-negative least squares on held-out hands. The density is the heatmap. An ordinal head gives
damage bands; zero is a band of its own.

## Data
Training: {recipe["scorer"]["subjects"]} generated subjects (seed {recipe["scorer"]["seed"]}).
Calibration: {recipe["calibrate"]["images"]} two-hand images (seed {recipe["calibrate"]["seed"]}).
Test: {recipe["evaluate"]["images"]} two-hand images (seed {recipe["evaluate"]["seed"]}), clinic
prior, end to end through the locator; seeds never trained or calibrated on.

## Phantom figures on the test images, both hands
With 95 % intervals, subjects resampled.

| figure | value |
|---|---|
| images scored | {figures["n"]} of {figures["asked"]} |
| PCC | {_with_interval(figures, "pcc", ".3f")} |
| RMSE | {_with_interval(figures, "rmse", ".2f")} |
| MAE | {_with_interval(figures, "mae", ".2f")} |
| bias | {_with_interval(figures, "bias", "+.2f")} |
| QWK of damage bands | {_with_interval(figures, "qwk", ".3f")} |
| coverage of the 90 % prediction interval | {_with_interval(figures, "coverage", ".3f")} |
| coverage by band of the prediction | {cover} |
| mean width of the interval | {figures["width"]:.1f} |
| one hand: PCC | {_with_interval(figures, "hand_pcc", ".3f")} |
| one hand: RMSE | {_with_interval(figures, "hand_rmse", ".2f")} |
| PCC of the small baseline on the same images | {figures["baseline_pcc"]:.3f} ({each}) |

| true total | n | MAE | bias |
|---|---|---|---|
{rows}

The small baseline is a six-convolution network of 0.17 M parameters on whole 256 x 320 images,
{recipe["evaluate"]["baseline_train"]} images, {recipe["evaluate"]["baseline_epochs"]} epochs;
the figure is the mean of {len(figures["baseline_pcc_each"])} trainings that differ by their seed.
That it comes this far says how easy these images are: read every figure above beside it.

## What varies in the images
{nuisance.table()}

## Limits
Adults, both hands or one, postero-anterior. Not for feet, children, casts or prostheses. A joint
that cannot be judged is not recognised as such by this model. The generated images are simpler than
films; scores of real films by this bundle have no meaning.
"""


def _score_bands(figures: dict[str, Any]) -> str:
    return "\n".join(
        f"| {band} | {n} | {mae:.2f} | {bias:+.2f} |"
        for band, (n, mae, bias) in figures["by_score_band"].items()
    )


_SHARES = {
    "kind_accuracy": "kind of image told",
    "hand_recall": "whole hands called hands",
    "nonhand_called_hand": "others called hands",
    "child_seen": "growth plates of children of 3 to 14 years above 0.5 (the gate asks for 0.6)",
    "adult_called_child": "the same of adults",
}


def locator_card(
    version: str, recipe: dict[str, Any], figures: dict[str, float], scorer: dict[str, Any]
) -> str:
    """The card of the locator; ``scorer`` holds the figures of the small baseline."""
    seen = recipe["locator"].get("generator", PHANTOM_VERSION)
    rows = "\n".join(f"| {words} | {_share(figures, k)} |" for k, words in _SHARES.items())
    return f"""# Model card: locator {version}

{_HONEST.format(version=seen)}
## What it does
Finds hands and 21 landmarks of each in a whole image (256 x 256, padded); tells whole hands from
wrists, partial hands, hands in a cast and other images, and open growth plates from closed ones.
The gate decides by it what is scored.

## Data
Training: {recipe["locator"]["scenes"]} generated scenes (seed {recipe["locator"]["seed"]}).
Test: {recipe["locator"]["held_scenes"]} scenes of another seed ({recipe["locator"]["held_seed"]},
generator {PHANTOM_VERSION}); the distance beyond which an image is out of distribution,
{figures["distance"]:.2f}, comes from half of their hands.

## Phantom figures on the test scenes
Shares with 95 % intervals (Wilson).

| figure | value |
|---|---|
{rows}

PCC of the small baseline of the demonstration bundle, which says how easy these images are:
{scorer["baseline_pcc"]:.3f} ({_each(scorer)}).

## What varies in the images
{nuisance.table()}

## Limits
Hands of adults that point up within 25 degrees, both or one, postero-anterior. Growth plates are
seen less surely the older the child, and hardly from 13 years on: age comes from the header.
Prostheses, bandages and splints were in no training image, and what real films differ in is
not known to it.
"""


def _each(figures: dict[str, Any]) -> str:
    return ", ".join(f"{v:.3f}" for v in figures["baseline_pcc_each"])


def _share(figures: dict[str, float], key: str) -> str:
    n = int(figures[f"scenes_{key}"])
    if not n:
        return "no such scene"
    limits = binomtest(round(figures[key] * n), n).proportion_ci(method="wilson")
    return f"{figures[key]:.4f} ({limits.low:.4f} to {limits.high:.4f}), {n} scenes"


def _with_interval(figures: dict[str, Any], name: str, form: str) -> str:
    low, high = figures["intervals"][name]
    return f"{figures[name]:{form}} ({low:{form}} to {high:{form}})"
