"""Erosions as irregular cortical breaks, by grade and site."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

from ra_training.phantom.canvas import Point
from ra_training.phantom.erosion import Notch
from ra_training.phantom.nuisance import CHANCES, RANGES
from ra_training.phantom.short import Short
from ra_training.phantom.streams import stream


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bite:
    """One break of the margin.

    Attributes:
        radius: as part of the bone's width; least: mm that it has in any bone.
        across: place between middle (0) and margin (1), toward the first side or, below 0, away.
        deep: takes nearly all bone, not a part of it.
    """

    radius: float
    across: float
    least: float = 0.0
    deep: bool = False


_BITES: dict[int, tuple[_Bite, ...]] = {
    0: (),
    1: (_Bite(radius=0.0, across=0.78, least=0.80),),
    2: (_Bite(radius=0.125, across=0.78, least=1.4),),
    3: (_Bite(radius=0.17, across=0.75), _Bite(radius=0.17, across=0.12)),
    4: (
        *(_Bite(radius=0.18, across=0.75), _Bite(radius=0.18, across=0.12)),
        _Bite(radius=0.15, across=-0.85),
    ),
    5: (
        *(_Bite(radius=0.33, across=0.6, deep=True), _Bite(radius=0.30, across=-0.6, deep=True)),
        _Bite(radius=0.26, across=0.0, deep=True),
    ),
}
"""Grade -> its breaks (phantom.md, section 12): 1 a small one,
of 1-2 mm with its satellite whatever the bone, 2 a plain one, 3 one that passes the
midline, 4 the same and one on the other side, 5 the end of the bone has collapsed."""
_DEPTH, _COLLAPSE = (0.38, 0.60), (0.80, 0.95)
"""Part of the bone's thickness that a break takes."""
_RADIAL_FIRST = 0.65


def marginal(
    seed: int, side: str, site: str, grade: int, *, end: Point, inward: Point, width: float
) -> tuple[Notch, ...]:
    """Bites at the bare area of a long bone's end, in the hand frame.

    Args:
        end: articular end; inward: unit vector into the bone; width: of the end, mm.
    """
    draw = stream(seed, "erosion", side, site)
    sense = 1.0 if inward[1] > 0 else -1.0
    radial = (sense * inward[1], -sense * inward[0])  # at right angles to the bone, toward +x
    first = 1.0 if draw.random() < _RADIAL_FIRST else -1.0
    level = 0.13 + 0.10 * float(draw.random())
    notches: list[Notch] = []
    for index, b in enumerate(_BITES[grade]):
        along = width * (level + (0.04 * index if b.deep else 0.0))
        across = first * 0.5 * width * b.across
        x = end[0] + inward[0] * along + radial[0] * across
        y = end[1] + inward[1] * along + radial[1] * across
        notches += _irregular((x, y), b, width, site, seed, side, index)
    return tuple(notches)


def carpal(seed: int, side: str, site: str, grade: int, bone: Short) -> tuple[Notch, ...]:
    """Bites at the margin of a short bone, in the hand frame."""
    draw = stream(seed, "erosion", side, site)
    start = float(draw.uniform(0, 2 * pi))
    width = 2.1 * bone.inradius
    cx, cy = bone.centre
    notches: list[Notch] = []
    for index, b in enumerate(_BITES[grade]):
        angle = start if b.across >= 0 else start + 2.4
        reach = abs(b.across) * bone.edge(angle)
        at = (cx + cos(angle) * reach, cy + sin(angle) * reach)
        notches += _irregular(at, b, width, site, seed, side, index)
    return tuple(notches)


def cysts(seed: int, side: str, site: str, *, at: Point, spread: float) -> tuple[Notch, ...]:
    """A harmless round lucency where no site is graded, in some hands for each bone."""
    draw = stream(seed, "cyst", side, site)
    if draw.random() > CHANCES["a cyst, each bone without a site"]:
        return ()
    x, y = (float(v) for v in draw.uniform(-spread, spread, 2))
    r = RANGES["cyst"].draw(draw)
    depth = float(draw.uniform(0.25, 0.6))
    return (Notch(x=at[0] + x, y=at[1] + y, radius=r, depth=depth),)


def _irregular(
    at: Point, bite: _Bite, width: float, site: str, seed: int, side: str, index: int
) -> list[Notch]:
    """One lobed bite with a satellite: no erosion is a disc, and none looks like the next."""
    draw = stream(seed, "outline", side, site, index)
    lobes = tuple(float(v) for v in draw.uniform((0.08, 0, 0.08, 0), (0.28, 6.28, 0.22, 6.28)))
    depth = float(draw.uniform(*(_COLLAPSE if bite.deep else _DEPTH)))
    angle, far, size = (float(v) for v in draw.uniform((0, 0.5, 0.35), (2 * pi, 0.9, 0.6)))
    radius = max(bite.least, bite.radius * width)
    return [
        Notch(x=at[0], y=at[1], radius=radius, depth=depth, lobes=lobes),  # type: ignore[arg-type]
        Notch(
            x=at[0] + cos(angle) * far * radius,
            y=at[1] + sin(angle) * far * radius,
            radius=size * radius,
            depth=0.6 * depth,
        ),
    ]
