"""From stored values to grey values: Modality LUT, VOI LUT, polarity, 16 bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from ra_daemon.dicom import elements
from ra_daemon.errors import UnreadableError

_TOP = 65535  # the highest of 16 bits
_INTEGER = 1e-3  # grey values; what is nearer to a whole number is one


def inverted(ds: Dataset, photometric: str) -> bool:
    """Whether the lowest grey value is to be shown white; never inverted twice.

    DX states a shape, which repeats MONOCHROME1 (PS3.3 C.8.11.3). Where the two contradict each
    other the shape decides, as in DCMTK and dcm4che: it is what the value finally means (C.11.6).
    An empty shape, or one of another name, is none.
    """
    shape = elements.text(ds, "PresentationLUTShape").upper()
    return shape == "INVERSE" if shape in ("IDENTITY", "INVERSE") else photometric == "MONOCHROME1"


def modality(ds: Dataset, stored: NDArray[Any]) -> NDArray[Any]:
    """Modality LUT sequence, else rescale unless it is the identity."""
    from pydicom.pixels.processing import apply_modality_lut

    if elements.values(ds, "ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(stored, ds))
    slope, intercept = (elements.floats(ds, k) for k in ("RescaleSlope", "RescaleIntercept"))
    k, m = (slope or [1.0])[0], (intercept or [0.0])[0]
    if (k, m) == (1.0, 0.0) or k == 0:
        return stored
    with np.errstate(over="ignore", invalid="ignore"):  # told by ``unsigned``
        return np.asarray(stored * k + m)


def presentation(
    ds: Dataset, values: NDArray[Any]
) -> tuple[NDArray[Any], tuple[float, float] | None]:
    """A VOI LUT is applied (it is not linear); a window is only noted."""
    from pydicom.pixels.processing import apply_voi_lut

    if elements.values(ds, "VOILUTSequence"):
        try:
            return np.asarray(apply_voi_lut(values, ds, prefer_lut=True)), None
        except Exception as error:
            raise UnreadableError(f"VOI LUT cannot be applied ({type(error).__name__}).") from error
    centre, width = elements.floats(ds, "WindowCenter"), elements.floats(ds, "WindowWidth")
    if centre and width and width[0] >= 1:
        return values, (centre[0], width[0])
    return values, None


def unsigned(values: NDArray[Any]) -> tuple[NDArray[np.uint16], float, float]:
    """Grey values in 16 bits, and what was done to them: (value - offset) * scale.

    More than 16 bits of range are scaled down. Fractions, as a small rescale slope makes them, are
    scaled to the full range: rounding alone would leave few grey values of many.

    Raises:
        UnreadableError: the values are not finite.
    """
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UnreadableError("The rescaled grey values are no finite numbers.")
    whole = _INTEGER * min(1.0, high - low)
    fractions = values.dtype.kind == "f" and bool((np.abs(values - np.rint(values)) > whole).any())
    offset = low if fractions or low < 0 or high > _TOP else 0.0
    span = high - offset
    if span > _TOP or (fractions and span > 0):
        scale = _TOP / span
        return np.rint((values - offset) * scale).astype(np.uint16), offset, scale
    if values.dtype == np.uint16 and offset == 0:
        return np.ascontiguousarray(values), 0.0, 1.0
    return np.rint(values - offset).astype(np.uint16), offset, 1.0
