"""Networks: small, plain, and fully convolutional up to the damage density.

The score of a hand is the sum of a signed density over the view plus a bias (damage is counted, as
crowds are counted from density maps). With that head Grad-CAM, HiResCAM and the density agree up
to the bias, so the heatmap costs nothing and is in score units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _conv(cin: int, cout: int, k: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(cin, cout, k, stride, k // 2, groups=groups, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, cin: int, cout: int, stride: int = 1) -> None:
        super().__init__()
        self.first = _conv(cin, cout, 3, stride)
        self.second = nn.Sequential(
            nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)
        )
        self.short: nn.Module = nn.Identity()
        if stride != 1 or cin != cout:
            self.short = nn.Sequential(
                nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(b, cin, h, w) -> (b, cout, h/stride, w/stride)."""
        return torch.relu(self.second(self.first(x)) + self.short(x))


class Inverted(nn.Module):
    """Expand, depthwise 3x3, project: the block of MobileNetV2."""

    def __init__(self, cin: int, cout: int, stride: int = 1, expand: int = 4) -> None:
        super().__init__()
        mid = cin * expand
        self.body = nn.Sequential(
            _conv(cin, mid, 1),
            _conv(mid, mid, 3, stride, groups=mid),
            nn.Conv2d(mid, cout, 1, bias=False),
            nn.BatchNorm2d(cout),
        )
        self.keep = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        """(b, cin, h, w) -> (b, cout, h/stride, w/stride)."""
        out: Tensor = self.body(x)
        return x + out if self.keep else out


class Dense(nn.Module):
    """3x3 convolutions, each of which sees all before it: the block of DenseNet."""

    def __init__(self, cin: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_conv(cin + i * growth, growth) for i in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """(b, cin, h, w) -> (b, cin + layers * growth, h, w)."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def residual_trunk() -> tuple[nn.Module, int]:
    """A narrow ResNet to stride 16; (module, channels)."""
    return nn.Sequential(
        _conv(1, 16, 5, 2),
        Residual(16, 32, 2),
        Residual(32, 64, 2),
        Residual(64, 64),
        Residual(64, 128, 2),
        Residual(128, 128),
    ), 128


def mobile_trunk() -> tuple[nn.Module, int]:
    """A narrow MobileNetV2 to stride 16; (module, channels)."""
    return nn.Sequential(
        _conv(1, 16, 5, 2),
        Inverted(16, 24, 2),
        Inverted(24, 24),
        Inverted(24, 48, 2),
        Inverted(48, 48),
        Inverted(48, 48),
        Inverted(48, 96, 2),
        Inverted(96, 96),
        Inverted(96, 96),
        _conv(96, 160, 1),
    ), 160


def plain_trunk() -> tuple[nn.Module, int]:
    """A plain stack of convolutions to stride 16; (module, channels)."""
    return nn.Sequential(
        _conv(1, 16, 7, 2),
        _conv(16, 32, 3, 2),
        _conv(32, 32),
        _conv(32, 64, 3, 2),
        _conv(64, 64),
        _conv(64, 64),
        _conv(64, 112, 3, 2),
        _conv(112, 112),
        _conv(112, 112),
    ), 112


def dense_trunk() -> tuple[nn.Module, int]:
    """A narrow DenseNet to stride 16; (module, channels)."""
    return nn.Sequential(
        _conv(1, 16, 5, 2),
        _conv(16, 32, 3, 2),
        Dense(32, 16, 2),
        _conv(64, 64, 3, 2),
        Dense(64, 24, 3),
        _conv(136, 96, 3, 2),
        Dense(96, 32, 3),
    ), 192


TRUNKS = {
    "residual": residual_trunk,
    "plain": plain_trunk,
    "mobile": mobile_trunk,
    "dense": dense_trunk,
}
"""One line to add another architecture."""


class DensityNet(nn.Module):
    """One member: trunk, damage density, ordinal head.

    forward: (b, 1, 384, 288) -> score (b,), density (b, 24, 18), cumulative logits (b, bands - 1).
    """

    def __init__(self, trunk: str, bands: int) -> None:
        super().__init__()
        self.trunk, channels = TRUNKS[trunk]()
        self.density = nn.Conv2d(channels, 1, 1)
        self.bias = nn.Parameter(torch.zeros(1))
        self.slope = nn.Parameter(torch.ones(1))
        self.pooled = nn.Linear(channels, 1)
        self.cuts = nn.Parameter(torch.linspace(-0.5, 4.5, bands - 1))
        nn.init.normal_(self.density.weight, std=0.01)
        nn.init.zeros_(self.density.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score in SvdH units of one hand, signed density that sums to it, ordinal logits."""
        features = self.trunk(x)
        density = self.density(features)[:, 0]
        score = density.sum((1, 2)) + self.bias
        latent = (
            self.slope * torch.log1p(torch.relu(score)) + self.pooled(features.mean((2, 3)))[:, 0]
        )
        logits = 2.0 * (latent[:, None] - self.cuts[None, :])
        return score, density, logits


class LocatorNet(nn.Module):
    """Whole image to landmarks and kind.

    forward: (b, 1, 256, 256) -> heat logits (b, 22, 64, 64), offset (b, 42, 64, 64),
    kind (b, 5), physes (b, 1), embedding (b, 64).
    """

    def __init__(self) -> None:
        super().__init__()
        self.s4 = nn.Sequential(_conv(1, 16, 5, 2), Residual(16, 32, 2))
        self.s8 = nn.Sequential(Residual(32, 64, 2), Residual(64, 64))
        self.s16 = nn.Sequential(Residual(64, 96, 2), Residual(96, 96))
        self.s32 = Residual(96, 128, 2)
        self.up16 = nn.Conv2d(128, 96, 1)
        self.up8 = nn.Conv2d(96, 64, 1)
        self.up4 = nn.Conv2d(64, 32, 1)
        self.mix = _conv(32, 48)
        self.heat = nn.Conv2d(48, 22, 1)
        self.offset = nn.Conv2d(48, 42, 1)
        self.embed = nn.Linear(128, 64)
        self.kind = nn.Linear(64, 5)
        self.physes = nn.Linear(64, 1)
        nn.init.constant_(self.heat.bias, -4.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """See the class."""
        a = self.s4(x)
        b = self.s8(a)
        c = self.s16(b)
        d = self.s32(c)
        up = nn.functional.interpolate
        c = c + up(self.up16(d), scale_factor=2.0)
        b = b + up(self.up8(c), scale_factor=2.0)
        a = self.mix(a + up(self.up4(b), scale_factor=2.0))
        embedding = torch.relu(self.embed(d.mean((2, 3))))
        return self.heat(a), self.offset(a), self.kind(embedding), self.physes(embedding), embedding
