"""Changes of a radiograph that leave the damage as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ra_engine.types import Radiograph

Change = Callable[[Radiograph, np.random.Generator], Radiograph]
Pixels = NDArray[np.uint16]


def turn(shot: Radiograph, draw: np.random.Generator) -> Radiograph:
    """Rotation by -20 to 20 degrees on a plate that is large enough to hold the corners."""
    rows, columns = shot.pixels.shape
    angle = float(draw.uniform(-20, 20))
    matrix = cv2.getRotationMatrix2D(((columns - 1) / 2, (rows - 1) / 2), angle, 1.0)
    c, s = abs(matrix[0, 0]), abs(matrix[0, 1])
    wide, high = round(columns * c + rows * s), round(columns * s + rows * c)
    matrix[:, 2] += ((wide - columns) / 2, (high - rows) / 2)
    pixels = cv2.warpAffine(
        shot.pixels, matrix, (wide, high), flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=_dark(shot),
    )  # fmt: skip
    return _like(shot, pixels)


def expose(shot: Radiograph, draw: np.random.Generator) -> Radiograph:
    """Another dose and latitude: gamma 0.75-1.35, gain 0.6-1.2, offset, and quantum noise."""
    top = _top(shot.pixels)
    x = shot.pixels.astype(np.float64) / top
    if shot.inverted:
        x = 1 - x
    x = x ** float(draw.uniform(0.75, 1.35)) * float(draw.uniform(0.6, 1.2))
    x += float(draw.uniform(0, 0.05)) + draw.normal(0, 0.008, x.shape) * np.sqrt(x + 0.02)
    x = np.clip(x, 0, 1)
    return _like(shot, np.rint((1 - x if shot.inverted else x) * top).astype(np.uint16))


def monochrome1(shot: Radiograph, draw: np.random.Generator) -> Radiograph:
    """The same image stored the other way round."""
    del draw
    top = np.uint16(_top(shot.pixels))
    return Radiograph(
        pixels=top - shot.pixels, inverted=not shot.inverted, spacing_mm=shot.spacing_mm
    )


def compress(shot: Radiograph, draw: np.random.Generator) -> Radiograph:
    """JPEG of quality 50-85, as archives with lossy compression keep it."""
    top = _top(shot.pixels)
    grey = np.rint(shot.pixels.astype(np.float64) * (255 / top)).astype(np.uint8)
    quality = int(draw.integers(50, 86))
    _, packed = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
    again = cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE)
    assert again is not None
    return _like(shot, np.rint(again.astype(np.float64) * (top / 255)).astype(np.uint16))


def wavelets(shot: Radiograph, draw: np.random.Generator) -> Radiograph:
    """Lossy JPEG 2000 (irreversible wavelet) of 38-50 dB, as archives keep old films."""
    top = _top(shot.pixels)
    wide = np.rint(shot.pixels.astype(np.float64) * (65535 / top)).astype(np.uint16)
    packed = imagecodecs.jpeg2k_encode(wide, level=int(draw.integers(38, 51)), reversible=False)
    again = imagecodecs.jpeg2k_decode(packed)
    return _like(shot, np.rint(again.astype(np.float64) * (top / 65535)).astype(np.uint16))


CHANGES: Mapping[str, Change] = {
    "rotation": turn,
    "exposure": expose,
    "monochrome1": monochrome1,
    "jpeg": compress,
    "jpeg 2000": wavelets,
}
"""Every change of a stored image by name; other pixels need another exposure, see ``measure``."""


def _like(shot: Radiograph, pixels: NDArray[np.generic]) -> Radiograph:
    return Radiograph(pixels=pixels.astype(np.uint16), inverted=shot.inverted)


def _top(pixels: Pixels) -> int:
    """The largest value that the stored bits hold."""
    return int(2 ** max(8, int(pixels.max()).bit_length()) - 1)


def _dark(shot: Radiograph) -> float:
    return float(np.percentile(shot.pixels, 99.5 if shot.inverted else 0.5))
