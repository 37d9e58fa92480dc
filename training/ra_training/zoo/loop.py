"""The training loop: steps that a resumed run repeats bit for bit.

Everything random in a step comes from (seed, step, rank), so a checkpoint needs no sampler state
beyond the number of the step; what torch itself draws (dropout) is restored from the checkpoint.
Started by torchrun, every process takes its share of each batch.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ra_training.data.prepared import Prepared
from ra_training.errors import TrainingError
from ra_training.zoo import checkpoint
from ra_training.zoo import config as configs
from ra_training.zoo import member as members
from ra_training.zoo.checkpoint import Standing
from ra_training.zoo.config import RunConfig
from ra_training.zoo.journal import Journal
from ra_training.zoo.predict import errors, females, predict
from ra_training.zoo.sampler import Sampler, batches
from ra_training.zoo.trainer import Trainer, random_state, rate, set_random_state
from ra_training.zoo.world import World, world

__all__ = ["WEIGHTS", "Progress", "RunResult", "fit", "predict", "rate"]

Progress = Callable[[int, int, float], None]
WEIGHTS = "member.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run leaves.

    Attributes:
        weights: ``member.safetensors``, the averaged weights where an average is kept.
        predictions: (n_valid,) in label units; logits: (n_valid, k - 1) cumulative.
        seconds: of training, over all calls; step, epochs: where it stands.
        done: at the schedule's end, or out of patience.
    """

    weights: Path
    config: RunConfig
    predictions: NDArray[np.float32]
    logits: NDArray[np.float32]
    seconds: float
    step: int
    epochs: int
    done: bool


