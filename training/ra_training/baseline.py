"""The small baseline: how far six convolutions get, so that a figure can be judged."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ra_engine.prepare import Preprocessing, prepare_image
from ra_engine.types import Radiograph
from ra_training.phantom import render_exposure, sample_grades, subject_seed
from ra_training.phantom.grades import Prior

SPEC = Preprocessing(kind="letterbox", rows=256, columns=320)


def images(n: int, seed: int, prior: Prior) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n, 1, 256, 320) tensors and (n,) totals."""
    tensors, totals = [], []
    for i in range(n):
        own = subject_seed(seed, i)
        grades = sample_grades(own, prior=prior)
        exposure = render_exposure(own, grades, hands="both", height=300)
        radiograph = Radiograph(
            pixels=exposure.pixels, inverted=exposure.photometric == "MONOCHROME1"
        )
        tensors.append(prepare_image(radiograph, SPEC)[0])
        totals.append(grades.total)
    return np.stack(tensors), np.array(totals, np.float32)


def network() -> nn.Module:
    """Six convolutions, 0.17 M parameters."""
    layers: list[nn.Module] = []
    width = 1
    for out in (16, 24, 32, 48, 64, 96):
        layers += [
            nn.Conv2d(width, out, 3, 2 if width < 64 else 1, 1),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        ]
        width = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1))


def fit_predict(
    train: tuple[NDArray[np.float32], NDArray[np.float32]], test: NDArray[np.float32],
    *, epochs: int, seed: int = 0, batch: int = 25,
) -> NDArray[np.float64]:  # fmt: skip
    """Train on sqrt(total) / 4 with flips; predict totals of ``test``."""
    torch.manual_seed(seed)
    net = network()
    x, y = torch.from_numpy(train[0]), torch.from_numpy(np.sqrt(train[1]) / 4)
    steps = epochs * (len(x) // batch)
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (batch,))
        part = x[rows]
        if torch.rand(1) < 0.5:
            part = part.flip(3)
        loss = nn.functional.smooth_l1_loss(net(part)[:, 0], y[rows], beta=0.2)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    net.eval()
    with torch.no_grad():
        parts = [net(torch.from_numpy(test[i : i + 50]))[:, 0] for i in range(0, len(test), 50)]
    root = torch.cat(parts).clamp(min=0).numpy().astype(np.float64)
    predicted: NDArray[np.float64] = (4 * root) ** 2
    return predicted
