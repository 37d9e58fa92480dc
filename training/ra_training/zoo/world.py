"""The processes of a run: one, or as many as torchrun starts."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from ra_training.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """This process among all."""

    rank: int
    ranks: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def spread(self, network: nn.Module) -> nn.Module:
        """The network with averaged gradients, where there are several processes."""
        if self.ranks == 1:
            return network
        cards = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(network, device_ids=cards)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.ranks > 1:
            distributed.barrier()

    def gathered(self, state: NDArray[np.uint8]) -> Tensor:
        """(ranks, n) of every process's (n,) bytes."""
        mine = torch.from_numpy(state).to(self.device)
        if self.ranks == 1:
            return mine[None].cpu()
        all_of_them = [torch.empty_like(mine) for _ in range(self.ranks)]
        distributed.all_gather(all_of_them, mine)
        return torch.stack(all_of_them).cpu()

    def agree(self, *, stop: bool) -> bool:
        """Whether any process wants to stop: all learn it at the same step."""
        if self.ranks == 1:
            return stop
        flag = torch.tensor(float(stop), device=self.device)
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag.item())


def world(name: str) -> World:
    """Join the processes that torchrun started, or stand alone.

    Args:
        name: the configured device; under torchrun, ``cuda`` becomes this process's own card.

    Raises:
        TrainingError: no such device.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    device = _device(name, int(os.environ.get("LOCAL_RANK", "0")), ranks)
    if ranks == 1:
        return World(rank=0, ranks=1, device=device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        # until the process ends: later runs share the group
        atexit.register(distributed.destroy_process_group)
    return World(rank=distributed.get_rank(), ranks=ranks, device=device)


def _device(name: str, local_rank: int, ranks: int) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise TrainingError(
            code="device-unknown", text=f"no device {name!r}", hint="write cpu, cuda or cuda:N"
        ) from error
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise TrainingError(
            code="device-missing",
            text="torch finds no GPU",
            hint="set device.name = 'cpu', or install the driver and a CUDA build of torch",
        )
    index = local_rank if ranks > 1 else (device.index or 0)
    torch.cuda.set_device(index)
    return torch.device("cuda", index)
