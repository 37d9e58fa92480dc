"""Radiographs with an unexposed frame around the exposed field, as plates have it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ra_training.phantom import Exposure

ALL = (True, True, True, True)


def framed(
    exposure: Exposure,
    share: float,
    *,
    white: bool,
    sides: tuple[bool, bool, bool, bool] = ALL,
    noise: float = 0.0,
    tilt: float = 0.0,
) -> NDArray[np.uint16]:
    """Stored values of the whole exposure with a frame around it.

    Args:
        share: width of the frame, of the exposure's longer side.
        white: as it is shown, whatever the photometric interpretation.
        sides: top, bottom, left, right.
        noise: standard deviation, of the full range.
        tilt: degrees.
    """
    top = 2**exposure.bits - 1
    grey = top if white != (exposure.photometric == "MONOCHROME1") else 0
    width = round(share * max(exposure.pixels.shape))
    above, below, left, right = (width * side for side in sides)
    pixels = np.pad(exposure.pixels, ((above, below), (left, right)), constant_values=grey)
    if tilt:
        rows, columns = pixels.shape
        matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), tilt, 1.0)
        pixels = cv2.warpAffine(
            pixels, matrix, (columns, rows), borderMode=cv2.BORDER_CONSTANT, borderValue=float(grey)
        )
    if noise:
        grain = np.random.default_rng(1).normal(0, noise * top, pixels.shape)
        pixels = np.rint(np.clip(pixels + grain, 0, top)).astype(np.uint16)
    return np.asarray(pixels, np.uint16)
