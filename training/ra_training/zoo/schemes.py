"""Fine-tuning schemes: which parameters move."""

from __future__ import annotations

import re

from torch import nn

from ra_training.errors import TrainingError
from ra_training.zoo.registry import Backbone

SCHEMES = ("scratch", "head", "finetuned", "two-phase", "RBs-<k>")


def moving(scheme: str, backbone: Backbone, phase: int = 0) -> list[str]:
    """Names of the backbone's parameters that train; a head always trains.

    Args:
        scheme: ``scratch`` and ``finetuned`` move all; ``head`` none; ``RBs-k`` the last k stages;
            ``two-phase`` none in phase 0 and all in phase 1.

    Raises:
        TrainingError: unknown scheme, or more stages than the architecture has.
    """
    names = [n for n, _ in backbone.net.named_parameters()]
    if scheme in ("scratch", "finetuned") or (scheme == "two-phase" and phase == 1):
        return names
    if scheme in ("head", "two-phase"):
        return []
    found = re.fullmatch(r"RBs-([1-9]\d*)", scheme)
    groups = backbone.architecture.groups
    if found is None or int(found[1]) > len(groups):
        raise TrainingError(
            code="unknown-scheme",
            text=f"no scheme {scheme!r} for {backbone.name}",
            hint=f"one of {', '.join(SCHEMES)} with k from 1 to {len(groups)}",
        )
    prefixes = tuple(f"{p}." for group in groups[: int(found[1])] for p in group)
    return [n for n in names if n.startswith(prefixes)]


def freeze(backbone: Backbone, scheme: str, phase: int = 0) -> None:
    """Set ``requires_grad`` of the backbone, and keep the statistics of what does not move."""
    names = set(moving(scheme, backbone, phase))
    for name, parameter in backbone.net.named_parameters():
        parameter.requires_grad_(name in names)
    for name, module in backbone.net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train(f"{name}.weight" in names)
