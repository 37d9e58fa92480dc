"""Erosions as irregular cortical breaks, by grade and site."""

from __future__ import annotations

from math import cos, pi, sin

from ra_training.phantom.canvas import Block, Notch, Point
from ra_training.phantom.streams import stream

_BITES: dict[int, tuple[tuple[float, float], ...]] = {
    0: (),
    1: ((0.14, 0.60),),
    2: ((0.20, 0.65),),
    3: ((0.29, 0.72),),
    4: ((0.34, 0.80), (0.23, 0.70)),
    5: ((0.48, 0.92), (0.41, 0.90)),
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
        along = width * (0.15 + 0.07 * float(draw.random()))
        across = toward * 0.5 * width * (0.94 - (0.5 if part > 0.25 else 0.0))
        x = end[0] + inward[0] * along + radial[0] * across
        y = end[1] + inward[1] * along + radial[1] * across
        notches += _irregular((x, y), part * width, depth, site, seed, side, index)
    return tuple(notches)


def carpal(seed: int, side: str, site: str, grade: int, block: Block) -> tuple[Notch, ...]:
    """Bites at the margin of a short bone: always inside its outline."""
    draw = stream(seed, "erosion", side, site)
    start = float(draw.uniform(0, 2 * pi))
    width = 2.2 * block.inradius
    cx, cy = block.centre
    notches: list[Notch] = []
    for index, (part, depth) in enumerate(_BITES[grade]):
        angle = start + 2.4 * index
        reach = block.inradius * (1.0 - (0.5 if part > 0.25 else 0.0))
        at = (cx + cos(angle) * reach, cy + sin(angle) * reach)
        notches += _irregular(at, part * width, depth, site, seed, side, index)
    return tuple(notches)


def _irregular(
    at: Point, radius: float, depth: float, site: str, seed: int, side: str, index: int
) -> list[Notch]:
    """One bite with two satellites, so that no erosion is a perfect disc."""
    draw = stream(seed, "outline", side, site, index)
    out = [Notch(x=at[0], y=at[1], radius=radius, depth=depth)]
    for _ in range(2):
        angle = float(draw.uniform(0, 2 * pi))
        far = radius * float(draw.uniform(0.5, 0.85))
        size = radius * float(draw.uniform(0.35, 0.6))
        out.append(
            Notch(
                x=at[0] + cos(angle) * far,
                y=at[1] + sin(angle) * far,
                radius=size,
                depth=0.6 * depth,
            )
        )
    return out
