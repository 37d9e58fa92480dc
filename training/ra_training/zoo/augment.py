"""Augmentation of uint8 tones on the device, a batch at a time.

All changes keep the score: a few degrees of rotation, tone without inversion, blur, noise and the
blocks of lossy compression. Draws come from one CPU generator, so that a step is the same on every
device and after a resume.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ra_engine.prepare import Preprocessing
from ra_training.zoo.config import Augment

# Annex K.1 of ITU-T T.81: luminance quantisation at quality 50.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip


_DEFAULT = Preprocessing(kind="hand_view", rows=1, columns=1)
MEAN, STD = _DEFAULT.mean, _DEFAULT.std
"""Standardisation: what ``ra_engine.prepare`` does unless a manifest says otherwise."""


def plain(pixels: Tensor) -> Tensor:
    """(b, rows, columns) uint8 -> (b, 1, rows, columns) standardised, as serving makes it."""
    return ((pixels.float() / 255 - MEAN) / STD)[:, None]


def augmented(pixels: Tensor, table: Augment, draw: torch.Generator) -> Tensor:
    """(b, rows, columns) uint8 -> (b, 1, rows, columns) float32, standardised.

    Args:
        pixels: on any device.
        draw: a CPU generator.
    """
    x = (pixels.float() / 255)[:, None]
    x = _move(x, table, draw)
    x = _tone(x, table, draw)
    if table.blur:
        x = blur(x, _some(len(x), table.blur, draw).to(x.device))
    if table.jpeg:
        quality = 30 + 65 * torch.rand(len(x), generator=draw)
        chosen = torch.rand(len(x), generator=draw) < table.jpeg
        x = torch.where(chosen.to(x.device)[:, None, None, None], jpeg(x, quality), x)
    if table.noise:
        size = _some(len(x), table.noise, draw).to(x.device)
        seed = int(torch.randint(2**62, (), generator=draw))
        # a generator of its own on the device: drawing on the CPU would hold a GPU up
        own = torch.Generator(x.device).manual_seed(seed)
        field = torch.randn(x.shape, generator=own, device=x.device)
        x = x + size[:, None, None, None] * field
    return (x.clamp(0, 1) - MEAN) / STD


def blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian of its own width (pixels; 0 leaves as is) for every image of (b, 1, h, w)."""
    reach = 3
    at = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    taps = torch.exp(-0.5 * (at / sigma[:, None].clamp(min=1e-3)) ** 2)
    taps = taps / taps.sum(1, keepdim=True)
    b = len(x)
    y = nn.functional.pad(x.transpose(0, 1), (reach,) * 4, mode="replicate")
    y = nn.functional.conv2d(y, taps[:, None, :, None], groups=b)
    y = nn.functional.conv2d(y, taps[:, None, None, :], groups=b)
    return y.transpose(0, 1)


def jpeg(x: Tensor, quality: Tensor) -> Tensor:
    """Quantise 8x8 blocks of 0-1 tones as baseline JPEG does (ITU-T T.81), quality 1-100."""
    b, _, h, w = x.shape
    padded = nn.functional.pad(x * 255 - 128, (0, -w % 8, 0, -h % 8), mode="replicate")
    rows, columns = padded.shape[2] // 8, padded.shape[3] // 8
    dct = _dct().to(x.device)
    blocks = padded.reshape(b, rows, 8, columns, 8).transpose(2, 3)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    base = torch.tensor(_LUMINANCE, dtype=torch.float32)
    steps = (base * scale[:, None, None] + 0.5).floor().clamp(1, 255).to(x.device)[:, None, None]
    kept = torch.round(dct @ blocks @ dct.T / steps) * steps
    back = (dct.T @ kept @ dct).transpose(2, 3).reshape(b, 1, rows * 8, columns * 8)
    return ((back[:, :, :h, :w] + 128) / 255).clamp(0, 1)


def _dct() -> Tensor:
    k = torch.arange(8, dtype=torch.float32)
    m = 0.5 * torch.cos((2 * k[None, :] + 1) * k[:, None] * math.pi / 16)
    m[0] *= math.sqrt(0.5)
    return m


def _some(n: int, largest: float, draw: torch.Generator) -> Tensor:
    """Half of the images get none, the others up to ``largest``."""
    chosen = torch.rand(n, generator=draw) < 0.5
    return torch.rand(n, generator=draw) * largest * chosen


def _spread(n: int, largest: float, draw: torch.Generator) -> Tensor:
    return (2 * torch.rand(n, generator=draw) - 1) * largest


def _move(x: Tensor, table: Augment, draw: torch.Generator) -> Tensor:
    n, _, h, w = x.shape
    if not (table.turn_degrees or table.scale or table.shift or table.flip):
        return x
    angle = torch.deg2rad(_spread(n, table.turn_degrees, draw))
    size = 1 + _spread(n, table.scale, draw)
    mirror = 1 - 2 * (torch.rand(n, generator=draw) < table.flip / 2).float()
    dx, dy = 2 * _spread(n, table.shift, draw), 2 * _spread(n, table.shift, draw)
    c, s = torch.cos(angle) * size, torch.sin(angle) * size
    # affine_grid's axes run from -1 to 1 whatever the sides: unequal sides shear without h / w
    matrix = torch.stack(
        [torch.stack([c * mirror, -s * (h / w), dx], 1),
         torch.stack([s * (w / h) * mirror, c, dy], 1)], 1
    ).to(x.device)  # fmt: skip
    grid = nn.functional.affine_grid(matrix, list(x.shape), align_corners=False)
    return nn.functional.grid_sample(x, grid, padding_mode="zeros", align_corners=False)


def _tone(x: Tensor, table: Augment, draw: torch.Generator) -> Tensor:
    n = len(x)
    gain = 1 + _spread(n, table.tone, draw)
    offset = _spread(n, table.tone / 4, draw)
    gamma = torch.exp(_spread(n, table.tone, draw))
    gain, offset, gamma = (v.to(x.device)[:, None, None, None] for v in (gain, offset, gamma))
    return (x.clamp(min=1e-4) ** gamma * gain + offset).clamp(0, 1)
