"""Augmentation of prepared images, the same for the same generator on every machine."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ra_engine.prepare import Preprocessing
from ra_training.zoo.config import Augment

_SPEC = Preprocessing(kind="letterbox", rows=1, columns=1)
MEAN, STD = _SPEC.mean, _SPEC.std
"""Standardisation: the default of ``ra_engine.prepare``, which serving uses."""


def plain(pixels: Tensor) -> Tensor:
    """(b, rows, columns) uint8 -> (b, 1, rows, columns) standardised, as serving makes it."""
    return ((pixels.float() / 255 - MEAN) / STD)[:, None]


def augmented(pixels: Tensor, table: Augment, generator: torch.Generator) -> Tensor:
    """Turn, scale, shift, tone, blur and noise; (b, rows, columns) uint8 -> (b, 1, rows, columns).

    All random numbers come from ``generator`` on the CPU; images may lie elsewhere.
    """
    b, rows, columns = pixels.shape
    draw = torch.rand(b, 10, generator=generator).to(pixels.device)
    x = pixels.float()[:, None] / 255
    x = _warp(x, draw, table)
    gamma = torch.exp(table.tone * 2 * (draw[:, 4] - 0.5))[:, None, None, None]
    gain = (1 + table.tone * (draw[:, 5] - 0.5))[:, None, None, None]
    shift = (0.25 * table.tone * (draw[:, 6] - 0.5))[:, None, None, None]
    x = (x.clamp(min=1e-3) ** gamma * gain + shift).clamp(0, 1)
    if table.blur:
        soft = nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        x = torch.where((draw[:, 7] < table.blur)[:, None, None, None], soft, x)
    if table.noise:
        grain = torch.randn(b, 1, rows, columns, generator=generator).to(pixels.device)
        x = x + (table.noise * draw[:, 8])[:, None, None, None] * grain
    if table.flip:
        x = torch.where((draw[:, 9] < 0.5)[:, None, None, None], x.flip(3), x)
    return (x - MEAN) / STD


def _warp(x: Tensor, draw: Tensor, table: Augment) -> Tensor:
    if not (table.turn_degrees or table.scale or table.shift):
        return x
    angle = math.radians(table.turn_degrees) * (2 * draw[:, 0] - 1)
    scale = 1 + table.scale * (2 * draw[:, 1] - 1)
    rows, columns = x.shape[2:]
    c, s = torch.cos(angle) * scale, torch.sin(angle) * scale
    move = 2 * table.shift * (2 * draw[:, 2:4] - 1)
    theta = torch.stack(
        [
            torch.stack([c, -s * rows / columns, move[:, 0]], 1),
            torch.stack([s * columns / rows, c, move[:, 1]], 1),
        ],
        1,
    )
    grid = nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    return nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
