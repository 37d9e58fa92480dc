"""Erosions as irregular cortical breaks, by grade and site."""

from __future__ import annotations

from math import cos, pi, sin

from ra_training.phantom.canvas import Point
from ra_training.phantom.erosion import Notch
from ra_training.phantom.short import Short
from ra_training.phantom.streams import stream

_BITES: dict[int, tuple[tuple[float, float], ...]] = {
    0: (),
    1: ((0.125, 0.66),),
    2: ((0.185, 0.72),),
    3: ((0.235, 0.72),),
    4: ((0.275, 0.74), (0.19, 0.68)),
    5: ((0.38, 0.82), (0.33, 0.78)),
}
"""Grade -> (radius as part of the local width, depth 0..1) of each bite."""
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
    notches: list[Notch] = []
    for index, (part, depth) in enumerate(_BITES[grade]):
        toward = first if index == 0 else -first
        along = width * (0.13 + 0.12 * float(draw.random()))
        across = toward * 0.5 * width * (0.82 - (0.38 if part > 0.2 else 0.0))
        x = end[0] + inward[0] * along + radial[0] * across
        y = end[1] + inward[1] * along + radial[1] * across
        notches += _irregular((x, y), part * width, depth, site, seed, side, index)
    return tuple(notches)


def carpal(seed: int, side: str, site: str, grade: int, bone: Short) -> tuple[Notch, ...]:
    """Bites at the margin of a short bone, in the hand frame."""
    draw = stream(seed, "erosion", side, site)
    start = float(draw.uniform(0, 2 * pi))
    width = 2.1 * bone.inradius
    cx, cy = bone.centre
    notches: list[Notch] = []
    for index, (part, depth) in enumerate(_BITES[grade]):
        angle = start + 2.4 * index
        reach = bone.edge(angle) - (0.9 if part > 0.2 else 0.25) * part * width
        at = (cx + cos(angle) * reach, cy + sin(angle) * reach)
        notches += _irregular(at, part * width, depth, site, seed, side, index)
    return tuple(notches)


def cysts(seed: int, side: str, site: str, *, at: Point, spread: float) -> tuple[Notch, ...]:
    """A harmless round lucency where no site is graded, in one hand of five for each bone."""
    draw = stream(seed, "cyst", side, site)
    if draw.random() > 0.2:
        return ()
    x, y, r = (float(v) for v in draw.uniform((-spread, -spread, 0.9), (spread, spread, 2.8)))
    depth = float(draw.uniform(0.25, 0.6))
    return (Notch(x=at[0] + x, y=at[1] + y, radius=r, depth=depth),)


def _irregular(
    at: Point, radius: float, depth: float, site: str, seed: int, side: str, index: int
) -> list[Notch]:
    """One lobed bite with a satellite: no erosion is a disc, and none looks like the next."""
    draw = stream(seed, "outline", side, site, index)
    lobes = tuple(float(v) for v in draw.uniform((0.08, 0, 0.08, 0), (0.28, 6.28, 0.22, 6.28)))
    strength = depth * float(draw.uniform(0.85, 1.1))
    angle, far, size = (float(v) for v in draw.uniform((0, 0.5, 0.35), (2 * pi, 0.9, 0.6)))
    return [
        Notch(x=at[0], y=at[1], radius=radius, depth=min(0.95, strength), lobes=lobes),  # type: ignore[arg-type]
        Notch(
            x=at[0] + cos(angle) * far * radius,
            y=at[1] + sin(angle) * far * radius,
            radius=size * radius,
            depth=0.6 * depth,
        ),
    ]
