"""Adult reference anatomy in the hand frame, and how one subject departs from it.

Hand frame: origin at the wrist (proximal capitate), +x toward the thumb, +y toward the fingers,
mm at scale 1 (adult male). Metacarpal lengths after CT of 40 adults; the rest from anatomy texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ra_training.phantom.canvas import Point
from ra_training.phantom.nuisance import CHANCES, RANGES, normal
from ra_training.phantom.streams import stream

METACARPAL = (46.0, 68.0, 65.0, 58.0, 54.0)
PROXIMAL = (31.0, 40.0, 44.5, 41.0, 33.0)
MIDDLE = (0.0, 23.0, 27.0, 26.0, 18.5)
DISTAL = (22.0, 16.0, 17.5, 17.5, 16.0)
FAN = (0.56, 0.12, 0.0, -0.10, -0.20)
BASE: tuple[Point, ...] = ((26.3, 23.8), (13.6, 26.4), (1.6, 26.0), (-9.0, 24.6), (-18.2, 21.4))
WIDTH = (1.05, 1.0, 0.97, 0.88, 0.84)
SHAFT_BASE_HEAD = {
    "MC": (8.5, 12.6, 15.4), "PP": (9.0, 14.2, 11.2),
    "MP": (7.6, 12.6, 9.6), "DP": (4.6, 10.2, 8.4),
}  # fmt: skip
METACARPAL_BASE = (12.6, 12.2, 11.2, 9.6, 10.4)
"""Widths of the metacarpal bases: neighbours touch and do not overlap."""
GAP = {"MCP": 1.75, "PIP": 1.3, "IP": 1.2, "DIP": 1.05}
SPACE_LEFT = (1.0, 0.84, 0.60, 0.28, 0.0)
"""Part of the joint space that remains at each narrowing grade."""

RADIUS_TOP: Point = (8.6, -8.8)
"""Middle of the radius' articular surface, which rises by 23 degrees toward the styloid."""
RADIUS_TILT, RADIUS_WIDTH = 0.40, 28.5
ULNA_TOP: Point = (-14.6, -13.0)
ULNA_WIDTH = 16.0

