"""Joint grades: drawn first, the picture follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ra_training.phantom.sites import EROSION_SITES, NARROWING_SITES, SITES, max_grade
from ra_training.phantom.streams import stream

Prior = Literal["clinic", "early", "flat"]
_CUTS = np.array([0.9, 1.55, 2.2, 2.9, 3.6])
_SIDES = ("right", "left")
_APART: dict[Prior, float] = {"clinic": 0.45, "early": 0.45, "flat": 0.65}
"""SD of what sets hands, and erosion and narrowing, apart: more where severity varies more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandGrades:
    """Grades of one hand by site id: erosion 0-5, narrowing 0-4."""

    grades: Mapping[str, int]

    def grade(self, site: str) -> int:
        """Grade of a site, 0 when not given."""
        return self.grades.get(site, 0)

    @property
    def erosion_total(self) -> int:
        """Sum over the 16 erosion sites, 0-80."""
        return sum(self.grade(s) for s in EROSION_SITES)

    @property
    def narrowing_total(self) -> int:
        """Sum over the 15 joint-space sites, 0-60."""
        return sum(self.grade(s) for s in NARROWING_SITES)

    @property
    def total(self) -> int:
        """Erosion and narrowing, 0-140."""
        return self.erosion_total + self.narrowing_total


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectGrades:
    """Grades of both hands."""

    right: HandGrades
    left: HandGrades

    @property
    def total(self) -> int:
        """Both hands, 0-280."""
        return self.right.total + self.left.total

    def hand(self, side: str) -> HandGrades:
        """``right`` or ``left``."""
        return self.right if side == "right" else self.left


HEALTHY = HandGrades(grades={})


def sample_grades(seed: int, *, prior: Prior = "clinic", visit_shift: float = 0.0) -> SubjectGrades:
    """Draw the grades of a subject.

    A latent severity with patient, hand, damage-type and joint effects; tuned so that the totals
    of a clinic cohort have a median near 14 and an SD near 47, correlate 0.8-0.9 between the hands
    and below 0.9 between erosion and narrowing.

    Args:
        seed: of the subject.
        prior: ``clinic`` (skewed to zero), ``early`` (milder) or ``flat`` (even over severity).
        visit_shift: added to the latent severity of every joint; never lowers a grade when >= 0.
    """
    latent = _severity(seed, prior)
    apart = _APART[prior]
    effect = float(stream(seed, "patient").normal(0, 0.3))
    joint = {s: float(stream(seed, "joint", s).normal(0, 0.65)) for s in SITES}
    kinds = {k: float(stream(seed, "kind", k).normal(0, apart)) for k in ("BE", "JSN")}
    hands = {}
    for side in _SIDES:
        hand = float(stream(seed, "hand", side).normal(0, apart))
        grades = {}
        for site in SITES:
            kind = site.split("_")[0]
            own = float(stream(seed, "site", side, site).normal(0, 0.85))
            level = latent + effect + kinds[kind] + hand + joint[site] + own + _offset(site)
            grade = int(np.searchsorted(_CUTS[: max_grade(site)], level + visit_shift))
            grades[site] = grade
        hands[side] = HandGrades(grades=grades)
    return SubjectGrades(right=hands["right"], left=hands["left"])


def progression(seed: int, visit: int) -> float:
    """Latent shift at a visit (0 = baseline): most stay, about one in five progresses fast."""
    draw = stream(seed, "progression")
    speed = 0.0 if draw.random() < 0.5 else float(draw.uniform(0.03, 0.15))
    if draw.random() < 0.2:
        speed = float(draw.uniform(0.25, 0.6))
    return speed * visit


def _severity(seed: int, prior: Prior) -> float:
    draw = stream(seed, "severity")
    if prior == "flat":
        return float(draw.uniform(-2.2, 4.0))
    scale = 1.35 if prior == "clinic" else 1.08
    return 1.35 * float(np.log(draw.gamma(0.85, scale) + 0.02))


def _offset(site: str) -> float:
    kind, name = site.split("_", 1)
    if kind == "BE":
        return -0.15 if name.startswith(("PIP", "IP")) else 0.25
    return 0.1 if name.startswith(("MCP", "PIP")) else 0.45
