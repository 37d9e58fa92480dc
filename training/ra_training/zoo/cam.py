"""Heatmaps in the forward pass: the head's vector-Jacobian product, traced once into the graph.

Only the head is differentiated, at the last activations, so the map costs a few per cent of a
forward pass. Maps are signed, unclamped and in score units; a ReLU comes last, where
maps are shown.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from ra_training.zoo.heads import Head

Method = Literal["gradcam", "hirescam", "layercam"]
METHODS: tuple[Method, ...] = ("gradcam", "hirescam", "layercam")


def score_and_weights(head: Head, channels: int) -> nn.Module:
    """A module: channel means (b, c) -> score (b,), cumulative logits, d score / d means (b, c).

    Raises:
        ValueError: a parameter of the head still asks for a gradient.
    """
    if any(p.requires_grad for p in head.parameters()):
        raise ValueError("freeze the head first: requires_grad_(False)")

    def both(m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        score, back, logits = torch.func.vjp(lambda v: head.of(head.pooled(v)), m, has_aux=True)
        return score, logits, back(torch.ones_like(score))[0]

    # batch 3 keeps the symbol of the batch apart from the constants
    return make_fx(both, tracing_mode="symbolic", _allow_non_fake_inputs=True)(
        torch.randn(3, channels)
    )


def weighted(a: Tensor, weights: Tensor, method: Method) -> Tensor:
    """(b, h, w) map, unclamped, from activations (b, c, h, w) and their heads' weights (b, c).

    A head that pools by the mean has the gradient ``weights / (h * w)`` at every place. There
    ``gradcam`` (Selvaraju 2017), which weights channels by their mean gradient, and ``hirescam``
    (Draelos and Carin 2020), which multiplies in place, are one map, and one product of matrices;
    ``layercam`` (Jiang 2021) keeps positive gradients only.
    """
    b, c, h, w = a.shape
    kept = torch.relu(weights) if method == "layercam" else weights
    return torch.matmul((kept / (h * w))[:, None], a.reshape(b, c, h * w)).reshape(b, h, w)