CARPALS: dict[str, tuple[Point, tuple[Point, ...]]] = {
    "S": ((13.4, 2.2), ((6.4, -6.6), (11.2, -5.2), (16.0, -2.2), (20.2, 2.6), (22.0, 7.4),
                        (20.2, 10.9), (16.0, 10.9), (12.2, 8.8), (9.2, 5.4), (6.9, 1.4),
                        (5.9, -2.8))),
    "L": ((-2.4, -3.9), ((-9.6, -7.4), (-5.2, -10.2), (0.6, -9.6), (4.4, -7.2), (4.9, -2.6),
                         (3.6, 1.2), (0.2, 1.2), (-4.0, 2.0), (-8.2, 2.7), (-9.9, -1.6))),
    "Tq": ((-15.6, -0.7), ((-11.4, -5.9), (-16.0, -7.2), (-20.4, -3.6), (-21.0, 2.0),
                           (-17.4, 5.7), (-13.0, 5.0), (-10.6, 1.4), (-10.9, -2.4))),
    "C": ((1.2, 13.6), ((-4.9, 6.0), (-2.4, 3.9), (0.8, 3.2), (4.2, 4.0), (6.4, 6.8), (7.7, 11.6),
                        (8.2, 17.0), (7.7, 23.6), (1.4, 24.4), (-4.4, 23.4), (-5.0, 17.0),
                        (-5.6, 11.0))),
    "H": ((-11.6, 14.0), ((-6.4, 6.4), (-6.6, 14.0), (-6.0, 22.6), (-9.6, 22.8), (-15.4, 20.8),
                          (-21.0, 17.6), (-20.4, 12.4), (-16.4, 8.0), (-11.0, 5.8))),
    "Td": ((13.7, 18.6), ((9.6, 13.4), (14.2, 12.7), (17.4, 16.0), (18.9, 22.0), (15.2, 24.8),
                          (10.0, 24.6), (9.3, 18.8))),
    "Tm": ((22.2, 17.8), ((17.0, 13.2), (21.2, 12.8), (26.2, 14.8), (28.6, 18.6), (26.0, 22.0),
                          (21.8, 23.2), (18.4, 21.2), (17.0, 17.0))),
}  # fmt: skip
"""Centre and outline of each bone, mm: three smooth arcs (Gilula), spaces of 1.5-2 mm."""
PISIFORM: tuple[Point, tuple[float, float]] = ((-16.8, -0.4), (5.4, 6.6))
CARPAL_ONSET = {"S": 5.0, "L": 3.8, "Tq": 2.6, "Tm": 5.2, "Td": 5.6, "C": 0.2, "H": 0.3}
"""Age in years at which the centre appears (Greulich-Pyle)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """What stays with a subject through all visits.

    Attributes:
        scale: size, 1 = adult male; density: of all bone; cortex: mm at the second metacarpal.
        porosis: mineral that age alone took beside the joints, 0..1; frailty: how much more
            damage takes, about 1; lean: how far damage lets the fingers drift, about 1.
        lengths: factor for each of 5 digits x 4 segments; ulnar_variance: mm.
        inclination: of the radius' surface, added slope; space: factor of every joint space;
        osteoarthritis: loss of each distal joint space, 0..1.
        ring: digit that wears one, or None; short: digit whose end is missing, or None.
    """

    female: bool
    scale: float
    density: float
    cortex: float
    porosis: float
    frailty: float
    lean: float
    lengths: tuple[tuple[float, ...], ...]
    widths: float
    ulnar_variance: float
    inclination: float
    space: float
    osteoarthritis: tuple[float, ...]
    ring: tuple[str, int] | None
    short: tuple[str, int] | None


def draw_anatomy(seed: int, *, female: bool | None = None) -> Anatomy:
    """The anatomy of a subject; about 72 % are women, as in rheumatoid arthritis cohorts."""
    draw = stream(seed, "anatomy")
    sex = bool(draw.random() < CHANCES["women"])
    woman = sex if female is None else female
    density = normal("density", 0.13, draw)
    scale = (0.91 if woman else 1.0) * (1 + min(0.1, max(-0.1, float(draw.normal(0, 0.04)))))
    cortex = RANGES["cortex"].draw(draw) * (0.94 if woman else 1.0)
    lengths = tuple(
        tuple(1 + min(0.06, max(-0.06, float(draw.normal(0, 0.025)))) for _ in range(4))
        for _ in range(5)
    )
    worn = draw.random() < CHANCES["worn DIP joints"]
    distal = tuple(RANGES["worn"].draw(draw) if worn else 0.0 for _ in range(5))
    return Anatomy(
        female=woman,
        scale=scale,
        density=density,
        cortex=cortex,
        porosis=RANGES["porosis"].draw(draw),
        frailty=RANGES["frailty"].draw(draw),
        lean=RANGES["lean"].draw(draw),
        lengths=lengths,
        widths=1 + min(0.1, max(-0.1, float(draw.normal(0, 0.04)))),
        ulnar_variance=float(draw.normal(0, 1.1)),
        inclination=float(draw.normal(0, 0.05)),
        space=normal("space", 0.08, draw),
        osteoarthritis=distal,
        ring=_one(draw, CHANCES["a ring"], (("left", 3), ("left", 2), ("right", 3))),
        short=_one(
            draw,
            CHANCES["a missing finger tip"],
            tuple((s, d) for s in ("left", "right") for d in (1, 2, 3, 4)),
        ),
    )


def _one(
    draw: np.random.Generator, chance: float, choices: tuple[tuple[str, int], ...]
) -> tuple[str, int] | None:
    happens, index = draw.random() < chance, int(draw.integers(len(choices)))
    return choices[index] if happens else None
