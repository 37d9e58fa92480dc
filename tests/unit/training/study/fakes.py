"""Small sets with a signal, and runs whose predictions are made up instead of trained."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from ra_training.data.prepared import Prepared, Unit
from ra_training.data.sample import Hands, Sample
from ra_training.study.config import Study
from ra_training.study.plan import specs
from ra_training.study.sets import Sets, open_sets

TABLE: dict[str, Any] = {
    "name": "Fake",
    "bootstrap": 60,
    "data": {"kind": "prepared", "rows": 64, "columns": 64},
    "plan": {
        "architectures": ["mobilenet_v2"], "schemes": ["scratch", "finetuned"],
        "class_losses": ["cross_entropy", "coral"], "classes": 3, "folds": 2, "seeds": [0, 1],
    },
    "train": {"epochs": 1, "batch": 8, "amp": False, "validate_every": 0},
    "pretrain": {"epochs": 1, "batch": 8, "amp": False, "validate_every": 0},
}  # fmt: skip


SIDES: tuple[Hands, Hands] = ("left", "right")


def small(name: str, n: int, seed: int, unit: Unit = "image") -> Prepared:
    """Grey squares, the brighter the higher the score; months for all.

    With unit ``hand`` the two images of a patient are the hands of a visit.
    """
    draw = np.random.default_rng(seed)
    scores = np.where(draw.random(n) < 0.25, 0, np.rint(draw.gamma(1.0, 40, n)))
    pixels = np.clip(40 + scores[:, None, None] + draw.normal(0, 9, (n, 64, 64)), 0, 255)
    return Prepared(
        pixels=pixels.astype(np.uint8), unit=unit,
        samples=tuple(
            Sample(
                key=f"{name}{i}", patient_id=f"{name}{i // 2}", visit="1", source="table",
                image=None, hands="both" if unit == "image" else SIDES[i % 2], score=float(s),
                months=12 + float(s), sex="F",
                readers={"A": float(s)}, joints={"L_BE_R": float(i % 2)},
            )
            for i, s in enumerate(scores)
        ),
    )  # fmt: skip


def study(folder: Path, unit: Unit = "image", **plan: Any) -> Study:
    """A study of prepared sets below ``folder``."""
    parts = {}
    for i, (name, n) in enumerate(
        (("train", 60), ("pretrain", 40), ("calibrate", 80), ("test", 60))
    ):
        small(name, n, i, unit).save(folder / name, {})
        parts[name] = {"folder": str(folder / name)}
    return Study.model_validate(
        {
            **TABLE,
            "data": {**TABLE["data"], "unit": unit, **parts},
            "plan": {**TABLE["plan"], **plan},
        }
    )


def fake_runs(made: Study, root: Path) -> Sets:
    """Finished runs whose error depends on their arm: finetuned and coral are the better ones."""
    sets = open_sets(made, root / "cache")
    for spec in specs(made):
        folder = root / "runs" / spec.key
        folder.mkdir(parents=True)
        draw = np.random.default_rng(int(hashlib.sha256(spec.key.encode()).hexdigest()[:8], 16))
        noise = 6.0 if spec.scheme == "finetuned" and spec.loss != "cross_entropy" else 25.0
        if spec.stage == "pretrain":
            rows, arrays = np.arange(10), {}
            truth = sets.pretrain.targets("months")[:10]  # type: ignore[union-attr]
            arrays["valid"] = truth + 3.0
        else:
            rows = np.flatnonzero(sets.fold == spec.fold)
            arrays = {"valid": sets.train.targets("score")[rows]}
            for name, part in (("calibrate", sets.calibrate), ("test", sets.test)):
                arrays[name] = part.targets("score") + draw.normal(0, noise, len(part))
                logits = arrays[name][:, None] - np.asarray(sets.edges)
                arrays[f"{name}_logits"] = logits / 5 if spec.stage == "class" else logits[:, :0]
            arrays["valid"] = arrays["valid"] + draw.normal(0, noise, len(rows))
            logits = arrays["valid"][:, None] - np.asarray(sets.edges)
            arrays["valid_logits"] = logits / 5 if spec.stage == "class" else logits[:, :0]
        np.savez(folder / "predictions.npz", rows=rows, **arrays)
        (folder / "metrics.jsonl").write_text(
            "".join(json.dumps({"step": i, "loss": 1 / i}) + "\n" for i in range(1, 30))
        )
        (folder / "done.json").write_text(json.dumps({"digest": "", "seconds": 10.0}))
    return sets
