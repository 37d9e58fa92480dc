"""X-ray formation: from line integrals to stored values.

Every step is local or fixed, so that a change in one hand leaves the far half of the image as it
is, byte for byte: the noise field does not depend on the content, nor does the tone scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import radians, tan

import numpy as np
from scipy.ndimage import gaussian_filter

from ra_training.phantom.canvas import Canvas, Field
from ra_training.phantom.nuisance import CHANCES, RANGES, SPREADS
from ra_training.phantom.streams import stream

MU_SOFT = 0.022  # 1/mm
_EFFECTIVE = np.float32(1.15)
_SCATTER_MM, _LATITUDE_MM = 12.0, 14.0
_TOE = 0.04


@dataclass(frozen=True, slots=True, kw_only=True)
class Tube:
    """Settings of one exposure.

    Attributes:
        quanta: a pixel of 0.5 mm at full intensity; energy: factor of all attenuation, about 1;
        blur_mm: sigma of focal spot and detector; gamma: of the tone curve;
        latitude: part of the coarse contrast that is kept; scatter: share of the veil.
    """

    quanta: float
    energy: float
    blur_mm: float
    gamma: float
    latitude: float
    scatter: float
    black: float
    collimation: tuple[int, int, int, int]
    tilt: float
    inverted: bool
    bits: int
    marker: bool


def draw_tube(seed: int, rows: int) -> Tube:
    """Draw the settings of an exposure."""
    draw = stream(seed, "exposure")
    edges = (round(rows * RANGES["border"].draw(draw)) for _ in range(4))
    return Tube(
        quanta=RANGES["quanta"].draw(draw),
        energy=RANGES["energy"].draw(draw),
        blur_mm=RANGES["blur"].draw(draw),
        gamma=RANGES["gamma"].draw(draw),
        latitude=RANGES["latitude"].draw(draw),
        scatter=RANGES["scatter"].draw(draw),
        black=RANGES["black"].draw(draw),
        collimation=tuple(edges),  # type: ignore[arg-type]
        tilt=tan(radians(SPREADS["tilt"].draw(draw))),
        inverted=bool(draw.random() < CHANCES["MONOCHROME1"]),
        bits=14 if draw.random() < CHANCES["14 bits instead of 12"] else 12,
        marker=bool(draw.random() < CHANCES["a lead letter"]),
    )


def expose(canvas: Canvas, tube: Tube, seed: int, *, auto: bool = False) -> Field:
    """(rows, columns) float32 in [0, 1], bone bright.

    Args:
        auto: scale the tone to the content, as thick body parts need; never for hands, whose two
            halves must not depend on each other.
    """
    px = canvas.px
    soft = gaussian_filter(canvas.soft, 0.9 / px, truncate=2.0)
    absorbed = canvas.bone + np.float32(MU_SOFT) * soft
    beam = np.exp(-_EFFECTIVE * np.float32(tube.energy) * absorbed)
    beam += np.float32(tube.scatter) * _coarse(beam, _SCATTER_MM / px)
    if tube.blur_mm / px > 0.2:
        beam = gaussian_filter(beam, tube.blur_mm / px, truncate=2.5)
    noise = stream(seed, "noise").standard_normal(beam.shape, dtype=np.float32)
    quanta = np.float32(tube.quanta * (px / 0.5) ** 2)
    beam = np.clip(beam + noise * np.sqrt(np.clip(beam, 0, None) / quanta), 1e-4, None)
    film = -np.log(beam / np.float32(1 + tube.scatter))
    coarse = _coarse(film, _LATITUDE_MM / px)
    film = np.float32(tube.latitude) * coarse + (film - coarse) * np.float32(1.0)
    full = np.float32(1.5)
    if auto:
        low, high = (np.float32(v) for v in np.percentile(film[::4, ::4], (1, 99.5)))
        film, full = film - low, np.maximum(high - low, np.float32(0.05))
    black = np.float32(tube.black)
    shown: Field = np.clip(black + (1 - black) * _curve(film / full, tube.gamma), 0, 1)
    _collimate(shown, tube)
    return shown


def stored(shown: Field, tube: Tube) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    """Stored values of the chosen depth and photometric interpretation."""
    top = 2**tube.bits - 1
    values = np.rint(shown * np.float32(0.96 * top) + np.float32(0.02 * top))
    values = np.clip(values, 0, top)
    kept: np.ndarray[tuple[int, int], np.dtype[np.uint16]] = (
        top - values if tube.inverted else values
    ).astype(np.uint16)
    return kept


def letter(shown: Field, name: str, seed: int) -> None:
    """A lead letter L or R near the upper corner."""
    rows, columns = shown.shape
    size = max(6, rows // 26)
    glyph = np.zeros((7, 5), np.float32)
    glyph[:, 0] = 1
    if name == "L":
        glyph[6, :] = 1
    else:
        glyph[0, :4] = glyph[3, :4] = 1
        glyph[1:3, 4] = 1
        glyph[4, 2] = glyph[5, 3] = glyph[6, 4] = 1
    big = np.repeat(np.repeat(glyph, max(1, size // 7), 0), max(1, size // 7), 1)
    draw = stream(seed, "marker")
    y = int(rows * draw.uniform(0.03, 0.07))
    x = int(columns * (draw.uniform(0.03, 0.06) if name == "R" else 0.9))  # right hands lie left
    part = shown[y : y + big.shape[0], x : x + big.shape[1]]
    np.maximum(part, big[: part.shape[0], : part.shape[1]], out=part)


def _coarse(image: Field, sigma: float) -> Field:
    """Wide Gaussian: on every 8th pixel, interpolated back."""
    small = gaussian_filter(image[::8, ::8], sigma / 8, truncate=2.5)
    return _grown(small, image.shape[0], image.shape[1], 8)


def _grown(small: Field, rows: int, columns: int, step: int) -> Field:
    """Linear interpolation of every ``step``-th pixel back to all."""
    y = np.minimum(np.arange(rows, dtype=np.float32) / step, small.shape[0] - 1)
    x = np.minimum(np.arange(columns, dtype=np.float32) / step, small.shape[1] - 1)
    top, left = y.astype(np.intp), x.astype(np.intp)
    below = np.minimum(top + 1, small.shape[0] - 1)
    beside = np.minimum(left + 1, small.shape[1] - 1)
    part = (x - left.astype(np.float32))[None, :]
    wide = small[:, left] * (1 - part) + small[:, beside] * part
    part = (y - top.astype(np.float32))[:, None]
    grown: Field = wide[top] * (1 - part)
    grown += wide[below] * part
    return grown


def _curve(film: Field, gamma: float) -> Field:
    """Tone of a film that shows thin flesh as detectors' processing does: a power with a toe.

    The toe keeps the slope finite where nothing absorbs, so that noise there stays noise. Nothing
    is 0, full absorption 1; what scatter makes brighter than nothing is a little below 0.
    """
    low, high = (np.float32(v**gamma) for v in (_TOE / 2, 1.0))
    lifted = (film + np.sqrt(film * film + np.float32(_TOE * _TOE))) / 2
    tone: Field = (lifted ** np.float32(gamma) - low) / (high - low)
    return tone


def _collimate(shown: Field, tube: Tube) -> None:
    rows, columns = shown.shape
    top, bottom, left, right = tube.collimation
    y = np.arange(rows, dtype=np.float32)[:, None]
    x = np.arange(columns, dtype=np.float32)[None, :]
    lean = np.float32(tube.tilt)
    outside = (
        (y + lean * (x - columns / 2) < top)
        | (y + lean * (x - columns / 2) > rows - 1 - bottom)
        | (x - lean * (y - rows / 2) < left)
        | (x - lean * (y - rows / 2) > columns - 1 - right)
    )
    shown[outside] = 0
