"""Predictions of a trained member, in FP32 as the exported graph gives them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ra_training.data.prepared import Prepared
from ra_training.errors import TrainingError
from ra_training.zoo import member as members
from ra_training.zoo.augment import plain
from ra_training.zoo.member import Member


def predict(
    model: Member | Path, data: Prepared, *, batch: int = 32, device: str = "cpu"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores (n,) in label units and cumulative logits (n, k - 1), in FP32.

    Args:
        model: a member, which stays on its device, or the file of one, which goes to ``device``.

    Raises:
        TrainingError: no weights of a run; bone age of images without a sex.
    """
    made = members.load(model).to(device) if isinstance(model, Path) else model.eval()
    where = next(made.parameters()).device
    female = females(data, needed=made.config.target == "months").to(where)
    scores, logits = [], []
    with torch.inference_mode():
        for i in range(0, len(data), batch):
            pixels = torch.from_numpy(np.array(data.pixels[i : i + batch])).to(where)
            x = plain(pixels).contiguous(memory_format=torch.channels_last)
            score, cumulative = made.read(made(x, female[i : i + batch]))
            scores.append(score.cpu().numpy())
            logits.append(cumulative.cpu().numpy())
    return np.concatenate(scores), np.concatenate(logits)


def females(data: Prepared, *, needed: bool) -> Tensor:
    """(n,) 1.0 for F, 0.0 for M; zeros where nobody asks.

    Raises:
        TrainingError: needed, and an image tells none.
    """
    missing = [s.key for s in data.samples if s.sex is None]
    if needed and missing:
        raise TrainingError(
            code="sex-missing",
            text=f"{len(missing)} of {len(data)} images tell no sex, first {missing[0]}",
            hint="bone age is read by sex: leave them out",
        )
    return torch.tensor([float(s.sex == "F") for s in data.samples])


def errors(predicted: NDArray[np.float32], truth: NDArray[np.float32]) -> dict[str, float]:
    """RMSE, MAE, bias and Pearson correlation, for the metrics of a run."""
    off = predicted.astype(np.float64) - truth
    spread = float(predicted.std() * truth.std())
    together = float(np.mean((predicted - predicted.mean()) * (truth - truth.mean())))
    return {
        "valid_rmse": float(np.sqrt(np.mean(off**2))),
        "valid_mae": float(np.abs(off).mean()),
        "valid_bias": float(off.mean()),
        "valid_pcc": together / spread if spread else 0.0,
    }
