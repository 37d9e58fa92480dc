"""Figures of a study, as PNG files; matplotlib is needed only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_training.calibration.reliability import Reliability
from ra_training.errors import TrainingError
from ra_training.metrics.agreement import pcc, rmse

Array = NDArray[np.float64]


def plots() -> Any:
    """matplotlib.pyplot, drawing into files.

    Raises:
        TrainingError: it is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise TrainingError(
            code="matplotlib-missing", text="figures need matplotlib",
            hint="install ra-daemon[study]",
        ) from error  # fmt: skip
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def deciles(truth: Array, predicted: Array, parts: int = 10) -> tuple[Array, Array, Array]:
    """Mean truth, mean prediction and SD of predictions of equal parts by the true score."""
    groups = np.array_split(np.argsort(truth, kind="stable"), parts)
    rows = [(truth[g].mean(), predicted[g].mean(), predicted[g].std()) for g in groups if len(g)]
    x, y, sd = (np.array(column) for column in zip(*rows, strict=True))
    return x, y, sd


def predicted_against_true(
    path: Path, truth: Array, predicted: Array, *, title: str, label: str
) -> Path:
    """Cases, the line of identity, decile means with SD."""
    plt = plots()
    figure, axes = plt.subplots(figsize=(5, 5), dpi=110)
    top = float(max(truth.max(), predicted.max(), 1)) * 1.03
    axes.plot([0, top], [0, top], color="0.6", linewidth=1)
    axes.scatter(truth, predicted, s=7, alpha=0.35, color="#33658a", linewidths=0)
    x, y, sd = deciles(truth, predicted)
    axes.errorbar(x, y, yerr=sd, fmt="o", color="#c0392b", capsize=3, markersize=4)
    axes.set(xlabel="true score", ylabel="predicted score", xlim=(-3, top), ylim=(-3, top))
    figures = f"PCC {pcc(truth, predicted):.3f}, RMSE {rmse(truth, predicted):.1f}"
    return _save(figure, path, f"{title}\n{figures}; decile means and SD in red", label)


def confusion(path: Path, table: NDArray[np.int64], *, title: str, label: str) -> Path:
    """Cases by true and predicted class, shade by row."""
    plt = plots()
    figure, axes = plt.subplots(figsize=(5, 4.6), dpi=110)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), n in np.ndenumerate(table):
        if n:
            colour = "white" if share[i, j] > 0.6 else "black"
            axes.text(j, i, str(n), ha="center", va="center", fontsize=7, color=colour)
    axes.set(xlabel="predicted class", ylabel="true class")
    return _save(figure, path, title, label)


def learning_curves(
    path: Path, runs: Mapping[str, Mapping[str, Sequence[float]]], *, label: str
) -> Path:
    """Training loss, mean of twenty parts of each run; a panel for each architecture.

    Losses of another kind have other heights: a curve is compared with itself, or with its kind.

    Args:
        runs: losses by architecture and name of the run.
    """
    plt = plots()
    figure, axes = plt.subplots(
        1, len(runs), figsize=(4.6 * len(runs), 5.4), dpi=110, squeeze=False, sharey=True
    )
    for place, (architecture, own) in zip(axes.flat, runs.items(), strict=True):
        for name, losses in own.items():
            parts = [p.mean() for p in np.array_split(np.asarray(losses), 20) if len(p)]
            share = np.linspace(0, 100, len(parts))
            place.plot(share, parts, linewidth=1.2, marker=".", label=name)
        place.set(
            xlabel="% of the training", ylabel="training loss", yscale="log", title=architecture
        )
        place.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    return _save(figure, path, "Learning curves, first seed and fold", label)


def reliability(path: Path, curves: Mapping[str, Reliability], *, label: str) -> Path:
    """Stated against observed probability."""
    plt = plots()
    figure, axes = plt.subplots(figsize=(4.6, 4.6), dpi=110)
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for name, curve in curves.items():
        text = f"{name}, error {curve.ece:.3f}"
        axes.plot(curve.stated, curve.observed, marker="o", markersize=4, label=text)
    axes.set(xlabel="stated P(class above k)", ylabel="share that came true")
    axes.legend(fontsize=8)
    return _save(figure, path, "Reliability of class statements", label)


def heatmap_panel(
    path: Path, pixels: NDArray[np.uint8], maps: Array, captions: Sequence[str],
    *, title: str, label: str,
) -> Path:  # fmt: skip
    """Images with the positive part of their maps; one scale for all."""
    plt = plots()
    columns = min(4, len(pixels))
    rows = -(-len(pixels) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3 * columns, 2.8 * rows), dpi=110, squeeze=False
    )
    top = float(max(maps.max(), 1e-6))
    for place in axes.flat:
        place.axis("off")
    for place, image, cam, caption in zip(axes.flat, pixels, maps, captions, strict=False):
        place.imshow(image, cmap="gray", vmin=0, vmax=255)
        place.imshow(cam, cmap="inferno", vmin=0, vmax=top, alpha=np.clip(cam / top, 0, 0.75))
        place.set_title(caption, fontsize=8)
    return _save(figure, path, title, label)


def _save(figure: Any, path: Path, title: str, label: str) -> Path:
    figure.suptitle(f"{title}\n{label}", fontsize=9)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})  # no version: same figure, same bytes
    plots().close(figure)
    return path
