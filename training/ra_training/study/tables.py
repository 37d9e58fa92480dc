"""Tables of a study: rows of cells, for the report, JSON and CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ra_training.data.sample import Sample
from ra_training.metrics import strata
from ra_training.metrics.agreement import METRICS
from ra_training.metrics.bootstrap import bootstrap
from ra_training.metrics.classes import CLASS_METRICS, classes_of
from ra_training.study import published
from ra_training.study.hypotheses import Hypothesis
from ra_training.study.results import Results
from ra_training.study.stacks import Calibrated, Stacked


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table: title, column names, rows of texts; an empty text is 'not published' or 'none'."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def write(self, path: Path) -> None:
        """As CSV."""
        with path.open("w", newline="", encoding="utf-8") as stream:
            out = csv.writer(stream, lineterminator="\n")
            out.writerow(self.columns)
            out.writerows(self.rows)


def scores(results: Results, found: Stacked, draws: int) -> Table:
    """Every network and stack with intervals, beside the published figures."""
    names = tuple(METRICS)
    rows = [
        (name, *_cells(METRICS, results.test_truth, predicted, results.patients, draws))
        for name, predicted in [
            *((c.name, c.test) for c in results.score_cells),
            *((f"stack ({m})", p) for m, p in found.score.items()),
        ]
    ]
    rows += [_published(p, names) for p in published.SCORE]
    return Table(
        name="scores", title="Score: figures with 95 % intervals (patients resampled)",
        columns=("network", *names), rows=tuple(rows),
    )  # fmt: skip


def classes(results: Results, found: Stacked, draws: int) -> Table:
    """Severity classes, from class networks and from scores by the edges."""
    names = tuple(CLASS_METRICS)
    arms = [(c.name, c.classes(results.edges)) for c in results.class_cells]
    arms += [(f"{c.name}, likeliest class", c.likeliest()) for c in results.class_cells]
    arms.append((f"{results.best.name} by edges", results.best.classes(results.edges)))
    stacked = np.stack([classes_of(p, results.edges) for p in found.score["nnls"]])
    arms.append(("stack (nnls) by edges", stacked))
    if found.classes is not None:
        arms.append(("stacked ordinal model", found.classes))
    truth = results.test_classes
    rows = [
        (name, *_cells(CLASS_METRICS, truth, predicted, results.patients, draws))
        for name, predicted in arms
    ]
    rows += [_published(p, names) for p in published.CLASSES]
    return Table(
        name="classes", title=f"Severity: {len(results.edges) + 1} classes, upper limits "
        + ", ".join(f"{e:g}" for e in results.edges),
        columns=("network", *names), rows=tuple(rows),
    )  # fmt: skip


def claims(found: Sequence[Hypothesis]) -> Table:
    """Hypotheses, each with its paired interval."""
    return Table(
        name="hypotheses",
        title="Hypotheses: second minus first on the same cases, 95 % interval",
        columns=("claim", "figure", "first", "second", "difference", "verdict"),
        rows=tuple(
            (h.claim, h.figure, h.first, h.second, str(h.difference), h.verdict) for h in found
        ),
    )


def groups(results: Results, found: Stacked, samples: Sequence[Sample], draws: int) -> list[Table]:
    """The stack by score band and source over all seeds; by reader and site of the first seed."""
    predicted, truth = found.score["nnls"], results.test_truth
    bands = strata.score_bands(truth)
    order = [name for name, _, _ in strata.SCORE_BANDS if name in bands]
    sources = [s.source for s in samples]
    tables = [
        _grouped("bands", "Stack by band of the true score", results, predicted, bands, order,
                 draws),
        _grouped("sources", "Stack by source", results, predicted, sources,
                 list(dict.fromkeys(sources)), draws),
        _strata("readers", "Stack against each reader", strata.by_reader(samples, predicted[0])),
        _strata(
            "sites", "Error of the total where a site is damaged and where it is sound",
            strata.residual_by_site(samples, truth, predicted[0]),
        ),
    ]  # fmt: skip
    return [t for t in tables if t.rows]


def _grouped(
    name: str, title: str, results: Results, predicted: NDArray[Any], labels: Sequence[str],
    order: Sequence[str], draws: int,
) -> Table:  # fmt: skip
    """Figures of every group with intervals; patients of the group resampled."""
    rows = []
    for group in order:
        at = [i for i, label in enumerate(labels) if label == group]
        patients = [results.patients[i] for i in at]
        cells = _cells(METRICS, results.test_truth[at], predicted[:, at], patients, draws)
        rows.append((group, str(len(at)), *cells))
    return Table(
        name=name, title=f"{title}, 95 % intervals", columns=("group", "n", *METRICS),
        rows=tuple(rows),
    )  # fmt: skip


def weights(found: Stacked) -> Table:
    """Weights of the non-negative stack, mean over seeds and range."""
    w = found.weights
    return Table(
        name="weights", title="Weights of the non-negative stack over seeds",
        columns=("member", "mean", "least", "most"),
        rows=tuple(
            (name, f"{c.mean():.3f}", f"{c.min():.3f}", f"{c.max():.3f}")
            for name, c in zip(found.members, w.T, strict=True)
        ),
    )  # fmt: skip


def calibration(found: Calibrated) -> Table:
    """Coverage of the 90 % interval by band of the prediction, and what the temperature did."""
    limits = [found.interval.upper[g] for g in found.coverage.bands]
    rows = [
        (f"predicted up to {upper:.0f}" if upper < 1e8 else "predicted above", str(n), f"{c:.3f}")
        for upper, n, c in zip(limits, found.coverage.counts, found.coverage.by_band, strict=True)
    ]
    total = str(sum(found.coverage.counts))
    rows.append(("all", total, f"{found.coverage.overall:.3f}"))
    rows.append(("mean width", total, f"{found.coverage.width:.1f}"))
    if found.temperature is not None and found.before is not None and found.after is not None:
        rows.append((f"temperature of {found.class_cell}", "", f"{found.temperature:.2f}"))
        rows.append(("calibration error before", "", f"{found.before.ece:.3f}"))
        rows.append(("calibration error after", "", f"{found.after.ece:.3f}"))
    return Table(
        name="calibration", title="Coverage of the 90 % interval on the test set",
        columns=("band", "n", "value"), rows=tuple(rows),
    )  # fmt: skip


def pretraining(results: Results) -> Table:
    """Error of bone age on children held out."""
    return Table(
        name="pretraining", title="Bone age: mean absolute error on held-out children",
        columns=("run", "months"),
        rows=tuple((k, f"{v:.1f}") for k, v in results.pretrain.items()),
    )  # fmt: skip


def yardstick(small: Sequence[float]) -> Table:
    """PCC of the small baseline on the same test images."""
    rows = [(f"training {i}", f"{v:.3f}") for i, v in enumerate(small)]
    rows.append(("mean", f"{np.mean(small):.3f}"))
    return Table(
        name="baseline", title="The small baseline (six convolutions) on the same test images",
        columns=("training", "pcc"), rows=tuple(rows),
    )  # fmt: skip


def _cells(
    metrics: Mapping[str, Callable[..., float]], truth: NDArray[Any], predicted: NDArray[Any],
    patients: Sequence[str], draws: int,
) -> list[str]:  # fmt: skip
    return [str(bootstrap(m, truth, predicted, patients, draws=draws)) for m in metrics.values()]


def _published(found: published.Published, names: Sequence[str]) -> tuple[str, ...]:
    figures = [f"{found.figures[n]:g}" if n in found.figures else "" for n in names]
    return (f"{found.name} [{found.citation}]", *figures)


def _strata(name: str, title: str, found: strata.Table) -> Table:
    columns = list(next(iter(found.values()))) if found else []
    return Table(
        name=name, title=title, columns=("group", *columns),
        rows=tuple(
            (group, *(f"{row[c]:.0f}" if c.startswith("n") else f"{row[c]:.3f}" for c in columns))
            for group, row in found.items()
        ),
    )  # fmt: skip
