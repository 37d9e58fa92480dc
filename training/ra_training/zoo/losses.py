"""Losses of the zoo, each a switch by name.

Score losses take raw head outputs and scores; class losses take raw outputs and 0-based classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]


def mse(raw: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of (b, 1) against scores (b,)."""
    return nn.functional.mse_loss(raw[:, 0], target)


def smooth_l1(raw: Tensor, target: Tensor) -> Tensor:
    """Huber loss with beta 1 of (b, 1) against scores (b,)."""
    return nn.functional.smooth_l1_loss(raw[:, 0], target)


def cross_entropy(raw: Tensor, target: Tensor) -> Tensor:
    """Softmax cross-entropy of (b, k) logits against classes (b,)."""
    return nn.functional.cross_entropy(raw, target)


def coral(raw: Tensor, target: Tensor) -> Tensor:
    """Sum over thresholds of the binary cross-entropy of class > k (Cao et al. 2020, eq. 4)."""
    return nn.functional.binary_cross_entropy_with_logits(
        raw, _above(raw, target), reduction="none"
    ).sum(1).mean()  # fmt: skip


def corn(raw: Tensor, target: Tensor) -> Tensor:
    """Conditional binary cross-entropies, each over the cases that reach it (Shi et al. 2023)."""
    k = torch.arange(raw.shape[1], device=raw.device)
    reaches = (target[:, None] >= k).to(raw.dtype)
    each = nn.functional.binary_cross_entropy_with_logits(
        raw, _above(raw, target), reduction="none"
    )
    return (each * reaches).sum() / reaches.sum().clamp(min=1)


def triangular(raw: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of (b, k) logits against labels softened to neighbours: 1/2, 1/4 each side.

    What would fall beyond the first or last class stays with it.
    """
    k = raw.shape[1]
    soft = torch.zeros_like(raw)
    for offset, share in ((0, 0.5), (-1, 0.25), (1, 0.25)):
        place = (target + offset).clamp(0, k - 1)
        soft.scatter_add_(1, place[:, None], torch.full_like(soft[:, :1], share))
    return -(soft * torch.log_softmax(raw, 1)).sum(1).mean()


def expectation(values: Tensor) -> Loss:
    """Loss of the expected value over bins (b, k) against scores (b,), plus its spread.

    Smooth L1 of the mean and a tenth of the variance, which keeps the distribution narrow
    (mean-variance loss, Pan et al. 2018, with another mean term).
    """

    def loss(raw: Tensor, target: Tensor) -> Tensor:
        share = torch.softmax(raw, 1)
        mean = (share * values).sum(1)
        spread = (share * (values - mean[:, None]) ** 2).sum(1)
        return nn.functional.smooth_l1_loss(mean, target) + 0.1 * spread.mean()

    return loss


SCORE_LOSSES: dict[str, Loss] = {"mse": mse, "smooth_l1": smooth_l1}
CLASS_LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "coral": coral,
    "corn": corn,
    "triangular": triangular,
}


def _above(raw: Tensor, target: Tensor) -> Tensor:
    k = torch.arange(raw.shape[1], device=raw.device)
    return (target[:, None] > k).to(raw.dtype)
