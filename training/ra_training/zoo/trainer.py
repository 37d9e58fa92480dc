"""What moves in a run: member, optimiser, average; and one step of them."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ra_training.zoo.augment import augmented
from ra_training.zoo.checkpoint import Parts
from ra_training.zoo.config import Optimiser, RunConfig
from ra_training.zoo.ema import Average
from ra_training.zoo.member import Member
from ra_training.zoo.schemes import freeze
from ra_training.zoo.world import World

_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def rate(config: RunConfig, step: int, steps: int) -> float:
    """Learning rate at a step: linear warm-up, then a cosine to nothing."""
    table = config.optimiser
    warm = max(1, round(table.warmup * steps))
    if step < warm:
        return table.peak * (step + 1) / warm
    return table.peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def optimiser(member: Member, table: Optimiser) -> torch.optim.AdamW:
    """AdamW; biases and normalisation do not decay, the backbone has its own factor of the rate."""
    groups = []
    for part, factor in ((member.backbone, table.backbone), (member.head, 1.0)):
        matrices = [p for p in part.parameters() if p.ndim > 1]
        others = [p for p in part.parameters() if p.ndim <= 1]
        groups.append({"params": matrices, "factor": factor, "weight_decay": table.weight_decay})
        groups.append({"params": others, "factor": factor, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=table.peak)


class Trainer:
    """One step after another.

    Attributes:
        parts: what a checkpoint keeps.
    """

    def __init__(self, config: RunConfig, labels: Tensor, where: World, steps: int) -> None:
        self.config, self.steps = config, steps
        self._where = where
        self._turn = round(config.first_phase * steps)
        torch.manual_seed(config.seed)
        member = Member(config)
        member.centre(labels)
        member = member.to(where.device)
        if config.channels_last:
            member = member.to(memory_format=torch.channels_last)
        scales = config.amp and config.half == "fp16"
        self.parts = Parts(
            member=member,
            optimiser=optimiser(member, config.optimiser),
            scaler=torch.amp.GradScaler(where.device.type, enabled=scales),
            average=Average(member, config.optimiser.ema) if config.optimiser.ema else None,
        )
        self._phase = -1
        self._spread: nn.Module = member

    def step(
        self, step: int, pixels: Tensor, labels: Tensor, female: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One update.

        Args:
            pixels: (b, rows, columns) uint8; labels: (b,) in their own units; female: (b,).

        Returns:
            Loss, and gradient norm before clipping; both still on the device.
        """
        config, parts = self.config, self.parts
        self._enter(int(step >= self._turn))
        now = rate(config, step, self.steps)
        for group in parts.optimiser.param_groups:
            group["lr"] = now * group["factor"]
        x = self._input(step, pixels)
        with torch.autocast(x.device.type, _HALVES[config.half], enabled=config.amp):
            raw = self._spread(x, female)
        loss = parts.member.loss(raw, labels)
        parts.optimiser.zero_grad(set_to_none=True)
        parts.scaler.scale(loss).backward()
        parts.scaler.unscale_(parts.optimiser)
        norm = nn.utils.clip_grad_norm_(parts.member.parameters(), config.optimiser.clip)
        parts.scaler.step(parts.optimiser)
        parts.scaler.update()
        if parts.average is not None:
            parts.average.update(parts.member)
        return loss.detach(), norm.detach()

    def averaged(self) -> Member:
        """The member with the averaged weights, in eval mode."""
        # a new network draws its start: the run's own draws must not feel it
        with torch.random.fork_rng(devices=[]):
            made = Member(self.config.model_copy(update={"weights": None})).to(self._where.device)
        average = self.parts.average
        made.load_state_dict(average.state if average else self.parts.member.state_dict())
        return made.eval()

    def _input(self, step: int, pixels: Tensor) -> Tensor:
        words = np.random.SeedSequence([self.config.seed, step, self._where.rank])
        draw = torch.Generator().manual_seed(int(words.generate_state(1, np.uint64)[0] >> 1))
        with torch.no_grad():
            x = augmented(pixels, self.config.augment, draw)
        if self.config.channels_last:
            return x.contiguous(memory_format=torch.channels_last)
        return x

    def _enter(self, phase: int) -> None:
        if phase == self._phase:
            return
        member = self.parts.member
        member.train()
        freeze(member.backbone, self.config.scheme, phase)
        # gradients are exchanged for what moves now: a new phase needs a new exchange
        self._spread = self._where.spread(member)
        self._phase = phase


def random_state(where: World) -> NDArray[np.uint8]:
    """(n,) random state of this process, its card's included."""
    parts = [torch.get_rng_state()]
    if where.device.type == "cuda":
        parts.append(torch.cuda.get_rng_state(where.device))
    state: NDArray[np.uint8] = torch.cat(parts).numpy()
    return state


def set_random_state(where: World, state: Tensor) -> None:
    """Undo ``random_state``."""
    size = len(torch.get_rng_state())
    # a copy: torch reads the storage from its start, and crashes on a row of a matrix
    torch.set_rng_state(state[:size].clone())
    if where.device.type == "cuda":
        torch.cuda.set_rng_state(state[size:].clone(), where.device)
