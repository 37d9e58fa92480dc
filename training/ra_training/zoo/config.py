"""A run's configuration: TOML, changed by ``a.b=c``, saved as it was resolved."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ra_training.errors import TrainingError
from ra_training.zoo.heads import HEADS
from ra_training.zoo.losses import SCORE_LOSSES
from ra_training.zoo.registry import REGISTRY

_FITTING: dict[str, tuple[str, ...]] = {
    "linear": tuple(SCORE_LOSSES),
    "mlp": tuple(SCORE_LOSSES),
    "coral": ("coral",),
    "corn": ("corn",),
    "bins": ("cross_entropy", "triangular", "expectation"),
}


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Augment(_Table):
    """Largest changes, all of which leave the score alone; 0 switches one off.

    Attributes:
        turn_degrees: either way; scale, shift: share of the image.
        tone: largest log gamma; gain and offset follow it. Never inverted.
        blur: largest sigma in pixels; noise: largest standard deviation of 0-1 tones.
        jpeg: share of images that go through the quantisation of lossy compression.
        flip: mirror half of the images: for whole radiographs, hand views show one side already.
    """

    turn_degrees: float = Field(default=20.0, ge=0, le=180)
    scale: float = Field(default=0.1, ge=0, lt=1)
    shift: float = Field(default=0.04, ge=0, lt=0.5)
    tone: float = Field(default=0.2, ge=0, le=1)
    noise: float = Field(default=0.03, ge=0, le=0.5)
    blur: float = Field(default=1.0, ge=0, le=3)
    jpeg: float = Field(default=0.2, ge=0, le=1)
    flip: bool = False


class Optimiser(_Table):
    """AdamW with warm-up and a cosine to nothing; biases and normalisation do not decay."""

    peak: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-3, ge=0)
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of all steps")
    backbone: float = Field(default=1.0, gt=0, description="factor of the backbone's rate")
    clip: float = Field(default=5.0, gt=0, description="largest gradient norm")
    ema: float = Field(default=0.99, ge=0, lt=1, description="0 keeps no average of the weights")


class RunConfig(_Table):
    """One network, one training."""

    architecture: str = "resnet18"
    head: str = "linear"
    loss: str = "smooth_l1"
    target: Literal["score", "months"] = "score"
    scheme: str = "scratch"
    weights: str | None = Field(
        default=None, description="torchvision file, 'download', or an own run"
    )
    edges: tuple[float, ...] = Field(
        default=(), description="upper limits of the classes, ascending"
    )
    values: tuple[float, ...] = Field(default=(), description="score value of each class or bin")
    target_scale: float = Field(default=10.0, gt=0, description="labels are divided by it")
    epochs: int = Field(default=10, ge=1)
    batch: int = Field(default=16, ge=1, description="images a step, of all processes together")
    seed: int = Field(default=0, ge=0)
    first_phase: float = Field(
        default=0.25, gt=0, lt=1, description="share of a two-phase run that moves the head only"
    )
    keep: Literal["last", "best"] = Field(
        default="last", description="weights of the end, or of the best epoch on the validation set"
    )
    patience: int = Field(
        default=0, ge=0, description="epochs without a better validation before the end; 0 = never"
    )
    validate_every: int = Field(default=1, ge=0, description="epochs; 0 = only at the end")
    device: str = Field(default="cpu", description="cpu, cuda or cuda:N; torchrun shares cards out")
    amp: bool = Field(default=True, description="backbone in half precision; heads stay FP32")
    half: Literal["bf16", "fp16"] = Field(default="bf16", description="fp16 needs a GPU")
    channels_last: bool = True
    threads: int = Field(default=0, ge=0, description="of the CPU; 0 = torch's own choice")
    deterministic: bool = Field(default=False, description="GPU kernels that repeat bit for bit")
    save_every: int = Field(default=200, ge=1, description="steps between checkpoints")
    log_every: int = Field(default=10, ge=1, description="steps between rows of metrics")
    augment: Augment = Augment()
    optimiser: Optimiser = Optimiser()

    @model_validator(mode="after")
    def _fits(self) -> RunConfig:
        if self.architecture not in REGISTRY:
            raise ValueError(f"architecture: one of {', '.join(sorted(REGISTRY))}")
        if self.head not in HEADS:
            raise ValueError(f"head: one of {', '.join(HEADS)}")
        fitting = _FITTING[self.head]
        if self.loss not in fitting:
            raise ValueError(f"loss: head {self.head} takes {', '.join(fitting)}")
        if self.head in ("coral", "corn", "bins") and len(self.values) != len(self.edges) + 1:
            raise ValueError("values: one more than edges for a head with classes")
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges: ascending, each once")
        if self.amp and self.half == "fp16" and not self.device.startswith("cuda"):
            raise ValueError("half: fp16 needs a GPU, take bf16")
        return self

    @property
    def digest(self) -> str:
        """Of what shapes the weights: not of how often it is saved and logged.

        Nor of where the weights lie that it starts from: a folder may move, their content counts.
        """
        told = self.model_dump(mode="json", exclude={"save_every", "log_every", "weights"})
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def load(path: Path, changes: Sequence[str] = ()) -> RunConfig:
    """Read a configuration and apply ``a.b=c`` changes, whose values are TOML or plain words.

    Raises:
        TrainingError: not TOML, unknown key, value out of range.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(
            code="config-unreadable", text=f"{path.name}: {error}", hint="check the file"
        ) from error
    return resolve(table, changes)


def resolve(table: dict[str, Any], changes: Sequence[str] = ()) -> RunConfig:
    """A configuration from a table; see ``load``."""
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise TrainingError(
                code="config-change", text=f"{change!r} is no change", hint="write a.b=c"
            )
        place = table
        *parents, last = key.split(".")
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = _value(text)
    try:
        return RunConfig.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"]) or "configuration"
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(where, keys(), 1, 0.0)[0]
            raise TrainingError(
                code="config-unknown", text=f"no setting {where!r}", hint=f"did you mean {near!r}"
            ) from error
        raise TrainingError(
            code="config-invalid", text=f"{where}: {first['msg']}", hint="correct that key"
        ) from error


def keys() -> list[str]:
    """Every setting by its dotted name."""
    found: list[str] = []
    for name, setting in RunConfig.model_fields.items():
        kind = setting.annotation
        inner = isinstance(kind, type) and issubclass(kind, _Table)
        found += [f"{name}.{k}" for k in kind.model_fields] if inner else [name]  # type: ignore[union-attr]
    return found


def save(config: RunConfig, path: Path) -> None:
    """Write the resolved configuration as JSON."""
    text = json.dumps(config.model_dump(mode="json"), indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text
