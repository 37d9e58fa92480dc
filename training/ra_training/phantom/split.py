"""Two exposures side by side on one plate: a hand each, with a strip between that saw nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import radians, tan

import numpy as np

from ra_training.phantom import film
from ra_training.phantom.canvas import Canvas, Field
from ra_training.phantom.film import Tube
from ra_training.phantom.nuisance import CHANCES, RANGES, SPREADS
from ra_training.phantom.streams import stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The strip in the middle of a plate: half its width (mm) and its slope (columns a row)."""

    half_mm: float
    slope: float


def draw_split(seed: int) -> Split | None:
    """Whether a plate of two hands was exposed twice, and where."""
    draw = stream(seed, "split")
    if draw.random() >= CHANCES["two exposures on one plate, of two hands"]:
        return None
    half = 0.5 * RANGES["strip"].draw(draw)
    return Split(half_mm=half, slope=tan(radians(SPREADS["tilt"].draw(draw))))


def expose(canvas: Canvas, tube: Tube, split: Split, seed: int) -> Field:
    """(rows, columns) float32 as of ``film.expose``; the right half has its own dose and noise.

    Both halves are developed alike: tone curve, latitude and background are the plate's.
    """
    again = int(stream(seed, "second exposure").integers(2**31))
    other = film.draw_tube(again, canvas.rows)
    second = replace(
        tube, quanta=other.quanta, energy=other.energy, scatter=other.scatter,
        collimation=other.collimation, tilt=other.tilt,
    )  # fmt: skip
    shown = film.expose(canvas, tube, seed)
    beside = film.expose(canvas, second, again)
    y = np.arange(canvas.rows, dtype=np.float32)[:, None] - canvas.rows / 2
    x = np.arange(canvas.columns, dtype=np.float32)[None, :] - canvas.columns / 2
    off = x - np.float32(split.slope) * y
    half = np.float32(split.half_mm / canvas.px)
    joined: Field = np.where(off < 0, shown, beside)
    joined[np.abs(off) < half] = 0
    return joined
