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


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Normal draws around ``mean``, cut ``reach`` to either side of it."""

    words: str
    sd: float
    reach: float
    mean: float = 0.0
    unit: str = ""

    def draw(self, source: np.random.Generator) -> float:
        """One value."""
        off = float(source.normal(0, self.sd))
        return self.mean + min(self.reach, max(-self.reach, off))

    def __str__(self) -> str:
        low, high = self.mean - self.reach, self.mean + self.reach
        limits = f"{low:g} to {high:g} {self.unit}".rstrip()
        return f"{limits}, SD {self.sd:g}"


RANGES: Mapping[str, Range] = {
    "field": Range(words="height of the field for a man's hand", low=238, high=315, unit="mm"),
    "quanta": Range(words="quanta a pixel of 0.5 mm", low=1.5e3, high=3e4, ratio=True),
    "energy": Range(words="factor of all attenuation", low=0.8, high=1.2),
    "blur": Range(words="focal spot and detector, sigma", low=0.12, high=0.42, unit="mm"),
    "gamma": Range(words="exponent of the tone curve", low=0.28, high=0.80),
    "latitude": Range(words="coarse contrast kept", low=0.40, high=0.80),
    "scatter": Range(words="share of the veil", low=0.05, high=0.14),
    "black": Range(words="tone of the background", low=0.05, high=0.15),
    "border": Range(words="collimated edge, share of the height", low=0.0, high=0.045),
    "strip": Range(words="unexposed strip between two exposures", low=2.0, high=6.0, unit="mm"),
    "place": Range(words="place along the field, share of its slack", low=0.1, high=0.6),
    "cortex": Range(words="cortical thickness", low=1.6, high=2.5, unit="mm"),
    "porosis": Range(words="bone lost with damage, share", low=0.0, high=0.30),
    "frailty": Range(words="thin bone without damage, factor", low=0.2, high=1.6),
    "lean": Range(words="drift of the fingers, factor", low=0.0, high=1.8),
    "worn": Range(words="osteoarthritis of a worn DIP joint", low=0.0, high=0.8),
    "cyst": Range(words="radius of a harmless cyst", low=0.9, high=2.8, unit="mm"),
}
"""Drawn evenly."""
SPREADS: Mapping[str, Spread] = {
    "density": Spread(words="density of bone", mean=1.0, sd=0.13, reach=0.35),
    "scale": Spread(words="size of a hand", mean=1.0, sd=0.04, reach=0.1),
    "widths": Spread(words="width of its bones", mean=1.0, sd=0.04, reach=0.1),
    "lengths": Spread(words="length of each bone", mean=1.0, sd=0.025, reach=0.06),
    "space": Spread(words="width of healthy joint spaces", mean=1.0, sd=0.08, reach=0.2),
    "joint": Spread(words="the same, of each joint", mean=1.0, sd=0.05, reach=0.12),
    "variance": Spread(words="ulnar variance", sd=1.1, reach=3.0, unit="mm"),
    "inclination": Spread(words="slope of the radius, added", sd=0.05, reach=0.12),
    "wrist": Spread(words="turn of the wrist", sd=4.0, reach=10.0, unit="degrees"),
    "aside": Spread(words="hand off its place", sd=10.0, reach=30.0, unit="mm"),
    "turned": Spread(words="two hands turned", sd=6.7, reach=15.0, unit="degrees"),
    "turned alone": Spread(words="one hand turned", sd=9.0, reach=20.0, unit="degrees"),
    "tilt": Spread(words="tilt of the collimator", sd=0.9, reach=3.0, unit="degrees"),
    "thumb": Spread(words="thumb off its mean angle", sd=5.0, reach=15.0, unit="degrees"),
    "finger": Spread(words="finger off its mean angle", sd=1.7, reach=5.0, unit="degrees"),
    "bend": Spread(words="sideways bend of a finger joint", sd=1.4, reach=4.0, unit="degrees"),
    "thumb bend": Spread(words="of a thumb joint", sd=5.7, reach=15.0, unit="degrees"),
    "own drift": Spread(words="drift of one finger, factor", mean=1.0, sd=0.2, reach=0.4),
}
"""Drawn from a normal distribution and cut."""
CHANCES: Mapping[str, float] = {
    "women": 0.72,
    "worn DIP joints": 0.35,
    "a ring": 0.15,
    "a missing finger tip": 0.02,
    "a cyst, each bone without a site": 0.2,
    "MONOCHROME1": 0.3,
    "14 bits instead of 12": 0.3,
    "a lead letter": 0.8,
    "two exposures on one plate, of two hands": 0.06,
}
"""Share of subjects or images."""


def table() -> str:
    """Markdown rows for a card."""
    rows = [f"| {r.words} | {r} |" for r in RANGES.values()]
    rows += [f"| {s.words} | {s} |" for s in SPREADS.values()]
    rows += [f"| {words} | {100 * share:.0f} % |" for words, share in CHANCES.items()]
    return "\n".join(["| varies | between, or how often |", "|---|---|", *rows])
