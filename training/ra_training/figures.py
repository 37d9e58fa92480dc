"""From cohorts to what a bundle states: calibration tables, and figures on held-out images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ra_training import assemble, calibrate
from ra_training.cohorts import run
from ra_training.metrics.agreement import pcc, rmse
from ra_training.metrics.classes import classes_of, quadratic_kappa
from ra_training.metrics.strata import by_score_band
from ra_training.scorer.bands import EDGES_BOTH

HAND_MAX, BOTH_MAX = 140.0, 280.0


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
    """Figures of the graphs under ``out`` on the recipe's test images, and the small baseline."""
    from ra_training import baseline

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
    train = baseline.images(table["baseline_train"], table["baseline_seed"], table["prior"])
    test = baseline.images(table["images"], table["seed"], table["prior"])
    small = [
        pcc(
            test[1].astype(np.float64),
            baseline.fit_predict(train, test[0], epochs=table["baseline_epochs"], seed=seed),
        )
        for seed in table["baseline_weights"]
    ]
    return {
        "n": int(whole.sum()),
        "asked": table["images"],
        "pcc": pcc(truth, predicted),
        "rmse": rmse(truth, predicted),
        "mae": float(np.abs(predicted - truth).mean()),
        "bias": float((predicted - truth).mean()),
        "qwk": quadratic_kappa(
            classes_of(truth, EDGES_BOTH), classes_of(np.rint(predicted), EDGES_BOTH)
        ),
        "coverage": float(covered.mean()),
        "coverage_by_band": [
            float(covered[group == g].mean()) for g in range(len(upper)) if (group == g).any()
        ],
        "width": float(limits.mean()),
        "by_score_band": {
            name: (int(f["n"]), f["mae"], f["bias"])
            for name, f in by_score_band(truth, predicted).items()
        },
        "hand_pcc": pcc(cohort.truth[whole].ravel(), hands.ravel()),
        "hand_rmse": rmse(cohort.truth[whole].ravel(), hands.ravel()),
        "baseline_pcc": float(np.mean(small)),
        "baseline_pcc_each": small,
    }
