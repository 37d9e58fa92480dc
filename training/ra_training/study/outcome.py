"""From finished runs to tables, figures and the report."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ra_engine.prepare import Preprocessing
from ra_training.metrics.classes import classes_of
from ra_training.metrics.classes import confusion as confusions
from ra_training.study import figures, report, tables
from ra_training.study.config import Study
from ra_training.study.hypotheses import Hypothesis, hypotheses
from ra_training.study.plan import done, specs
from ra_training.study.results import Results, collect
from ra_training.study.sets import Sets
from ra_training.study.stacks import Calibrated, Stacked, calibrated, stacked
from ra_training.study.yardstick import yardstick

EXPLAINED = 60
"""Generated subjects on which maps are measured; a seed of its own."""
EXPLAIN_SEED = 990_001


def conclude(study: Study, sets: Sets, root: Path) -> Path:
    """Write ``results.json``, ``tables``, ``figures`` and ``report.html`` below ``root``.

    Raises:
        TrainingError: runs are left, matplotlib is missing.
    """
    results = collect(study, sets, root)
    found = stacked(results)
    calibration = calibrated(results, found)
    claims = hypotheses(results, found, draws=study.bootstrap)
    made = [
        tables.scores(results, found, study.bootstrap),
        tables.classes(results, found, study.bootstrap),
        tables.claims(claims),
        *tables.groups(results, found, sets.test.samples, study.bootstrap),
        tables.calibration(calibration),
        tables.weights(found),
    ]
    if results.pretrain:
        made.append(tables.pretraining(results))
    small = yardstick(study, root)
    if small:
        made.append(tables.yardstick(small))
    if study.data.kind == "phantom":
        made.append(_explained(study, results, root))
    told = [done(root, s) for s in specs(study)]
    hours = sum(float(t["seconds"]) for t in told if t is not None) / 3600
    (root / "tables").mkdir(exist_ok=True)
    for table in made:
        table.write(root / "tables" / f"{table.name}.csv")
    drawn = _figures(study, sets, results, found, calibration, root)
    (root / "results.json").write_text(
        json.dumps(
            {
                "label": study.label, "edges": results.edges,
                "tables": {t.name: asdict(t) for t in made},
                "hypotheses": [_told(h) for h in claims],
                "hours": hours,
            },
            indent=1, allow_nan=False,
        ),
        encoding="utf-8",
    )  # fmt: skip
    return report.write(
        root / "report.html", name=study.name, label=study.label, tables=made, figures=drawn,
        facts=_facts(study, sets, results, hours), configuration=study.model_dump_json(indent=1),
    )  # fmt: skip


def _facts(study: Study, sets: Sets, results: Results, hours: float) -> str:
    """What was trained on what, and how the best member and the stacks were chosen."""
    sizes = ", ".join(f"{n} {name}" for name, n in sets.sizes.items())
    held = int(np.isfinite(results.score_cells[0].oof[0]).sum())
    if held == len(sets.train):
        how = "Networks of a row are averaged over folds within a seed; stacks, best member and "
        how += "best scheme come from predictions out of fold."
    else:
        how = f"Of the training images {held} were held out of every network; stacks, best member "
        how += "and best scheme come from predictions for them."
    return (
        f"Images: {sizes}. Seeds: {', '.join(map(str, study.plan.seeds))}; figures are means over "
        f"seeds. {how} Best member: {results.best.name}. Training took {hours:.1f} hours in all."
    )


def _told(found: Hypothesis) -> dict[str, Any]:
    """A hypothesis for JSON, which has no NaN."""
    difference = {
        k: None if isinstance(v, float) and not np.isfinite(v) else v
        for k, v in asdict(found.difference).items()
    }
    return asdict(found) | {"difference": difference, "verdict": found.verdict}


def _figures(
    study: Study, sets: Sets, results: Results, found: Stacked, calibration: Calibrated, root: Path
) -> dict[str, Path]:
    folder, label = root / "figures", study.label
    truth, best = results.test_truth, results.best
    out: dict[str, Path] = {}
    for name, file, predicted in (
        (f"Best member: {best.name}", "best", best.test[0]),
        ("Stack (nnls)", "stack", found.score["nnls"][0]),
    ):
        out[name] = figures.predicted_against_true(
            folder / f"predicted-{file}.png", truth, predicted, title=name, label=label
        )
    arms = [(c.name, c.classes(results.edges)[0]) for c in results.class_cells]
    arms.append(("stack (nnls) by edges", classes_of(found.score["nnls"][0], results.edges)))
    for i, (name, classes) in enumerate(arms):
        table = confusions(results.test_classes, classes, len(results.edges) + 1)
        out[f"Confusion: {name}"] = figures.confusion(
            folder / f"confusion-{i}.png", table, title=f"Confusion: {name}", label=label
        )
    curves: dict[str, dict[str, list[float]]] = {}
    for cell in results.cells:
        if losses := _losses(root / "runs" / cell.keys[0]):
            name = cell.name.removeprefix(f"{cell.architecture} ")
            curves.setdefault(cell.architecture, {})[name] = losses
    if curves:
        out["Learning curves"] = figures.learning_curves(
            folder / "learning-curves.png", curves, label=label
        )
    if calibration.before is not None and calibration.after is not None:
        out["Reliability"] = figures.reliability(
            folder / "reliability.png",
            {"as trained": calibration.before, "with temperature": calibration.after}, label=label,
        )  # fmt: skip
    out["Heatmaps"] = _panel(study, sets, results, root)
    return out


def _panel(study: Study, sets: Sets, results: Results, root: Path) -> Path:
    """Two images each of TN, FP, TP, FN where there are; positive: above the lowest quarter."""
    from ra_training.study.heatmaps import maps_of

    best = results.best
    edge = max(1.0, float(np.quantile(results.test_truth, 0.25)))
    truth, said = results.test_truth >= edge, best.test[0] >= edge
    rows, captions = [], []
    for name, chosen in (
        ("TN", ~truth & ~said), ("FP", ~truth & said), ("TP", truth & said), ("FN", truth & ~said),
    ):  # fmt: skip
        for row in np.flatnonzero(chosen)[:2]:
            rows.append(int(row))
            captions.append(
                f"{name}: true {results.test_truth[row]:.0f}, predicted {best.test[0][row]:.0f}"
            )
    pixels = np.array(sets.test.pixels[rows])
    maps = maps_of(root / "runs" / best.keys[0] / "member.safetensors", pixels).maps
    return figures.heatmap_panel(
        root / "figures" / "heatmaps.png", pixels, maps, captions, label=study.label,
        title=f"HiResCAM of {best.name}; positive: score of {edge:.0f} or more",
    )  # fmt: skip


def _explained(study: Study, results: Results, root: Path) -> tables.Table:
    from ra_training.study.heatmaps import compare_methods
    from ra_training.study.scenes import scenes

    data = study.data
    spec = Preprocessing(
        kind="letterbox" if data.unit == "image" else "hand_view", rows=data.rows,
        columns=data.columns,
    )  # fmt: skip
    shown = scenes(EXPLAINED, EXPLAIN_SEED, spec, prior=data.prior, height=data.height)
    rows = []
    for cell in results.score_cells:
        weights = root / "runs" / cell.keys[0] / "member.safetensors"
        for method, e in compare_methods(weights, shown).items():
            figures_ = (f"{v:.3f}" for v in (e.energy, e.area, e.gain, e.hits))
            rows.append((cell.name, method, str(e.n), *figures_))
    return tables.Table(
        name="explanation", title="Heatmaps on damaged joints: share of energy, share of area, "
        "gain over chance, pointing game",
        columns=("network", "method", "n", "energy", "area", "gain", "hits"), rows=tuple(rows),
    )  # fmt: skip


def _losses(folder: Path) -> list[float]:
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [float(r["loss"]) for r in rows if "loss" in r]
