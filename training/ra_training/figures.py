"""From cohorts to what a bundle states: calibration tables, and figures on held-out images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ra_training import assemble, calibrate
from ra_training.cohorts import run
from ra_training.metrics.agreement import Array, Metric, bias, mae, pcc, rmse
from ra_training.metrics.bootstrap import bootstrap
from ra_training.metrics.classes import classes_of, quadratic_kappa
from ra_training.metrics.strata import by_score_band
from ra_training.phantom import PHANTOM_VERSION
from ra_training.scorer.bands import EDGES_BOTH

HAND_MAX, BOTH_MAX = 140.0, 280.0
DRAWS = 2000
"""Resamples behind an interval."""


def calibration(recipe: dict[str, Any], runs: Path, out: Path) -> dict[str, Any]:
    """Write both graphs under ``out`` and fit intervals, bands and the heatmap's scale."""
    for name in ("demo", "locator"):
        (out / name).mkdir(parents=True, exist_ok=True)
    found = assemble.locator_graph(runs, recipe["locator"], out / "locator")
    graph = out / "demo" / "graph.onnx"
    fitted = assemble.score_graph(runs, recipe["scorer"], graph)
    table = recipe["calibrate"]
    locator = out / "locator" / "graph.onnx"
    cohort = run(locator, graph, table["images"], table["seed"], table["prior"])
    whole = cohort.complete
    score = np.clip(cohort.score[whole], 0, HAND_MAX)
    truth = cohort.truth[whole]
    total, total_truth = score.sum(1), truth.sum(1)
    return {
        "locator": found,
        "weights": fitted["weights"],
        "hand": calibrate.intervals(score.ravel(), truth.ravel()),
        "both": calibrate.intervals(total, total_truth),
        "bands": calibrate.bands_of_two(total, cohort.logits[whole].sum(1), total_truth),
        "cam": list(calibrate.heat_scale(cohort.cam_peak[whole].ravel(), truth.ravel())),
    }


def measured(recipe: dict[str, Any], out: Path, both: dict[str, Any]) -> dict[str, Any]:
    """Figures of the graphs under ``out`` on the recipe's test images, and the small baseline.

    ``intervals`` holds 95 % limits of each figure, subjects resampled (both hands together).
    """
    table = recipe["evaluate"]
    locator, graph = (out / n / "graph.onnx" for n in ("locator", "demo"))
    cohort = run(locator, graph, table["images"], table["seed"], table["prior"])
    whole = cohort.complete
    hands = np.clip(cohort.score[whole], 0, HAND_MAX)
    predicted = hands.sum(1)
    truth = cohort.truth[whole].sum(1)
    covered = calibrate.covered(both, predicted, truth)
    upper, low, high = (np.asarray(both[k]) for k in ("upper", "low", "high"))
    group = np.searchsorted(upper, predicted, side="left")
    limits = np.minimum(BOTH_MAX, predicted + high[group]) - np.maximum(0, predicted - low[group])
    people = [str(i) for i in range(len(truth))]
    found = {
        name: bootstrap(metric, truth, predicted, people, draws=DRAWS)
        for name, metric in _FIGURES.items()
    }
    found["coverage"] = bootstrap(
        lambda inside, _: float(inside.mean()), covered.astype(np.float64), predicted, people,
        draws=DRAWS,
    )  # fmt: skip
    hand_truth, twice = cohort.truth[whole].ravel(), [p for p in people for _ in range(2)]
    for name, metric in (("hand_pcc", pcc), ("hand_rmse", rmse)):
        found[name] = bootstrap(metric, hand_truth, hands.ravel(), twice, draws=DRAWS)
    small = small_baseline(table, out / "baseline.json")
    return {
        "n": int(whole.sum()),
        "asked": table["images"],
        **{name: f.value for name, f in found.items()},
        "intervals": {name: [f.low, f.high] for name, f in found.items()},
        "coverage_by_band": [
            float(covered[group == g].mean()) for g in range(len(upper)) if (group == g).any()
        ],
        "width": float(limits.mean()),
        "by_score_band": {
            name: (int(f["n"]), f["mae"], f["bias"])
            for name, f in by_score_band(truth, predicted).items()
        },
        "baseline_pcc": float(np.mean(small)),
        "baseline_pcc_each": small,
    }


def small_baseline(table: dict[str, Any], kept: Path) -> list[float]:
    """PCC of each training of the small network on the recipe's test images.

    Kept in a file beside what decides it, because five trainings take most of an hour of one core.
    """
    facts = {k: v for k, v in table.items() if k.startswith("baseline_")} | {
        "images": table["images"], "seed": table["seed"], "prior": table["prior"],
        "generator": PHANTOM_VERSION,
    }  # fmt: skip
    if kept.exists():
        told = json.loads(kept.read_text(encoding="utf-8"))
        if told["facts"] == facts:
            return [float(v) for v in told["pcc"]]
    from ra_training import baseline

    train = baseline.images(table["baseline_train"], table["baseline_seed"], table["prior"])
    test = baseline.images(table["images"], table["seed"], table["prior"])
    found = [
        pcc(
            test[1].astype(np.float64),
            baseline.fit_predict(train, test[0], epochs=table["baseline_epochs"], seed=seed),
        )
        for seed in table["baseline_weights"]
    ]
    kept.write_text(json.dumps({"facts": facts, "pcc": found}, indent=1), encoding="utf-8")
    return found


def _kappa(truth: Array, predicted: Array) -> float:
    bands = [classes_of(np.rint(v), EDGES_BOTH) for v in (truth, predicted)]
    return quadratic_kappa(*bands)


_FIGURES: dict[str, Metric] = {
    "pcc": pcc, "rmse": rmse, "mae": mae, "bias": bias, "qwk": _kappa,
}  # fmt: skip
