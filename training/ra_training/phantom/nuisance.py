"""What varies between generated images without changing a score: ranges and chances, in one table.

The generator draws from this table, and model cards print it: a model has seen no more than this.
Every number is part of the pixels; a change is a new ``PHANTOM_VERSION``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Even draws between two limits, of the logarithm where ``ratio`` says so."""

    words: str
    low: float
    high: float
    unit: str = ""
    ratio: bool = False

    def draw(self, source: np.random.Generator) -> float:
        """One value."""
        if self.ratio:
            return float(np.exp(source.uniform(np.log(self.low), np.log(self.high))))
        return float(source.uniform(self.low, self.high))

    def __str__(self) -> str:
        return f"{self.low:g}-{self.high:g} {self.unit}".rstrip()


RANGES: Mapping[str, Range] = {
    "field": Range(words="height of the field for a man's hand", low=238, high=320, unit="mm"),
    "quanta": Range(words="quanta a pixel of 0.5 mm", low=1.5e3, high=3e4, ratio=True),
    "energy": Range(words="factor of all attenuation", low=0.8, high=1.2),
    "blur": Range(words="focal spot and detector, sigma", low=0.12, high=0.42, unit="mm"),
    "gamma": Range(words="exponent of the tone curve", low=0.28, high=0.80),
    "latitude": Range(words="coarse contrast kept", low=0.40, high=0.80),
    "scatter": Range(words="share of the veil", low=0.05, high=0.14),
    "black": Range(words="tone of the background", low=0.05, high=0.15),
    "cortex": Range(words="cortical thickness", low=1.6, high=2.5, unit="mm"),
    "porosis": Range(words="bone lost with damage, share", low=0.0, high=0.30),
    "frailty": Range(words="thin bone without damage, factor", low=0.2, high=1.6),
    "lean": Range(words="drift of the fingers, factor", low=0.0, high=1.8),
    "worn": Range(words="osteoarthritis of a worn DIP joint", low=0.0, high=0.8),
}
"""Drawn evenly."""
SPREADS: Mapping[str, Range] = {
    "density": Range(words="density of bone (SD 0.13)", low=0.65, high=1.3),
    "scale": Range(words="size of a hand (SD 0.04)", low=0.9, high=1.1),
    "space": Range(words="width of healthy joint spaces (SD 0.08)", low=0.8, high=1.2),
}
"""Drawn from a normal distribution around 1 and cut at these limits."""
CHANCES: Mapping[str, float] = {
    "women": 0.72,
    "worn DIP joints": 0.35,
    "a ring": 0.15,
    "a missing finger tip": 0.02,
    "MONOCHROME1": 0.3,
    "14 bits instead of 12": 0.3,
    "a lead letter": 0.8,
}
"""Share of subjects or images."""


def normal(name: str, spread: float, source: np.random.Generator) -> float:
    """A factor around 1 of ``SPREADS``, cut at its limits."""
    limits = SPREADS[name]
    return min(limits.high, max(limits.low, float(source.normal(1.0, spread))))


def table() -> str:
    """Markdown rows for a card."""
    rows = [f"| {r.words} | {r} |" for r in (*RANGES.values(), *SPREADS.values())]
    rows += [f"| {words} | {100 * share:.0f} % |" for words, share in CHANCES.items()]
    return "\n".join(["| varies | between, or how often |", "|---|---|", *rows])
