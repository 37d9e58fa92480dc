"""Checkpoints: tensors as safetensors, the rest as JSON; written beside, then renamed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def save(
    path: Path, *, model: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer,
    facts: dict[str, Any],
) -> None:  # fmt: skip
    """Everything that the next step depends on, in one file."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for i, held in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{k}": torch.as_tensor(v) for k, v in held.items()}
    tensors["random"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random_cuda"] = torch.cuda.get_rng_state()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    kept = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    save_file(kept, temporary, metadata={"facts": json.dumps(facts, sort_keys=True)})
    temporary.rename(path)


def restore(
    path: Path, *, model: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer
) -> dict[str, Any]:
    """Put a checkpoint back; returns its facts."""
    with safe_open(path, "pt") as held:
        facts: dict[str, Any] = json.loads(held.metadata()["facts"])
    tensors = load_file(path)
    model.load_state_dict(_under(tensors, "model."))
    for name, value in _under(tensors, "average.").items():
        average[name].copy_(value)
    state = optimiser.state_dict()
    found: dict[int, dict[str, Tensor]] = {}
    for key, value in _under(tensors, "optimiser.").items():
        index, _, name = key.partition(".")
        found.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": found, "param_groups": state["param_groups"]})
    torch.set_rng_state(tensors["random"])
    if "random_cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random_cuda"])
    return facts


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
