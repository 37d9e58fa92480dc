"""Where a radiograph shows nothing: padding, shutter, collimator, unexposed frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from ra_daemon.dicom import elements
from ra_daemon.dicom.border import border
from ra_daemon.dicom.shutter import shuttered


def mask_of(
    ds: Dataset, stored: NDArray[Any], shown: NDArray[np.uint16], *, inverted: bool
) -> NDArray[np.bool_] | None:
    """True where there is no image: padding, shutter, collimator, and then a frame in the rest."""
    shutter = shuttered(
        (stored.shape[0], stored.shape[1]),
        lambda keyword: [str(v) for v in elements.values(ds, keyword)],
        lambda keyword: elements.floats(ds, keyword),
    )
    told = _joined(_padding(ds, stored), shutter)
    if told is None:
        return border(shown, inverted=inverted)
    ys, xs = np.flatnonzero(~told.all(1)), np.flatnonzero(~told.all(0))
    left = (slice(ys[0], ys[-1] + 1), slice(xs[0], xs[-1] + 1))
    frame = border(shown[left], inverted=inverted)
    if frame is not None:
        told[left] |= frame
    return told


def _joined(
    one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Both masks; only the first where together they would leave nothing."""
    if one is None or other is None:
        return other if one is None else one
    both = one | other
    return one if bool(both.all()) else both


def _padding(ds: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """True where Pixel Padding Value (to its range limit) says there is no image."""
    values = elements.values(ds, "PixelPaddingValue")
    if not values:
        return None
    limits = elements.values(ds, "PixelPaddingRangeLimit") or values
    try:
        low, high = sorted((int(values[0]), int(limits[0])))
    except (TypeError, ValueError):
        return None
    mask: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return mask if bool(mask.any()) and not bool(mask.all()) else None