def fit(
    config: RunConfig, train: Prepared, valid: Prepared, out: Path,
    *, minutes: float | None = None, stop_at: int | None = None, progress: Progress | None = None,
) -> RunResult:  # fmt: skip
    """Train, or go on from ``out/checkpoint.safetensors``; a run that is done only answers.

    Args:
        minutes: time limit of this call; stop_at: step to stop at, for tests and schedulers.
        progress: called with step, steps and loss where metrics are logged.

    Raises:
        TrainingError: labels are missing, weights do not fit, no such device, or ``out`` holds
            the run of another configuration or other data.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _kernels(config):
        run = _Run(config, train, valid, out, world(config.device))
        run.progress = progress
        run.go(math.inf if minutes is None else 60 * minutes, stop_at or math.inf)
        return run.result()


class _Run:
    """A run under way."""

    def __init__(
        self, config: RunConfig, train: Prepared, valid: Prepared, out: Path, where: World
    ) -> None:
        self.config, self.train, self.valid, self.out, self.where = config, train, valid, out, where
        if config.batch % where.ranks:
            raise TrainingError(
                code="batch-uneven",
                text=f"a batch of {config.batch} cannot be shared by {where.ranks} processes",
                hint="choose a batch that the number of processes divides",
            )
        labels = torch.from_numpy(train.targets(config.target))
        self.aims = valid.targets(config.target)
        self.labels = labels.to(where.device)
        self.female = females(train, needed=config.target == "months").to(where.device)
        self.sampler = Sampler(
            count=len(train), batch=config.batch, ranks=where.ranks, seed=config.seed
        )
        self.steps = self.sampler.steps * config.epochs
        self.trainer = Trainer(config, labels, where, self.steps)
        self.digest = _digest(config, train, where.ranks)
        self.standing = self._restored()
        self.progress: Progress | None = None

    def go(self, seconds: float, stop_at: float) -> None:
        """Train until the schedule, the patience, the time or the step ends."""
        now, where = self.standing, self.where
        if now.done:
            return
        if where.leads:
            configs.save(self.config, self.out / "config.json")
        began, before, first = time.monotonic(), now.seconds, now.step
        last = int(min(self.steps, stop_at))
        journal = Journal(self.out, total=self.steps, step=first, speaks=where.leads)
        with journal:
            for rows, pixels in batches(
                self.train.pixels, self.sampler, range(first, last), where.rank, where.device
            ):
                at = torch.from_numpy(rows).to(where.device)
                told = self.trainer.step(now.step, pixels, self.labels[at], self.female[at])
                now.step += 1
                spent = time.monotonic() - began
                now.seconds = before + spent
                self._note(journal, *told, (now.step - first) / max(spent, 1e-9))
                late = math.isfinite(seconds) and where.agree(stop=spent >= seconds)
                self._between(journal, ends=late or now.step == last)
                if late or now.done:
                    break
        where.wait()

    def result(self) -> RunResult:
        """Read the weights that were written and answer for the validation set."""
        member = members.load(self.out / WEIGHTS).to(self.where.device)
        scores, logits = predict(member, self.valid)
        now = self.standing
        return RunResult(
            weights=self.out / WEIGHTS, config=self.config, predictions=scores, logits=logits,
            seconds=now.seconds, step=now.step, epochs=now.step // self.sampler.steps,
            done=now.done,
        )  # fmt: skip

    def _between(self, journal: Journal, *, ends: bool) -> None:
        """What happens between steps: validation, weights, checkpoint."""
        now, config = self.standing, self.config
        epoch, inside = divmod(now.step, self.sampler.steps)
        if not inside and config.validate_every and epoch % config.validate_every == 0:
            self._validate(journal, epoch)
        now.done = now.done or now.step == self.steps
        stops = ends or now.done
        if self.where.leads and stops and (config.keep == "last" or not now.best_epoch):
            self.trainer.averaged().save(self.out / WEIGHTS)
        if stops or not inside or now.step % config.save_every == 0:
            random = self.where.gathered(random_state(self.where))
            if self.where.leads:
                checkpoint.save(self.out, self.trainer.parts, now, self.digest, random)
            self.where.wait()

    def _validate(self, journal: Journal, epoch: int) -> None:
        now, config = self.standing, self.config
        if self.where.leads:
            member = self.trainer.averaged()
            found = errors(predict(member, self.valid)[0], self.aims)
            if found["valid_rmse"] < now.best:
                now.best, now.best_epoch = found["valid_rmse"], epoch
                if config.keep == "best":
                    member.save(self.out / WEIGHTS)
            journal.row(now.step, epoch=epoch, **found)
            journal.at(now.step, f"RMSE {found['valid_rmse']:.2f}")
        tired = bool(config.patience) and epoch - now.best_epoch >= config.patience
        now.done = self.where.agree(stop=tired and self.where.leads)

    def _note(self, journal: Journal, loss: Tensor, norm: Tensor, steps_a_second: float) -> None:
        step = self.standing.step
        journal.at(step)
        if step % self.config.log_every and step != self.steps:
            return
        value = float(loss)
        journal.row(
            step, loss=value, gradient_norm=float(norm),
            rate=rate(self.config, step - 1, self.steps),
            images_per_second=round(steps_a_second * self.config.batch, 3),
        )  # fmt: skip
        if self.progress is not None:
            self.progress(step, self.steps, value)

    def _restored(self) -> Standing:
        found = checkpoint.restore(self.out, self.trainer.parts, self.digest)
        if found is None:
            torch.manual_seed(self.config.seed + 7919 * self.where.rank)
            return Standing()
        standing, random = found
        set_random_state(self.where, random[self.where.rank])
        return standing


def _digest(config: RunConfig, train: Prepared, ranks: int) -> str:
    """Of what a resumed run must share: configuration, first weights, images, processes."""
    start = config.weights
    if start is not None and Path(start).is_file():
        with Path(start).open("rb") as stream:
            start = hashlib.file_digest(stream, "sha256").hexdigest()
    told = f"{config.digest} {start} {ranks} {train.digest()}"
    return hashlib.sha256(told.encode()).hexdigest()


@contextmanager
def _kernels(config: RunConfig) -> Iterator[None]:
    """Threads and kernel choice of this run; put back afterwards."""
    threads = torch.get_num_threads()
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    if config.threads:
        torch.set_num_threads(config.threads)
    exact = config.deterministic
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = not exact, exact
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before
