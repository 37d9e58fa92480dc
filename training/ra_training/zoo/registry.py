"""Architectures of the zoo: one line adds another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from ra_training.errors import TrainingError

Groups = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """How to make a backbone.

    Attributes:
        build: a torchvision constructor that takes ``weights=``.
        stem: name of the first convolution; channels: of the last activations.
        groups: prefixes of parameter names, from the last stage to the first (RBs-1 is the first
            entry); what is in no group is the stem, which only ``finetuned`` moves.
    """

    build: Callable[..., nn.Module]
    family: str
    stem: str
    channels: int
    groups: Groups


_RESNET: Groups = (("layer4",), ("layer3",), ("layer2",), ("layer1",))
_MOBILE: Groups = tuple(
    tuple(f"features.{i}" for i in stage)
    for stage in ((17, 18), (14, 15, 16), (11, 12, 13), (7, 8, 9, 10), (4, 5, 6), (2, 3))
)
_DENSE: Groups = (
    ("features.denseblock4", "features.norm5"),
    ("features.transition3", "features.denseblock3"),
    ("features.transition2", "features.denseblock2"),
    ("features.transition1", "features.denseblock1"),
)
_EFFICIENT: Groups = tuple(
    tuple(f"features.{i}" for i in stage) for stage in ((7, 8), (6,), (5,), (4,), (3,), (1, 2))
)


def _resnet(name: str, channels: int) -> Architecture:
    return Architecture(
        build=getattr(torchvision.models, name), family="resnet", stem="conv1",
        channels=channels, groups=_RESNET,
    )  # fmt: skip


def _features(name: str, family: str, stem: str, channels: int, groups: Groups) -> Architecture:
    return Architecture(
        build=getattr(torchvision.models, name), family=family, stem=stem, channels=channels,
        groups=groups,
    )  # fmt: skip


REGISTRY: Mapping[str, Architecture] = {
    "resnet18": _resnet("resnet18", 512),
    "resnet34": _resnet("resnet34", 512),
    "resnet50": _resnet("resnet50", 2048),
    "mobilenet_v2": _features("mobilenet_v2", "mobilenet", "features.0.0", 1280, _MOBILE),
    "densenet121": _features("densenet121", "densenet", "features.conv0", 1024, _DENSE),
    "efficientnet_b0": _features(
        "efficientnet_b0", "efficientnet", "features.0.0", 1280, _EFFICIENT
    ),
}
"""Name -> architecture, as torchvision spells it."""


class Backbone(nn.Module):
    """A torchvision network without its classifier, for one channel.

    forward: (b, 1, rows, columns) -> (b, channels, rows/32, columns/32), the last activations. The
    parameters keep torchvision's names, so that its weight files load as they are.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.architecture = find(name)
        self.channels = self.architecture.channels
        self.net = self.architecture.build(weights=None)
        self.net.classifier = nn.Identity()
        if hasattr(self.net, "fc"):
            self.net.fc = nn.Identity()
        _one_channel(self.net, self.architecture.stem)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        net = self.net
        if self.architecture.family == "resnet":
            x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
            for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
                x = stage(x)
            return x
        x = net.features(x)
        return torch.relu(x) if self.architecture.family == "densenet" else x

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take a torchvision state dict: colour stems are summed, classifiers left out.

        Raises:
            TrainingError: parameters are missing, or belong to another architecture.
        """
        stem = f"{self.architecture.stem}.weight"
        kept = {k: v for k, v in state.items() if not k.startswith(("fc.", "classifier."))}
        if stem in kept and kept[stem].shape[1] == 3:
            kept[stem] = kept[stem].sum(1, keepdim=True)
        own = self.net.state_dict()
        wrong = sorted(set(own) ^ set(kept)) or sorted(
            k for k in own if own[k].shape != kept[k].shape
        )
        if wrong:
            raise TrainingError(
                code="weights-mismatch",
                text=f"the weights do not fit {self.name}: first difference at {wrong[0]}",
                hint="give the file of the architecture that the configuration names",
            )
        self.net.load_state_dict(kept)


def find(name: str) -> Architecture:
    """An architecture by name.

    Raises:
        TrainingError: no such name.
    """
    if name not in REGISTRY:
        raise TrainingError(
            code="unknown-architecture",
            text=f"no architecture {name!r}",
            hint=f"one of {', '.join(sorted(REGISTRY))}",
        )
    return REGISTRY[name]


def backbone(name: str, weights: str | Path | None = None) -> Backbone:
    """A backbone with weights.

    Args:
        weights: None starts at random; a path is a user's own torchvision weight file
            (``.safetensors``, or ``.pth`` read without unpickling objects); ``"download"`` asks
            torchvision for its ImageNet weights, which needs a network and never happens otherwise.

    Raises:
        TrainingError: unknown name, unreadable or wrong weights.
    """
    made = Backbone(name)
    if weights is None:
        return made
    if weights == "download":
        made.load(made.architecture.build(weights="DEFAULT").state_dict())
        return made
    made.load(_read(Path(weights)))
    return made


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise TrainingError(
            code="weights-missing", text=f"no weight file {path.name}", hint="check the path"
        )
    try:
        if path.suffix == ".safetensors":
            state: dict[str, Tensor] = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(
            code="weights-unreadable",
            text=f"{path.name} is no file of plain tensors ({type(error).__name__})",
            hint="save a state dict, best as .safetensors; objects are never unpickled",
        ) from error
    return state


def _one_channel(net: nn.Module, stem: str) -> None:
    parent = net.get_submodule(stem.rpartition(".")[0])
    old = net.get_submodule(stem)
    assert isinstance(old, nn.Conv2d)
    new = nn.Conv2d(
        1, old.out_channels, old.kernel_size, old.stride, old.padding, bias=old.bias is not None
    )  # fmt: skip
    with torch.no_grad():
        new.weight.copy_(old.weight.sum(1, keepdim=True))
    last = stem.rpartition(".")[2]
    if last.isdigit():
        parent[int(last)] = new
    else:
        setattr(parent, last, new)
