"""Heads: from the last activations to a score and, where they have them, class logits.

Every head pools first (mean over rows and columns), so that its gradient is one number a channel,
and the map of that gradient times the activations is in the head's own units.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

HEADS = ("linear", "mlp", "coral", "corn", "bins")


class Head(nn.Module):
    """What all heads share.

    ``raw`` is what losses read, ``score`` (b,) what users read, ``cumulative`` the (b, classes - 1)
    logits of P(class > k), or (b, 0) for heads without classes.
    """

    def pooled(self, m: Tensor) -> Tensor:
        """Means of the channels (b, c) -> (b, r)."""
        raise NotImplementedError

    def raw(self, a: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, r)."""
        return self.pooled(a.mean((2, 3)))

    def of(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Raw outputs -> score (b,), cumulative logits."""
        raise NotImplementedError

    def forward(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """(b, c, h, w) -> score (b,), cumulative logits."""
        return self.of(self.raw(a))


class Linear(Head):
    """Mean, then one weight a channel: its map sums to the score up to the bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out = nn.Linear(channels, 1)

    def pooled(self, m: Tensor) -> Tensor:
        """(b, 1)."""
        out: Tensor = self.out(m)
        return out

    def of(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Score; no classes."""
        return raw[:, 0], raw[:, 1:]


class Mlp(Linear):
    """Mean, then 256-64-1."""

    def __init__(self, channels: int) -> None:
        super().__init__(64)
        self.hidden = nn.Sequential(
            nn.Linear(channels, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU()
        )

    def pooled(self, m: Tensor) -> Tensor:
        """(b, 1)."""
        out: Tensor = self.out(self.hidden(m))
        return out


class Ordinal(Head):
    """Classes in order; the score is the expected value over the classes.

    ``coral``: one weight vector and a threshold each (Cao, Mirjalili, Raschka 2020), logits of
    P(class > k). ``corn``: a vector each, logits of P(class > k | class > k - 1) (Shi et al. 2023).
    """

    values: Tensor

    def __init__(self, channels: int, values: Sequence[float], kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("values", torch.tensor(list(values), dtype=torch.float32))
        steps = len(values) - 1
        self.out = nn.Linear(channels, 1 if kind == "coral" else steps, bias=kind != "coral")
        if kind == "coral":
            self.cuts = nn.Parameter(torch.linspace(1.0, -1.0, steps))

    def pooled(self, m: Tensor) -> Tensor:
        """(b, classes - 1) logits."""
        out: Tensor = self.out(m)
        return out + self.cuts if self.kind == "coral" else out

    def of(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Expected value, and logits of P(class > k)."""
        if self.kind == "corn":  # a product of conditional probabilities, as a sum of logarithms
            above = torch.exp(torch.cumsum(nn.functional.logsigmoid(raw), 1))
        else:
            above = torch.sigmoid(raw)
        steps = self.values[1:] - self.values[:-1]
        score = self.values[0] + (above * steps).sum(1)
        logits = raw if self.kind == "coral" else _logit(above)
        return score, logits


class Bins(Head):
    """A softmax over bins of the score; the score is the expectation over their centres."""

    values: Tensor

    def __init__(self, channels: int, values: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("values", torch.tensor(list(values), dtype=torch.float32))
        self.out = nn.Linear(channels, len(values))

    def pooled(self, m: Tensor) -> Tensor:
        """(b, bins) logits."""
        out: Tensor = self.out(m)
        return out

    def of(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Expectation, and logits of P(bin > k)."""
        share = torch.softmax(raw, 1)
        above = 1 - torch.cumsum(share, 1)[:, :-1]
        return (share * self.values).sum(1), _logit(above)


class BoneAge(nn.Module):
    """Months from the last activations and the sex; used for pretraining only.

    forward: (b, c, h, w), (b,) 1 = female -> (b,) months.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sex = nn.Linear(1, 32)
        self.body = nn.Sequential(nn.Linear(channels + 32, 256), nn.ReLU(), nn.Linear(256, 1))

    def forward(self, a: Tensor, female: Tensor) -> Tensor:
        """See the class."""
        known = torch.relu(self.sex(female[:, None].to(a.dtype)))
        out: Tensor = self.body(torch.cat([a.mean((2, 3)), known], 1))
        return out[:, 0]


def head(kind: str, channels: int, values: Sequence[float] = ()) -> Head:
    """A head by name (one of ``HEADS``); ``values`` are the classes' or bins' score values.

    Raises:
        ValueError: unknown name, or an ordinal head without at least two values.
    """
    if kind not in HEADS:
        raise ValueError(f"no head {kind!r}: one of {', '.join(HEADS)}")
    if kind == "linear":
        return Linear(channels)
    if kind == "mlp":
        return Mlp(channels)
    if len(values) < 2:
        raise ValueError(f"head {kind!r} needs the score values of at least two classes")
    return Bins(channels, values) if kind == "bins" else Ordinal(channels, values, kind)


def _logit(p: Tensor) -> Tensor:
    p = p.clamp(1e-6, 1 - 1e-6)
    return torch.log(p) - torch.log1p(-p)
