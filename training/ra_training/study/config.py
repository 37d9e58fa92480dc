"""What a study consists of: the TOML file of ``ra-train reproduce``."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ra_training.errors import TrainingError

ORDINAL = ("coral", "corn", "triangular", "expectation")
"""Class losses that know the order of the classes."""
HEADS = {
    "smooth_l1": "linear", "mse": "linear", "cross_entropy": "bins", "triangular": "bins",
    "expectation": "bins", "coral": "coral", "corn": "corn",
}  # fmt: skip
"""The head of every loss."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(_Table):
    """One set of images: generated ones by number and seed, or a folder of prepared ones."""

    n: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0)
    folder: Path | None = None


class Data(_Table):
    """Where images come from. Parts share no patient; that is checked before anything runs."""

    kind: Literal["phantom", "prepared"] = "phantom"
    unit: Literal["image", "hand"] = "image"
    rows: int = Field(default=256, ge=32)
    columns: int = Field(default=320, ge=32)
    height: int = Field(default=512, ge=160, description="rows of the rendered plate")
    prior: Literal["clinic", "early", "flat"] = "clinic"
    train: Part
    pretrain: Part | None = None
    calibrate: Part
    test: Part

    @model_validator(mode="after")
    def _given(self) -> Data:
        for name in ("train", "pretrain", "calibrate", "test"):
            part = getattr(self, name)
            if part is None:
                continue
            if self.kind == "phantom" and part.n < 8:
                raise ValueError(f"{name}: n of at least 8 generated subjects")
            if self.kind == "prepared" and part.folder is None:
                raise ValueError(f"{name}: the folder of a prepared set")
        return self


class Plan(_Table):
    """Which runs: zoo x schemes x folds x seeds for the score, zoo x losses for the class."""

    architectures: tuple[str, ...] = Field(min_length=1)
    schemes: tuple[str, ...] = ("scratch", "head", "RBs-1", "RBs-2", "finetuned", "two-phase")
    loss: Literal["smooth_l1", "mse"] = "smooth_l1"
    class_losses: tuple[str, ...] = ("cross_entropy", "coral", "corn", "triangular")
    class_scheme: str = "finetuned"
    classes: int = Field(default=10, ge=2)
    edges: tuple[float, ...] = Field(
        default=(),
        description="upper limits of all classes but the last; empty: training quantiles",
    )
    folds: int = Field(default=5, ge=2)
    run_folds: tuple[int, ...] = Field(
        default=(), description="of the folds, those that are trained; empty for all"
    )
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)

    @model_validator(mode="after")
    def _known(self) -> Plan:
        unknown = [name for name in self.class_losses if name not in HEADS]
        if unknown:
            raise ValueError(f"class_losses: {unknown[0]!r} is none of {', '.join(HEADS)}")
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges: ascending, each once")
        if any(not 0 <= f < self.folds for f in self.run_folds):
            raise ValueError("run_folds: numbers from 0 to folds - 1")
        return self


class Study(_Table):
    """A study.

    ``train`` and ``pretrain`` hold keys of a run's configuration (epochs, batch, optimiser, ...);
    ``images_per_second`` by architecture states the budget before anything was measured.
    """

    name: str
    data: Data
    plan: Plan
    train: dict[str, Any] = {}
    pretrain: dict[str, Any] = {}
    baselines: int = Field(
        default=0, ge=0, description="trainings of the small baseline on generated images"
    )
    bootstrap: int = Field(default=1000, ge=20)
    images_per_second: dict[str, float] = {}

    @model_validator(mode="after")
    def _folds_stay_unseen(self) -> Study:
        if self.train.get("keep") == "best" or self.train.get("patience"):
            raise ValueError(
                "train: keep = 'best' and patience look at the fold that stacking reads; leave them"
            )
        return self

    @property
    def label(self) -> str:
        """How every table and figure is labelled."""
        return "generated images (phantom)" if self.data.kind == "phantom" else "real images"


def load(path: Path) -> Study:
    """Read a study: TOML, or the JSON that ``reproduce`` leaves beside its runs.

    Raises:
        TrainingError: no TOML, an unknown key, a value out of range.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return Study.model_validate(table)
    except (OSError, tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise TrainingError(
            code="study-unreadable", text=f"{path.name}: {error}", hint="check the file"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"]) or "study"
        raise TrainingError(
            code="study-invalid", text=f"{path.name}: {where}: {first['msg']}",
            hint="correct that key",
        ) from error  # fmt: skip
