"""The ensemble of the GPU benchmark: distinct weights, heatmap in the forward pass, our precision
recipe written in torch (FP32 in and out, FP32 head, everything before it in the low type)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What runs: members, square size, batches."""

    members: tuple[str, ...]
    size: int
    batches: tuple[int, ...]


FULL = Workload(
    members=("resnet50", "resnet50", "resnet50", "resnet34", "mobilenet_v2"),
    size=512,
    batches=(1, 8, 32),
)
TINY = Workload(members=("tiny", "tiny"), size=64, batches=(1, 2))


class Member(nn.Module):
    """Trunk, mean over places, linear head; the map is the head applied at every place.

    For this head Grad-CAM, HiResCAM and CAM are the same map up to a constant.
    """

    def __init__(self, arch: str) -> None:
        super().__init__()
        self.trunk, channels = trunk(arch)
        self.head = nn.Linear(channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(b, 1, s, s) FP32 -> score (b,), map (b, s / 32, s / 32), both FP32."""
        a = self.trunk(x.to(next(self.trunk.parameters()).dtype).expand(-1, 3, -1, -1)).float()
        cam = torch.einsum("bchw,c->bhw", a, self.head.weight[0]) / (a.shape[2] * a.shape[3])
        return self.head(a.mean((2, 3))).squeeze(1), cam


class Ensemble(nn.Module):
    """Members on one input, averaged."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(b, 1, s, s) -> score (b,), members (b, m), map (b, h, w)."""
        scores, maps = zip(*(m(x) for m in self.members), strict=True)
        members = torch.stack(scores, 1)
        return members.mean(1), members, torch.stack(maps).mean(0)


def trunk(arch: str) -> tuple[nn.Module, int]:
    """Feature extractor of a torchvision architecture, and its channels."""
    if arch == "tiny":
        layers = [nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
        return nn.Sequential(*layers, nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()), 16
    import torchvision

    net: Any = getattr(torchvision.models, arch)(weights=None)
    if arch.startswith("resnet"):
        return nn.Sequential(*list(net.children())[:-2]), net.fc.in_features
    return net.features, net.classifier[-1].in_features


def ensemble(work: Workload, seed: int = 0) -> Ensemble:
    """Random weights and BatchNorm statistics, different for each member, in eval mode.

    Equal members would be merged by optimisers and falsify the figures.
    """
    torch.manual_seed(seed)
    made = (
        Ensemble([Member(arch) for arch in work.members]).eval().requires_grad_(requires_grad=False)
    )
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0.0, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.8, 1.2)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.0)
    return made


def folded(module: nn.Module) -> nn.Module:
    """BatchNorm folded into the convolution before it, in place, as ONNX export does."""
    for child in module.children():
        folded(child)
    for first, second in pairwise(list(module._modules)):
        conv, norm = module._modules[first], module._modules[second]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module._modules[first] = fuse_conv_bn_eval(conv, norm)
            module._modules[second] = nn.Identity()
    return module


def low(module: Ensemble, dtype: torch.dtype) -> Ensemble:
    """Trunks in ``dtype`` and channels last; heads stay FP32."""
    for member in module.members:
        trunk_: Any = member.trunk
        trunk_.to(dtype=dtype, memory_format=torch.channels_last)
    return module
