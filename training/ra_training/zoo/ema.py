"""Exponential moving average of weights and batch statistics."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Average:
    """The average of a network's state.

    The decay grows from 0 as (1 + n) / (10 + n) so that a short run forgets its random start.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}

    def update(self, network: nn.Module) -> None:
        """Move towards the network; counters are copied."""
        with torch.no_grad():
            self._follow(network)

    def _follow(self, network: nn.Module) -> None:
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        mine: list[Tensor] = []
        theirs: list[Tensor] = []
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                mine.append(self.state[name])
                theirs.append(value.detach())
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(mine, theirs, weight)
