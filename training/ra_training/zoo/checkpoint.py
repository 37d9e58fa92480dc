"""Everything that a run needs to go on as if it had never stopped, in one safetensors file.

Sampler and schedule are functions of the step; weights, optimiser, average, loss scaler and the
random state are kept here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ra_training.errors import TrainingError
from ra_training.zoo.ema import Average
from ra_training.zoo.member import Member

NAME = "checkpoint.safetensors"


@dataclass(slots=True, kw_only=True)
class Standing:
    """Where a run stands.

    Attributes:
        step: steps done; seconds: of training so far.
        best: lowest validation RMSE so far; best_epoch: and when, counted from 1.
        done: the run has ended, by schedule or by patience.
    """

    step: int = 0
    seconds: float = 0.0
    best: float = float("inf")
    best_epoch: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What moves during a run."""

    member: Member
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: Average | None


def save(folder: Path, parts: Parts, standing: Standing, digest: str, random: Tensor) -> None:
    """Write a checkpoint; the old one stays until the new one is whole.

    Args:
        digest: of configuration and data, which a resumed run must share.
        random: (ranks, n) uint8 random states of all processes.
    """
    tensors = {f"member.{k}": v for k, v in parts.member.state_dict().items()}
    for index, held in parts.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{k}": v for k, v in held.items()}
    if parts.average is not None:
        tensors |= {f"average.{k}": v for k, v in parts.average.state.items()}
    tensors["random"] = random
    told = {name: getattr(standing, name) for name in Standing.__dataclass_fields__}
    metadata = {
        "standing": json.dumps(told),
        "scaler": json.dumps(parts.scaler.state_dict()),
        "updates": str(parts.average.updates if parts.average else 0),
        "digest": digest,
    }
    temporary = folder / "checkpoint.tmp"
    whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    save_file(whole, temporary, metadata=metadata)
    temporary.rename(folder / NAME)


def restore(folder: Path, parts: Parts, digest: str) -> tuple[Standing, Tensor] | None:
    """Put the state of the last checkpoint back; None where there is none yet.

    Raises:
        TrainingError: it belongs to another configuration or data set, or is damaged.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as held:
            metadata = held.metadata()
            tensors = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            code="checkpoint-damaged",
            text=f"{path.name} cannot be read",
            hint="remove it to begin again",
        ) from error
    if metadata["digest"] != digest:
        raise TrainingError(
            code="checkpoint-other",
            text="the folder holds a run of another configuration or other data",
            hint="choose another --out, or remove the folder to begin again",
        )
    parts.member.load_state_dict(_under(tensors, "member."))
    _restore_optimiser(parts.optimiser, _under(tensors, "optimiser."))
    parts.scaler.load_state_dict(json.loads(metadata["scaler"]))
    if parts.average is not None:
        for name, value in _under(tensors, "average.").items():
            parts.average.state[name].copy_(value)
        parts.average.updates = int(metadata["updates"])
    return Standing(**json.loads(metadata["standing"])), tensors["random"]


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
