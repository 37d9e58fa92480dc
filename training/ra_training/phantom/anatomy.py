"""Adult reference anatomy in the hand frame, and how one subject departs from it.

Hand frame: origin at the wrist (proximal capitate), +x toward the thumb, +y toward the fingers,
mm at scale 1 (adult male). Metacarpal lengths after CT of 40 adults; the rest from anatomy texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ra_training.phantom.canvas import Point
from ra_training.phantom.nuisance import CHANCES, RANGES, SPREADS
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
ULNA_TOP: Point = (-15.1, -13.0)
ULNA_WIDTH = 16.0

CARPALS: dict[str, tuple[Point, tuple[Point, ...]]] = {
    "S": ((13.4, 2.2), ((6.2, 0.5), (6.2, -3), (7.8, -6.9), (12.2, -4.8), (14.6, -3.1),
                        (16.5, -2.1), (18, -0.7), (19.5, 1.2), (21.5, 4.1), (22.3, 8.6),
                        (18.9, 11.1), (14.9, 11.1), (11.7, 9.5), (9.6, 7.5), (8.4, 5.3),
                        (6.9, 3.3))),
    "L": ((-2.4, -3.9), ((-9.9, -5.6), (-9.1, -8.7), (-6.4, -10.3), (-3.5, -10.6), (-0.9, -10.3),
                         (1.7, -9.6), (4.1, -8), (4.5, -5), (4.5, -2.3), (4.3, 0.9), (0.9, 1.4),
                         (-1.5, 1.4), (-3.9, 2.4), (-7.6, 3.4), (-9.3, 0.4), (-9.6, -2.7))),
    "Tq": ((-15.6, -0.7), ((-21.2, -2.4), (-20.2, -4.5), (-18.6, -6.2), (-16.3, -7.4),
                           (-13.5, -7.6), (-11.6, -5.6), (-11.3, -3), (-11.3, -1.1), (-11, 0.7),
                           (-11, 3.1), (-12.8, 4.5), (-15, 5.5), (-17.7, 6.3), (-19.9, 4.5),
                           (-21.2, 2.3), (-21.6, -0.1))),
    "C": ((1.2, 13.6), ((-4.8, 12.2), (-4.7, 9.4), (-4.3, 4.8), (-0.5, 3.1), (3.6, 3.3),
                        (6.7, 5.9), (8.3, 9.2), (8.3, 12.4), (7.6, 15.1), (8.1, 18.6),
                        (7.4, 23.6), (3.1, 25.1), (-1.4, 24.9), (-4.5, 21.5), (-4.2, 17),
                        (-4.6, 14.5))),
    "H": ((-11.6, 14), ((-21.3, 13.4), (-19.4, 10.2), (-17, 7.9), (-14, 7), (-11, 5.3),
                        (-7.4, 5.4), (-6.4, 9.5), (-6.5, 12.3), (-6.4, 14.3), (-5.9, 16.8),
                        (-6.1, 20.2), (-8.4, 23.3), (-12.1, 22.4), (-15.2, 21.3), (-18.7, 20.2),
                        (-21.5, 17.3))),
    "Td": ((13.7, 18.6), ((9.8, 18.3), (9.5, 16.5), (9.5, 13.8), (11.4, 11.8), (14.1, 12.6),
                          (16.1, 13.8), (17.3, 15.5), (18.1, 17.1), (18.9, 18.9), (19.3, 21.3),
                          (18, 23.5), (15.8, 24.9), (13.2, 25.7), (10.5, 25.2), (9.7, 22.1),
                          (9.9, 19.9))),
    "Tm": ((22.2, 17.8), ((16.9, 16.9), (16.4, 14.2), (18.7, 12.9), (20.9, 12.4), (23.1, 12.6),
                          (24.6, 13.9), (26.5, 14.7), (28.3, 16.4), (28.8, 18.9), (27.6, 21.1),
                          (25.6, 22.5), (23.5, 23.3), (21.3, 23.4), (19.3, 22.5), (18.2, 20.6),
                          (17.8, 18.8))),
}  # fmt: skip
"""Centre and outline of each bone, mm: three smooth arcs (Gilula). Facing edges lie 1.7 mm apart,
but for trapezium and trapezoid, which overlap."""
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
    density = SPREADS["density"].draw(draw)
    scale = (0.91 if woman else 1.0) * SPREADS["scale"].draw(draw)
    cortex = RANGES["cortex"].draw(draw) * (0.94 if woman else 1.0)
    lengths = tuple(tuple(SPREADS["lengths"].draw(draw) for _ in range(4)) for _ in range(5))
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
        widths=SPREADS["widths"].draw(draw),
        ulnar_variance=SPREADS["variance"].draw(draw),
        inclination=SPREADS["inclination"].draw(draw),
        space=SPREADS["space"].draw(draw),
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
