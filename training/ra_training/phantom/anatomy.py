"""Adult reference anatomy in the hand frame, and how one subject departs from it.

Hand frame: origin at the wrist (proximal capitate), +x toward the thumb, +y toward the fingers,
mm at scale 1 (adult male). Metacarpal lengths after CT of 40 adults; the rest from anatomy texts.
"""

from __future__ import annotations

from dataclasses import dataclass

from ra_training.phantom.canvas import Point
from ra_training.phantom.streams import stream

METACARPAL = (46.0, 68.0, 65.0, 58.0, 54.0)
PROXIMAL = (31.0, 40.0, 44.5, 41.0, 33.0)
MIDDLE = (0.0, 23.0, 27.0, 26.0, 18.5)
DISTAL = (22.0, 16.0, 17.5, 17.5, 16.0)
FAN = (0.56, 0.13, 0.0, -0.11, -0.22)
BASE: tuple[Point, ...] = ((23.0, 18.5), (11.0, 25.4), (2.0, 25.6), (-6.6, 23.8), (-13.8, 20.6))
WIDTH = (1.05, 1.0, 1.0, 0.90, 0.84)
SHAFT_BASE_HEAD = {
    "MC": (8.5, 12.4, 15.0), "PP": (9.0, 14.0, 11.0),
    "MP": (7.5, 12.5, 9.5), "DP": (5.0, 10.0, 7.5),
}  # fmt: skip
GAP = {"MCP": 1.75, "PIP": 1.3, "IP": 1.2, "DIP": 1.05}
SPACE_LEFT = (1.0, 0.86, 0.62, 0.30, 0.0)
"""Part of the joint space that remains at each narrowing grade."""

CARPALS: dict[str, tuple[Point, ...]] = {
    "S": ((5.6, -6.4), (12, -6), (17.3, 0), (18.3, 6.6), (13.6, 8.4), (8.8, 5.4), (5.9, 0)),
    "L": ((-6, -7.5), (3.9, -7.5), (4.2, -1), (1.6, 2.4), (-4, 2.6), (-6.8, -1)),
    "Tq": ((-15, -4), (-8.4, -6.3), (-8.3, 0), (-10.4, 4.8), (-14.6, 3.4)),
    "C": ((-2.7, 6), (0.8, 4.5), (4.6, 6), (6.9, 12), (6.9, 23.0), (-2.1, 23.2), (-2.5, 12)),
    "H": ((-4.5, 6.6), (-4.1, 21.8), (-8, 21.4), (-15, 18.2), (-14.8, 12), (-10.6, 6.9)),
    "Td": ((8.7, 12.0), (14.2, 10.8), (14.3, 20), (12, 22.6), (8.7, 22.8)),
    "Tm": ((15.9, 10.6), (20.6, 8.8), (24.6, 13.0), (20.6, 16.6), (16.0, 18.0)),
}
CARPAL_ONSET = {"S": 5.0, "L": 3.8, "Tq": 2.6, "Tm": 5.2, "Td": 5.6, "C": 0.2, "H": 0.3}
"""Age in years at which the centre appears (Greulich-Pyle)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """What stays with a subject through all visits.

    Attributes:
        scale: size, 1 = adult male; density: of all bone; cortex: mm at the second metacarpal.
        lengths: factor for each of 5 digits x 4 segments; ulnar_variance: mm.
    """

    female: bool
    scale: float
    density: float
    cortex: float
    lengths: tuple[tuple[float, ...], ...]
    widths: float
    ulnar_variance: float
    osteoarthritis: tuple[float, ...]


def draw_anatomy(seed: int, *, female: bool | None = None) -> Anatomy:
    """The anatomy of a subject; about 72 % are women, as in rheumatoid arthritis cohorts."""
    draw = stream(seed, "anatomy")
    sex = bool(draw.random() < 0.72)
    woman = sex if female is None else female
    density = min(1.25, max(0.7, float(draw.normal(1.0, 0.1))))
    scale = (0.91 if woman else 1.0) * (1 + min(0.1, max(-0.1, float(draw.normal(0, 0.04)))))
    cortex = float(draw.uniform(1.9, 2.7)) * (0.92 if woman else 1.0)
    lengths = tuple(
        tuple(1 + min(0.06, max(-0.06, float(draw.normal(0, 0.025)))) for _ in range(4))
        for _ in range(5)
    )
    worn = draw.random() < 0.35
    distal = tuple(float(draw.uniform(0, 0.8)) if worn else 0.0 for _ in range(5))
    return Anatomy(
        female=woman,
        scale=scale,
        density=density,
        cortex=cortex,
        lengths=lengths,
        widths=1 + min(0.1, max(-0.1, float(draw.normal(0, 0.04)))),
        ulnar_variance=float(draw.normal(0, 1.0)),
        osteoarthritis=distal,
    )
