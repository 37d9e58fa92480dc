"""Train one member of the scorer: exact resume, JSONL metrics, safetensors weights."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ra_training.nets import DensityNet
from ra_training.scorer.bands import BANDS, EDGES_HAND
from ra_training.scorer.crops import SPEC, Crops

GRID = (24, 18)
_SIGMA = 0.85  # cells of the density grid


def targets(crops: Crops) -> NDArray[np.float32]:
    """(n, 24, 18): every grade spread around its joint; it sums to the total."""
    rows, columns = GRID
    y = (np.arange(rows) + 0.5)[None, :]
    x = (np.arange(columns) + 0.5)[None, :]
    out = np.zeros((len(crops.grades), rows, columns), np.float32)
    for site in range(crops.grades.shape[1]):
        grade = crops.grades[:, site].astype(np.float32)
        cx, cy = crops.joints[:, site, 0] * columns, crops.joints[:, site, 1] * rows
        gx = np.exp(-0.5 * ((x - cx[:, None]) / _SIGMA) ** 2)
        gy = np.exp(-0.5 * ((y - cy[:, None]) / _SIGMA) ** 2)
        gx /= gx.sum(1, keepdims=True) + 1e-9
        gy /= gy.sum(1, keepdims=True) + 1e-9
        out += grade[:, None, None] * gy[:, :, None] * gx[:, None, :]
    return out


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """(b, rows, columns) uint8 -> (b, 1, rows, columns) float: tone, gamma, noise, standardised."""
    x = pixels.float() / 255
    b = len(x)
    gain = 1 + 0.12 * torch.randn(b, 1, 1, generator=generator)
    shift = 0.04 * torch.randn(b, 1, 1, generator=generator)
    gamma = torch.exp(0.15 * torch.randn(b, 1, 1, generator=generator))
    x = (x.clamp(min=1e-3) ** gamma * gain + shift).clamp(0, 1)
    noise = 0.02 * torch.rand(b, 1, 1, generator=generator)
    x = x + noise * torch.randn(x.shape, generator=generator)
    return ((x - SPEC.mean) / SPEC.std)[:, None]


def plain(pixels: Tensor) -> Tensor:
    """The tensor as serving makes it."""
    return ((pixels.float() / 255 - SPEC.mean) / SPEC.std)[:, None]


class Member:
    """A member in training: network, optimiser, schedule, and where it stands."""

    def __init__(self, trunk: str, folder: Path, *, seed: int, steps: int, peak: float) -> None:
        torch.manual_seed(seed)
        self.net = DensityNet(trunk, BANDS).to(memory_format=torch.channels_last)
        self.folder = folder
        self.seed = seed
        self.steps = steps
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=peak, weight_decay=1e-3)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, peak, total_steps=steps, pct_start=0.15
        )
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)

    def fit(self, crops: Crops, *, batch: int, minutes: float, log_every: int = 50) -> None:
        """Train to the end of the schedule or of the time; resumes from a checkpoint.

        A run that is out of time jumps to the schedule's end with what it has.
        """
        self._resume()
        pixels, grid = torch.from_numpy(crops.pixels), torch.from_numpy(targets(crops))
        totals = torch.from_numpy(crops.totals)
        edges = torch.tensor(EDGES_HAND)
        started = time.monotonic()
        self.net.train()
        while self.step < self.steps and time.monotonic() - started < 60 * minutes:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
            rows = torch.randint(len(pixels), (batch,), generator=generator)
            x = augment(pixels[rows], generator).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                features = self.net.trunk(x)
            loss = self._loss(features.float(), totals[rows], grid[rows], edges)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
            self.optimiser.step()
            self.schedule.step()
            self.step += 1
            if self.step % log_every == 0:
                self._note(
                    {
                        "step": self.step,
                        "loss": float(loss.detach()),
                        "s": time.monotonic() - started,
                    }
                )
            if self.step % 500 == 0:
                self._save()
        self._save()

    def _loss(self, features: Tensor, totals: Tensor, grid: Tensor, edges: Tensor) -> Tensor:
        density = self.net.density(features)[:, 0]
        score = density.sum((1, 2)) + self.net.bias
        latent = (
            self.net.slope * torch.log1p(torch.relu(score))
            + self.net.pooled(features.mean((2, 3)))[:, 0]
        )
        logits = 2.0 * (latent[:, None] - self.net.cuts[None, :])
        local = (
            nn.functional.smooth_l1_loss(density, grid, beta=0.1, reduction="none")
            .sum((1, 2))
            .mean()
        )
        whole = nn.functional.smooth_l1_loss(
            score / (2 + totals.sqrt()), totals / (2 + totals.sqrt()), beta=0.5
        )
        above = (totals[:, None] > edges[None, :]).float()
        ordinal = nn.functional.binary_cross_entropy_with_logits(logits, above)
        return 0.1 * local + 1.0 * whole + 0.5 * ordinal

    def predict(
        self, crops: Crops, batch: int = 64
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores (n,) and cumulative logits (n, bands - 1) on held-out crops."""
        self.net.eval()
        scores, logits = [], []
        with torch.no_grad():
            for i in range(0, len(crops.pixels), batch):
                x = plain(torch.from_numpy(crops.pixels[i : i + batch]))
                s, _, z = self.net(x.contiguous(memory_format=torch.channels_last))
                scores.append(s.numpy())
                logits.append(z.numpy())
        return np.concatenate(scores), np.concatenate(logits)

    def _note(self, row: dict[str, float]) -> None:
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

    def _save(self) -> None:
        state = {k: v.contiguous() for k, v in self.net.state_dict().items()}
        for i, (name, p) in enumerate(self.net.named_parameters()):
            held = self.optimiser.state.get(p, {})
            for key in ("exp_avg", "exp_avg_sq"):
                if key in held:
                    state[f"optimiser.{i}.{name}.{key}"] = held[key].contiguous()
        temporary = self.folder / "last.tmp"
        save_file(state, temporary, metadata={"step": str(self.step), "seed": str(self.seed)})
        temporary.rename(self.folder / "last.safetensors")

    def _resume(self) -> None:
        path = self.folder / "last.safetensors"
        if not path.exists():
            return
        from safetensors import safe_open

        with safe_open(path, "pt") as held:
            self.step = int(held.metadata()["step"])
        state = load_file(path)
        self.net.load_state_dict({k: v for k, v in state.items() if not k.startswith("optimiser.")})
        for i, (name, p) in enumerate(self.net.named_parameters()):
            parts = {k: state.get(f"optimiser.{i}.{name}.{k}") for k in ("exp_avg", "exp_avg_sq")}
            if all(v is not None for v in parts.values()):
                self.optimiser.state[p] = {"step": torch.tensor(float(self.step)), **parts}
        for _ in range(self.step):
            self.schedule.step()
