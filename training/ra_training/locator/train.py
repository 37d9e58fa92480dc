"""Train the locator."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from ra_training.locator.scenes import HAND, SPEC, Scenes
from ra_training.nets import LocatorNet

CELLS = 64
_STRIDE = 256 / CELLS
_SIGMA = 1.3  # cells


def maps(landmarks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Heat (b, 22, 64, 64), offset (b, 42, 64, 64) and its weight (b, 1, 64, 64).

    Args:
        landmarks: (b, 2, 21, 2) in letterbox pixels, NaN where there is no hand.
    """
    b = len(landmarks)
    cell = torch.arange(CELLS, dtype=torch.float32)
    at = (landmarks + 0.5) / _STRIDE - 0.5
    points = torch.cat([at, at[:, :, 10:11]], 2)  # channel 21: the hand's centre, its third knuckle
    gx = torch.exp(-0.5 * ((cell - points[..., 0:1]) / _SIGMA) ** 2)
    gy = torch.exp(-0.5 * ((cell - points[..., 1:2]) / _SIGMA) ** 2)
    heat = torch.nan_to_num(gy[..., :, None] * gx[..., None, :]).amax(1)
    offset = torch.zeros(b, 42, CELLS, CELLS)
    weight = torch.zeros(b, 1, CELLS, CELLS)
    for i, h in torch.nonzero(~torch.isnan(landmarks[:, :, 0, 0])).tolist():
        cx, cy = (int(v) for v in at[i, h, 10].round())
        for y in range(max(0, cy - 1), min(CELLS, cy + 2)):
            for x in range(max(0, cx - 1), min(CELLS, cx + 2)):
                here = torch.tensor([x, y], dtype=torch.float32)
                offset[i, :, y, x] = ((at[i, h] - here) / CELLS).reshape(-1)
                weight[i, 0, y, x] = 1
    return heat, offset, weight


def augment(pixels: Tensor, landmarks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Tone, blur, noise, inversion-free; mirror half of the images with their landmarks."""
    x = pixels.float() / 255
    b = len(x)
    rand = lambda: torch.rand(b, 1, 1, generator=generator)  # noqa: E731 - one draw an image
    x = x.clamp(min=1e-3) ** torch.exp(0.6 * (rand() - 0.5) * 2)
    x = (x - 0.5) * (0.55 + 0.7 * rand()) + 0.5 + 0.3 * (rand() - 0.5)
    soft = nn.functional.avg_pool2d(x[:, None], 3, 1, 1)[:, 0]
    x = torch.where(rand() < 0.4, soft, x)
    coarse = nn.functional.interpolate(
        nn.functional.avg_pool2d(x[:, None], 4), scale_factor=4.0, mode="bilinear"
    )[:, 0]
    x = torch.where(rand() < 0.15, coarse, x)
    x = x + 0.06 * rand() * torch.randn(x.shape, generator=generator)
    x = x.clamp(0, 1)
    flip = rand()[:, 0, 0] < 0.5
    x[flip] = x[flip].flip(2)
    moved = landmarks.clone()
    moved[flip, ..., 0] = 255 - moved[flip, ..., 0]
    return ((x - SPEC.mean) / SPEC.std)[:, None], moved


def fit(
    scenes: Scenes, folder: Path, *, seed: int, steps: int, batch: int, peak: float, minutes: float
) -> LocatorNet:
    """Train to the end of the schedule or of the time."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    net = LocatorNet().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=peak, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, peak, total_steps=steps, pct_start=0.15
    )
    pixels, points = torch.from_numpy(scenes.pixels), torch.from_numpy(scenes.landmarks)
    kinds, physes = torch.from_numpy(scenes.kind).long(), torch.from_numpy(scenes.physes).float()
    started = time.monotonic()
    for step in range(steps):
        if time.monotonic() - started > 60 * minutes:
            break
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        rows = torch.randint(len(pixels), (batch,), generator=generator)
        x, moved = augment(pixels[rows], points[rows], generator)
        loss = _loss(
            net, x.contiguous(memory_format=torch.channels_last), moved, kinds[rows], physes[rows]
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % 50 == 0:
            row = {"step": step + 1, "loss": float(loss.detach()), "s": time.monotonic() - started}
            with (folder / "metrics.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
    net.eval()
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, folder / "last.safetensors")
    return net


def _loss(net: LocatorNet, x: Tensor, points: Tensor, kinds: Tensor, physes: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        heat, offset, kind, phys, _ = net(x)
    heat, offset, kind, phys = heat.float(), offset.float(), kind.float(), phys.float()
    want, vector, weight = maps(points)
    p = torch.sigmoid(heat)
    focus = (want - p).abs() ** 2
    heat_loss = (
        (focus * nn.functional.binary_cross_entropy_with_logits(heat, want, reduction="none"))
        .sum((1, 2, 3))
        .mean()
    )
    offset_loss = ((offset - vector).abs() * weight).sum() / (weight.sum() * 42 + 1)
    kind_loss = nn.functional.cross_entropy(kind, kinds)
    whole = kinds == HAND
    phys_loss = nn.functional.binary_cross_entropy_with_logits(phys[whole, 0], physes[whole])
    return 0.05 * heat_loss + 20 * offset_loss + kind_loss + 0.3 * phys_loss


def tensors(pixels: NDArray[np.uint8]) -> Tensor:
    """(n, 256, 256) tones -> (n, 1, 256, 256), standardised as serving does."""
    return ((torch.from_numpy(pixels).float() / 255 - SPEC.mean) / SPEC.std)[:, None]


def embeddings(net: LocatorNet, scenes: Scenes, batch: int = 64) -> dict[str, NDArray[np.float32]]:
    """All outputs on held-out scenes, by name."""
    found: dict[str, list[NDArray[np.float32]]] = {
        k: [] for k in ("heat", "offset", "kind", "physes", "embedding")
    }
    with torch.no_grad():
        for i in range(0, len(scenes.pixels), batch):
            heat, *rest = net(tensors(scenes.pixels[i : i + batch]))
            for name, value in zip(found, (torch.sigmoid(heat), *rest), strict=True):
                found[name].append(value.numpy())
    return {k: np.concatenate(v) for k, v in found.items()}
