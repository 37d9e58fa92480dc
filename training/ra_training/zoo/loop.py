"""The training loop: steps that a resumed run repeats bit for bit.

Everything random in a step comes from (seed, step, rank), so a checkpoint needs no sampler state
beyond the number of the step; what torch itself draws (dropout) is restored from the checkpoint.
Started by torchrun, every process takes its share of each batch.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ra_training.data.prepared import Prepared
from ra_training.zoo import config as configs
from ra_training.zoo import member as members
from ra_training.zoo import state
from ra_training.zoo.augment import augmented, plain
from ra_training.zoo.config import RunConfig
from ra_training.zoo.member import Member
from ra_training.zoo.schemes import freeze

Progress = Callable[[int, int, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run leaves.

    Attributes:
        weights: ``member.safetensors``, the averaged weights where an average is kept.
        predictions: (n_valid,) in label units; logits: (n_valid, k - 1) cumulative.
        seconds: spent in this call; step: where it stands; done: at the schedule's end.
    """

    weights: Path
    predictions: NDArray[np.float32]
    logits: NDArray[np.float32]
    seconds: float
    step: int
    done: bool


def fit(
    config: RunConfig, train: Prepared, valid: Prepared, out: Path,
    *, minutes: float | None = None, stop_at: int | None = None, progress: Progress | None = None,
) -> RunResult:  # fmt: skip
    """Train, or go on from ``out/checkpoint.safetensors``.

    Args:
        minutes: time limit of this call; stop_at: step to stop at, for tests and schedulers.
        progress: called with step, steps and loss.

    Raises:
        TrainingError: labels are missing, weights do not fit.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(config, train, out)
    started = time.monotonic()
    limit = math.inf if minutes is None else started + 60 * minutes
    last = run.steps if stop_at is None else min(stop_at, run.steps)
    while run.step < last and time.monotonic() < limit:
        loss = run.advance()
        if progress is not None:
            progress(run.step, run.steps, loss)
        if run.step % config.save_every == 0:
            run.save()
    run.save()
    weights = out / "member.safetensors"
    best = run.averaged()
    if run.first:
        best.save(weights)
        configs.save(config, out / "config.json")
    scores, logits = predict(best, valid)
    return RunResult(
        weights=weights, predictions=scores, logits=logits, seconds=time.monotonic() - started,
        step=run.step, done=run.step >= run.steps,
    )  # fmt: skip


def predict(
    model: Member | Path, data: Prepared, *, batch: int = 32
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores (n,) in label units and cumulative logits (n, k - 1), in FP32."""
    made = members.load(model) if isinstance(model, Path) else model.eval()
    device = next(made.parameters()).device
    scores, logits = [], []
    female = _female(data).to(device)
    with torch.no_grad():
        for i in range(0, len(data), batch):
            x = plain(torch.from_numpy(np.array(data.pixels[i : i + batch])).to(device))
            score, z = made.read(made(x, female[i : i + batch]))
            scores.append(score.cpu().numpy())
            logits.append(z.cpu().numpy())
    return np.concatenate(scores), np.concatenate(logits)


