"""Which images a step sees: a function of seed, epoch and step, so a resume needs no state."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """A shuffle of every epoch, shared out among processes.

    Attributes:
        count: images of the set; batch: images a step, of all processes; ranks: processes.
    """

    count: int
    batch: int
    ranks: int
    seed: int

    @property
    def steps(self) -> int:
        """Steps of an epoch; every image occurs at least once."""
        return -(-self.count // self.batch)

    def rows(self, step: int, rank: int) -> NDArray[np.int64]:
        """(batch / ranks,) rows of a step, counted over all epochs.

        The last step of an epoch is filled up from the start of the epoch's own shuffle.
        """
        epoch, place = divmod(step, self.steps)
        order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        whole = np.resize(order, self.steps * self.batch)
        mine = whole[place * self.batch : (place + 1) * self.batch][rank :: self.ranks]
        return mine.astype(np.int64)


def batches(
    pixels: NDArray[np.uint8], sampler: Sampler, steps: range, rank: int, device: torch.device
) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
    """Rows and their pixels (b, rows, columns) on the device, read one step ahead."""
    pinned = device.type == "cuda"

    def gather(step: int) -> tuple[NDArray[np.int64], Tensor]:
        rows = sampler.rows(step, rank)
        found = torch.from_numpy(np.ascontiguousarray(pixels[rows]))
        return rows, found.pin_memory() if pinned else found

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(gather, steps.start) if len(steps) else None
        for step in steps:
            assert ahead is not None
            rows, found = ahead.result()
            ahead = reader.submit(gather, step + 1) if step + 1 < steps.stop else None
            yield rows, found.to(device, non_blocking=pinned)
