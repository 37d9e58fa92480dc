"""Training throughput against a plain PyTorch loop: ``python -m tests.perf.training``.

The plain loop is what a tutorial shows: a data set whose items torchvision's transforms change one
by one, a DataLoader, FP32, AdamW. Ours makes the same kinds of changes for a whole batch on the
device, computes the backbone in BF16 and channels last, and also clips, averages weights, logs and
saves. Rounds alternate and the best of each counts, so that a busy machine hurts both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from ra_training.data.prepared import Prepared
from ra_training.data.sample import Sample
from ra_training.zoo.augment import MEAN, STD
from ra_training.zoo.config import resolve
from ra_training.zoo.loop import fit
from ra_training.zoo.registry import backbone

ARCHITECTURES = ("resnet18", "mobilenet_v2")


class Items(Dataset):  # type: ignore[misc]
    """One changed image after another."""

    def __init__(self, data: Prepared) -> None:
        self.data = data
        self.change = v2.Compose(
            [
                v2.RandomApply([v2.JPEG((30, 95))], 0.2),
                v2.RandomAffine(20, translate=(0.04, 0.04), scale=(0.9, 1.1)),
                v2.ColorJitter(brightness=0.2, contrast=0.2),
                v2.RandomApply([v2.GaussianBlur(7, (0.1, 1.0))], 0.5),
                v2.ToDtype(torch.float32, scale=True),
                v2.RandomApply([v2.GaussianNoise(sigma=0.03)], 0.5),
                v2.Normalize([MEAN], [STD]),
            ]
        )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, float]:
        score = self.data.samples[row].score
        assert score is not None
        return self.change(torch.from_numpy(np.array(self.data.pixels[row]))[None]), score / 10


def noise(n: int, size: int) -> Prepared:
    """Images without meaning: speed does not depend on it."""
    pixels: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 255, (n, size, size), np.uint8)
    samples = tuple(
        Sample(
            key=f"k{i}", patient_id=f"p{i}", visit="1", source="phantom", image=None,
            hands="both", score=float(i % 50),
        )
        for i in range(n)
    )  # fmt: skip
    return Prepared(pixels=pixels, samples=samples, unit="image")


def plain(name: str, data: Prepared, batch: int, device: str, workers: int) -> float:
    """Images a second of the plain loop over one pass, after a warm-up step."""
    body = backbone(name)
    net = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(body.channels, 1))
    net = net.to(device).train()
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3)
    loader = DataLoader(
        Items(data), batch, shuffle=True, num_workers=workers, drop_last=True,
        pin_memory=device.startswith("cuda"),
    )  # fmt: skip
    seen, started = 0, 0.0
    for step, (x, y) in enumerate(loader):
        if step == 1:
            _wait(device)
            started, seen = time.perf_counter(), 0
        loss = nn.functional.smooth_l1_loss(net(x.to(device))[:, 0], y.float().to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen += len(x)
    _wait(device)
    return seen / (time.perf_counter() - started)


def ours(name: str, data: Prepared, batch: int, device: str, threads: int) -> float:
    """Images a second of ``fit`` over one pass, after a warm-up step in a run of its own."""
    table = {
        "architecture": name, "batch": batch, "epochs": 1, "device": device, "threads": threads,
        "scheme": "scratch", "validate_every": 0, "log_every": 10**6,
    }  # fmt: skip
    few = data.take(range(batch))
    with tempfile.TemporaryDirectory() as folder:
        fit(resolve(table), few, few, Path(folder) / "warm")
        fit(resolve(table), data, few, Path(folder) / "run")
        lines = (Path(folder) / "run" / "metrics.jsonl").read_text().splitlines()
    return float(json.loads(lines[-1])["images_per_second"])


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="of the plain loop's DataLoader")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    data = noise(asked.batch * asked.steps, asked.size)
    machine = torch.cuda.get_device_name() if asked.device != "cpu" else platform.machine()
    print(
        f"{machine}, {os.cpu_count()} cores, {asked.threads} threads, torch {torch.__version__}, "
        f"{asked.size}x{asked.size}, batch {asked.batch}, best of {asked.rounds} rounds\n"
    )
    print("| network | plain loop, images/s | ra-train, images/s | ratio |\n|---|---|---|---|")
    for name in ARCHITECTURES:
        theirs = mine = 0.0
        for _ in range(asked.rounds):
            theirs = max(theirs, plain(name, data, asked.batch, asked.device, asked.workers))
            mine = max(mine, ours(name, data, asked.batch, asked.device, asked.threads))
        print(f"| {name} | {theirs:.1f} | {mine:.1f} | {mine / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