class _Run:
    """A training under way."""

    def __init__(self, config: RunConfig, train: Prepared, out: Path) -> None:
        torch.manual_seed(config.seed)
        self.config, self.train, self.out = config, train, out
        self.rank, self.world = _processes()
        self.first = self.rank == 0
        self.device = torch.device(config.device)
        self.model = Member(config).to(self.device, memory_format=torch.channels_last)
        self.labels = torch.from_numpy(train.targets(config.target))
        self.female = _female(train)
        self.steps = config.epochs * max(1, math.ceil(len(train) / config.batch))
        self.turn = self.steps // 4 if config.scheme == "two-phase" else 0
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=config.optimiser.peak,
            weight_decay=config.optimiser.weight_decay, foreach=False,
        )  # fmt: skip
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.step = 0
        self.started = time.monotonic()
        if self.checkpoint.exists():
            facts = state.restore(
                self.checkpoint, model=self.model, average=self.average, optimiser=self.optimiser
            )
            self.step = int(facts["step"])
        self.phase = -1
        self.wrapped: nn.Module = self.model

    @property
    def checkpoint(self) -> Path:
        """Where this run's state lies."""
        return self.out / "checkpoint.safetensors"

    def advance(self) -> float:
        """One step; returns the loss."""
        config, step = self.config, self.step
        self._enter_phase(int(step >= self.turn))
        for group in self.optimiser.param_groups:
            group["lr"] = rate(config, step, self.steps)
        rows = self._rows(step)
        generator = torch.Generator().manual_seed(
            (config.seed * 1_000_003 + step) * 1009 + self.rank
        )
        pixels = torch.from_numpy(np.array(self.train.pixels[rows])).to(self.device)
        x = augmented(pixels, config.augment, generator)
        x = x.contiguous(memory_format=torch.channels_last)
        labels, female = self.labels[rows].to(self.device), self.female[rows].to(self.device)
        amp = torch.autocast(self.device.type, torch.bfloat16) if config.amp else nullcontext()
        with amp:
            raw = self.wrapped(x, female)
        loss = self.model.loss(raw.float(), labels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), config.optimiser.clip)
        self.optimiser.step()
        self._follow()
        self.step += 1
        value = float(loss.detach())
        if self.first:
            self._note(value)
        return value

    def _rows(self, step: int) -> NDArray[np.intp]:
        """This process' share of the step's batch: every epoch a permutation of its own."""
        n, batch = len(self.train), self.config.batch
        each = max(1, math.ceil(n / batch))
        epoch, place = divmod(step, each)
        order = np.random.default_rng([self.config.seed, epoch]).permutation(n)
        rows = order[place * batch : (place + 1) * batch]
        if len(rows) < batch:  # the last batch borrows from the epoch's start: all are full
            rows = np.concatenate([rows, np.resize(order, batch - len(rows))])
        mine: NDArray[np.intp] = rows[self.rank :: self.world]
        return mine

    def _enter_phase(self, phase: int) -> None:
        if phase == self.phase:
            return
        self.phase = phase
        self.model.train()
        freeze(self.model.backbone, self.config.scheme, phase)
        self.wrapped = self.model
        if self.world > 1:
            self.wrapped = nn.parallel.DistributedDataParallel(self.model)

    def _follow(self) -> None:
        """Move the average toward the weights; statistics are taken as they are."""
        keep = min(self.config.optimiser.ema, (1 + self.step) / (10 + self.step))
        if not self.config.optimiser.ema:
            keep = 0.0
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                if value.dtype.is_floating_point:
                    self.average[name].lerp_(value, 1 - keep)
                else:
                    self.average[name].copy_(value)

    def averaged(self) -> Member:
        """The model with the averaged weights."""
        made = Member(self.config.model_copy(update={"weights": None})).to(self.device)
        made.load_state_dict(self.average)
        return made.eval()

    def save(self) -> None:
        """Write the checkpoint."""
        if self.first:
            state.save(
                self.checkpoint, model=self.model, average=self.average, optimiser=self.optimiser,
                facts={"step": self.step, "steps": self.steps, "config": self._digestible()},
            )  # fmt: skip

    def _digestible(self) -> dict[str, Any]:
        return self.config.model_dump(mode="json")

    def _note(self, loss: float) -> None:
        row = {
            "step": self.step, "loss": loss, "rate": rate(self.config, self.step - 1, self.steps),
            "seconds": round(time.monotonic() - self.started, 3),
        }  # fmt: skip
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")


def rate(config: RunConfig, step: int, steps: int) -> float:
    """Learning rate at a step: linear warm-up, then a cosine to nothing."""
    table = config.optimiser
    warm = max(1, round(table.warmup * steps))
    if step < warm:
        return table.peak * (step + 1) / warm
    return table.peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _female(data: Prepared) -> Tensor:
    return torch.tensor([float(s.sex == "F") for s in data.samples])


def _processes() -> tuple[int, int]:
    """Rank and number of processes; joins the group that torchrun set up."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not torch.distributed.is_initialized():
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        torch.distributed.init_process_group(backend)
    return int(os.environ.get("RANK", "0")), world
