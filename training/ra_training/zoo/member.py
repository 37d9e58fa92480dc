"""One network of the zoo: backbone and head, with the losses that fit."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ra_training.errors import TrainingError
from ra_training.zoo import losses
from ra_training.zoo.config import RunConfig, resolve
from ra_training.zoo.heads import Bins, BoneAge, Head, Ordinal, head
from ra_training.zoo.registry import Backbone, backbone


class Member(nn.Module):
    """A backbone with a head for scores, or for bone age (months, with the sex).

    forward: (b, 1, rows, columns), (b,) 1 = female -> raw outputs (b, r) in units of
    ``target_scale``. The head computes in FP32, whatever the backbone does.
    """

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.config = config
        own = config.weights is not None and _is_member(Path(config.weights))
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
        a = self.backbone(x).float()
        months = self.config.target == "months"
        with torch.autocast(a.device.type, enabled=False):
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

    def centre(self, labels: Tensor) -> None:
        """Let a head with one output begin at the mean of the labels, not at nothing."""
        if self.config.loss in losses.SCORE_LOSSES:
            nn.init.constant_(self._last.bias, float(labels.mean()) / self.config.target_scale)

    def in_units(self) -> tuple[Backbone, Head]:
        """Copies for ``export_graph``, whose score and map are in label units.

        Raises:
            TrainingError: a bone-age network, which no bundle carries.
        """
        made = copy.deepcopy(self)
        if not isinstance(made.head, Head):
            raise TrainingError(
                code="export-bone-age",
                text="a bone-age network gives no score",
                hint="fine-tune it on scores first",
            )
        scale = self.config.target_scale
        with torch.no_grad():
            if isinstance(made.head, (Ordinal, Bins)):
                made.head.values.mul_(scale)
            else:
                made._last.weight.mul_(scale)  # noqa: SLF001 - its own copy
                made._last.bias.mul_(scale)  # noqa: SLF001 - its own copy
        return made.backbone, made.head

    @property
    def _last(self) -> nn.Linear:
        layer = self.head.body[-1] if isinstance(self.head, BoneAge) else self.head.out
        assert isinstance(layer, nn.Linear)
        return layer

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
        """Weights and configuration in one file; an old file stays until the new one is whole."""
        kept = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        temporary = path.with_suffix(".tmp")
        save_file(kept, temporary, metadata={"config": self.config.model_dump_json()})
        temporary.rename(path)


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
    """A member as it was saved.

    Raises:
        TrainingError: no such file, or weights that no run wrote.
    """
    state = read(path)
    if not _is_member(path):
        raise TrainingError(
            code="weights-no-member",
            text=f"{path.name} is not the weights of a run",
            hint="give the member.safetensors that ra-train fit zoo wrote",
        )
    with safe_open(path, "pt") as held:
        table = json.loads(held.metadata()["config"])
    made = Member(resolve({**table, "weights": None}))
    made.load_state_dict(state)
    return made.eval()


def _is_member(path: Path) -> bool:
    """Whether a run wrote the file, by what it says of itself."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as held:
            return "config" in (held.metadata() or {})
    except SafetensorError:
        return False
