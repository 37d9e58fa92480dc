"""From a file to a ``Radiograph``: PNG, BMP, JPEG, TIFF and DICOM, as serving reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ra_engine.types import Radiograph
from ra_training.errors import TrainingError

IMAGE_SUFFIXES = frozenset({".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff"})
_GREY = frozenset({"1", "L", "I", "I;16", "I;16B", "I;16L"})
_GREY_SPREAD = 8  # grey values between channels: JPEG rounds the colours of a grey image


def is_dicom(path: Path) -> bool:
    """Whether a file has DICOM's preamble, or the usual suffix."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM" or path.suffix.lower() == ".dcm"


def check_image(path: Path) -> None:
    """Decode a file once.

    Raises:
        TrainingError: it is no grey image that we can decode.
    """
    read_image(path)


def read_image(path: Path) -> Radiograph:
    """A file as serving would see it.

    Raises:
        TrainingError: missing, unreadable, in colour, or of several frames.
    """
    if not path.is_file():
        raise TrainingError(
            code="image-missing", text="the file is not there", hint="check the path or copy it"
        )
    if path.stat().st_size == 0:
        raise TrainingError(
            code="image-unreadable", text="the file is empty", hint="download it again"
        )
    if path.suffix.lower() not in IMAGE_SUFFIXES and is_dicom(path):
        return _dicom(path)
    return _plain(path)


def _plain(path: Path) -> Radiograph:
    try:
        with Image.open(path) as image:
            frames, mode = getattr(image, "n_frames", 1), image.mode
            array = np.asarray(image.convert("RGB") if mode in ("P", "RGBA", "CMYK") else image)
    except Exception as error:
        raise _unreadable(error) from error
    if frames > 1:
        raise _refused("image-frames", f"{frames} frames", "keep the radiograph's frame only")
    if mode not in _GREY and array.ndim == 3:
        array = _grey(array)
    if array.ndim != 2 or array.dtype.kind not in "uib":
        raise _refused("image-not-grey", f"pixels of mode {mode}", "convert to 8 or 16 bit grey")
    return _radiograph(array, inverted=False)


def _grey(array: NDArray[Any]) -> NDArray[Any]:
    """Equal channels become one; colour is no radiograph."""
    channels = array[..., :3].astype(np.int16)
    spread = int(np.percentile(channels.max(2) - channels.min(2), 99))
    if spread > _GREY_SPREAD:
        raise _refused("image-in-colour", "the image is in colour", "give the radiograph itself")
    return array[..., 1]


def _dicom(path: Path) -> Radiograph:
    from pydicom import dcmread

    try:
        ds = dcmread(path, force=True)
        photometric = str(ds.get("PhotometricInterpretation", ""))
    except Exception as error:
        raise _unreadable(error) from error
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise _refused(
            "image-not-grey",
            f"photometric interpretation {photometric or 'absent'}",
            "give the original radiograph, not a capture",
        )
    if int(ds.get("NumberOfFrames") or 1) > 1:
        raise _refused("image-frames", "more than one frame", "give single-frame objects")
    values, mask = _values(ds)
    inverted = photometric == "MONOCHROME1"
    if "PresentationLUTShape" in ds:
        inverted = str(ds.PresentationLUTShape) == "INVERSE"
    return _radiograph(values, inverted=inverted, mask=mask)


def _values(ds: Any) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Grey values after modality LUT and VOI LUT (a window is linear and stays out), and mask."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    try:
        stored = ds.pixel_array
        mask = _padding(ds, stored)
        values = apply_modality_lut(stored, ds)
        if ds.get("VOILUTSequence"):
            values = apply_voi_lut(values, ds, prefer_lut=True)
    except Exception as error:
        raise _unreadable(error) from error
    return np.asarray(values), mask


def _padding(ds: Any, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    first = ds.get("PixelPaddingValue")
    if first is None or isinstance(first, str):
        return None
    low, high = sorted((int(first), int(ds.get("PixelPaddingRangeLimit", first))))
    mask: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return mask if bool(mask.any()) and not bool(mask.all()) else None


def _radiograph(
    values: NDArray[Any], *, inverted: bool, mask: NDArray[np.bool_] | None = None
) -> Radiograph:
    low, high = float(values.min()), float(values.max())
    offset = low if low < 0 or high > 65535 else 0.0
    scale = 65535 / (high - offset) if high - offset > 65535 else 1.0
    pixels = np.ascontiguousarray(np.rint((values - offset) * scale).astype(np.uint16))
    pixels.flags.writeable = False
    return Radiograph(pixels=pixels, inverted=inverted, mask=mask)


def _refused(code: str, text: str, hint: str) -> TrainingError:
    return TrainingError(code=code, text=text, hint=hint)


def _unreadable(error: Exception) -> TrainingError:
    return _refused(
        "image-unreadable", f"no decoder reads it ({type(error).__name__})", "copy it again"
    )
