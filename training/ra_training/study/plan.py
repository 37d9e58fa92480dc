"""The runs of a study in their order, and what they will cost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ra_training.study.config import HEADS, Study

Stage = Literal["pretrain", "score", "class"]
GUESS = 10.0
"""Images a second where neither a finished run nor the study's file tells the rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One run.

    Attributes:
        key: its folder below ``runs``; table: its configuration without weights and classes;
        needs: key of the run whose backbone it starts from.
    """

    key: str
    stage: Stage
    architecture: str
    scheme: str
    loss: str
    seed: int
    fold: int | None
    table: Mapping[str, Any]
    needs: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What is left to do: runs, images through training, hours."""

    runs: int
    left: int
    images: int
    hours: float

    def __str__(self) -> str:
        return (
            f"{self.runs} runs, {self.left} left: {self.images:,} images through training, "
            f"about {self.hours:.1f} hours"
        )


def specs(study: Study) -> list[Spec]:
    """Every run: pretraining first, then all folds of the first seed, then the next seed."""
    plan = study.plan
    out: list[Spec] = []
    for seed in plan.seeds:
        if study.data.pretrain is not None:
            out += [_pretrain(study, a, seed) for a in plan.architectures]
        for fold in plan.run_folds or range(plan.folds):
            out += _fine(study, seed, fold)
    return out


def check(study: Study) -> None:
    """Resolve every run, so that a mistake shows before the first one starts.

    Raises:
        TrainingError: an unknown architecture, scheme or setting, a value out of range.
    """
    from ra_training.zoo import config, schemes

    places = tuple(
        float(i)
        for i in range(len(study.plan.edges) + 1 if study.plan.edges else study.plan.classes)
    )
    for spec in specs(study):
        table = dict(spec.table)
        if spec.stage == "class":
            table |= {"edges": places[1:], "values": places}
        config.resolve(table)
        schemes.check(spec.scheme, spec.architecture)


def _pretrain(study: Study, architecture: str, seed: int) -> Spec:
    table = {
        **study.pretrain, "architecture": architecture, "target": "months", "seed": seed,
        "target_scale": study.pretrain.get("target_scale", 100.0),
    }  # fmt: skip
    return Spec(
        key=f"pretrain/{architecture}/seed{seed}", stage="pretrain", architecture=architecture,
        scheme="scratch", loss=str(table.get("loss", "smooth_l1")), seed=seed, fold=None,
        table=table, needs=None,
    )  # fmt: skip


def _fine(study: Study, seed: int, fold: int) -> Iterator[Spec]:
    plan = study.plan
    for architecture in plan.architectures:
        for scheme in plan.schemes:
            yield _one(study, "score", architecture, scheme, plan.loss, seed, fold)
        for loss in plan.class_losses:
            yield _one(study, "class", architecture, plan.class_scheme, loss, seed, fold)


def _one(
    study: Study, stage: Stage, architecture: str, scheme: str, loss: str, seed: int, fold: int
) -> Spec:
    table = {
        **study.train, "architecture": architecture, "scheme": scheme, "loss": loss,
        "head": HEADS[loss], "seed": seed,
    }  # fmt: skip
    warm = study.data.pretrain is not None and scheme != "scratch"
    return Spec(
        key=f"{stage}/{architecture}/{scheme}/{loss}/seed{seed}-fold{fold}", stage=stage,
        architecture=architecture, scheme=scheme, loss=loss, seed=seed, fold=fold, table=table,
        needs=f"pretrain/{architecture}/seed{seed}" if warm else None,
    )  # fmt: skip


def done(root: Path, spec: Spec) -> dict[str, Any] | None:
    """What a finished run says of itself, or None."""
    path = root / "runs" / spec.key / "done.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def budget(study: Study, root: Path, sizes: Mapping[str, int]) -> Budget:
    """What is left, at the measured rate of finished runs of the architecture or the stated one.

    Args:
        sizes: images of ``train`` and ``pretrain``.
    """
    rates = dict(study.images_per_second)
    left: list[tuple[Spec, int]] = []
    every = specs(study)
    for spec in every:
        images = _images(study, spec, sizes)
        marker = done(root, spec)
        if marker is None:
            left.append((spec, images))
        elif marker["seconds"] > 0 and spec.scheme != "head":
            rates[spec.architecture] = images / float(marker["seconds"])
    seconds = sum(n / rates.get(spec.architecture, GUESS) for spec, n in left)
    return Budget(
        runs=len(every), left=len(left), images=sum(n for _, n in left), hours=seconds / 3600
    )


def _images(study: Study, spec: Spec, sizes: Mapping[str, int]) -> int:
    epochs = int(spec.table.get("epochs", 10))
    if spec.stage == "pretrain":
        return epochs * round(0.9 * sizes["pretrain"])
    return epochs * round(sizes["train"] * (1 - 1 / study.plan.folds))
