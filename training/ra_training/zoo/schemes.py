"""Fine-tuning schemes: which parameters move."""

from __future__ import annotations

import re

from ra_training.errors import TrainingError
from ra_training.zoo.registry import REGISTRY, Backbone

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
    groups = backbone.architecture.groups
    last = _last(scheme, backbone.name)
    prefixes = tuple(f"{p}." for group in groups[:last] for p in group)
    return [n for n in names if n.startswith(prefixes)]


def check(scheme: str, architecture: str) -> None:
    """Refuse a scheme that an architecture of the registry does not have.

    Raises:
        TrainingError: unknown scheme, or more stages than the architecture has.
    """
    if scheme not in SCHEMES[:-1]:  # the last one stands for RBs-1, RBs-2, ...
        _last(scheme, architecture)


def _last(scheme: str, architecture: str) -> int:
    """k of ``RBs-k``."""
    most = len(REGISTRY[architecture].groups)
    found = re.fullmatch(r"RBs-([1-9]\d*)", scheme)
    if found is None or int(found[1]) > most:
        raise TrainingError(
            code="unknown-scheme",
            text=f"no scheme {scheme!r} for {architecture}",
            hint=f"one of {', '.join(SCHEMES)} with k from 1 to {most}",
        )
    return int(found[1])


def freeze(backbone: Backbone, scheme: str, phase: int = 0) -> None:
    """Set ``requires_grad`` of the backbone; what does not move answers as it does in use.

    Batch statistics of a frozen part stay as they are, and no stochastic depth drops its blocks.
    """
    names = set(moving(scheme, backbone, phase))
    for name, parameter in backbone.net.named_parameters():
        parameter.requires_grad_(name in names)
    for module in backbone.net.modules():
        own = list(module.parameters())
        if own and not any(p.requires_grad for p in own):
            module.eval()
