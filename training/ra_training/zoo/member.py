"""One network of the zoo: backbone and head, with the losses that fit."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ra_training.errors import TrainingError
from ra_training.zoo import losses
from ra_training.zoo.config import RunConfig, resolve
from ra_training.zoo.heads import BoneAge, head
from ra_training.zoo.registry import backbone


class Member(nn.Module):
    """A backbone with a head for scores, or for bone age (months, with the sex).

    forward: (b, 1, rows, columns), (b,) 1 = female -> raw outputs (b, r) in units of
    ``target_scale``.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.config = config
        own = config.weights is not None and Path(config.weights).name == "member.safetensors"
        self.backbone = backbone(config.architecture, None if own else config.weights)
        scaled = [v / config.target_scale for v in config.values]
        self.head: nn.Module
        if config.target == "months":
            self.head = BoneAge(self.backbone.channels)
        else:
            self.head = head(config.head, self.backbone.channels, scaled)
        if own:
            self.start_from(Path(str(config.weights)))

    def forward(self, x: Tensor, female: Tensor) -> Tensor:
        """See the class."""
        a = self.backbone(x)
        months = self.config.target == "months"
        raw: Tensor = self.head(a, female)[:, None] if months else self.head.raw(a)
        return raw

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Loss of raw outputs against labels (b,) in their own units."""
        config = self.config
        if config.loss in losses.CLASS_LOSSES:
            edges = torch.tensor(config.edges, device=labels.device)
            return losses.CLASS_LOSSES[config.loss](raw, torch.bucketize(labels, edges))
        if config.loss == "expectation":
            return losses.expectation(self.head.values)(raw, labels / config.target_scale)
        return losses.SCORE_LOSSES[config.loss](raw, labels / config.target_scale)

    def read(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (b,) in label units, cumulative class logits (b, k - 1)."""
        if self.config.target == "months":
            return raw[:, 0] * self.config.target_scale, raw[:, 1:]
        score, logits = self.head.of(raw)
        return score * self.config.target_scale, logits

    def start_from(self, path: Path) -> None:
        """Take the backbone of an earlier run (bone age, say); its head stays behind.

        Raises:
            TrainingError: not a member of this architecture.
        """
        state = read(path)
        self.backbone.load(
            {
                k.removeprefix("backbone.net."): v
                for k, v in state.items()
                if k.startswith("backbone.net.")
            }
        )

    def save(self, path: Path) -> None:
        """Weights and configuration in one file."""
        kept = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        save_file(kept, path, metadata={"config": self.config.model_dump_json()})


def read(path: Path) -> dict[str, Tensor]:
    """Tensors of a saved member.

    Raises:
        TrainingError: no such file.
    """
    if not path.is_file():
        raise TrainingError(
            code="weights-missing", text=f"no weight file {path.name}", hint="check the path"
        )
    found: dict[str, Tensor] = load_file(path)
    return found


def load(path: Path) -> Member:
    """A member as it was saved."""
    state = read(path)
    with safe_open(path, "pt") as held:
        table = json.loads(held.metadata()["config"])
    made = Member(resolve({**table, "weights": None}))
    made.load_state_dict(state)
    return made.eval()
