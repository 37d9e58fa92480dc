"""Stored values of every transfer syntax: imagecodecs first, pydicom's decoders (with GDCM,
where it is installed) behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import generate_frames

from ra_daemon.dicom.nvimgcodec import FrameDecoder
from ra_daemon.errors import UnreadableError

_CODECS = {
    "1.2.840.10008.1.2.4.50": "jpeg8_decode",
    "1.2.840.10008.1.2.4.51": "jpeg_decode",
    "1.2.840.10008.1.2.4.57": "ljpeg_decode",
    "1.2.840.10008.1.2.4.70": "ljpeg_decode",
    "1.2.840.10008.1.2.4.80": "jpegls_decode",
    "1.2.840.10008.1.2.4.81": "jpegls_decode",
    "1.2.840.10008.1.2.4.90": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.91": "jpeg2k_decode",
    # OpenJPEG too: htj2k_decode swallows an error amid the image and leaves the rest unset
    "1.2.840.10008.1.2.4.201": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.202": "jpeg2k_decode",
    "1.2.840.10008.1.2.4.203": "jpeg2k_decode",
}
_END = b"\xff\xd9"
"""EOI of JPEG and JPEG-LS, EOC of JPEG 2000."""
_PADDING = b"\0\xff"
"""What encoders in the field append to make the length even: PS3.5 says 00, some write FF."""


def stored_values(ds: Dataset, first: FrameDecoder | None = None) -> NDArray[Any]:
    """(rows, columns) of the first frame, as stored (sign and bits honoured).

    Args:
        first: a decoder that is asked before imagecodecs.

    Raises:
        UnreadableError: no pixel data, or no decoder.
    """
    if "PixelData" not in ds:
        raise UnreadableError("The object holds no pixel data.")
    syntax = ds.file_meta.get("TransferSyntaxUID")
    codec = _CODECS.get(str(syntax))
    if codec is None:
        return _shaped(ds, _by_pydicom(ds))
    frame = _whole_frame(ds)
    try:
        values = first(str(syntax), frame) if first is not None else None
        return _shaped(ds, _fast(ds, codec, frame) if values is None else _signed(ds, values))
    except Exception:  # noqa: BLE001 - the slower decoders get their chance
        return _shaped(ds, _by_pydicom(ds))


def _by_pydicom(ds: Dataset) -> NDArray[Any]:
    try:
        return np.asarray(ds.pixel_array)
    except (Exception, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of a decoder in Rust is no Exception
        raise UnreadableError(f"The decoder gave up ({type(error).__name__}).") from error


def _whole_frame(ds: Dataset) -> bytes:
    """The code stream. One without its end is refused: decoders fill what is missing, silently."""
    frame = next(generate_frames(ds.PixelData, number_of_frames=1), b"")
    if not frame.rstrip(_PADDING).endswith(_END):
        raise UnreadableError("The compressed image is cut short: its end marker is missing.")
    return frame


def _fast(ds: Dataset, codec: str, frame: bytes) -> NDArray[Any]:
    import imagecodecs

    decode: Callable[[bytes], NDArray[Any]] = getattr(imagecodecs, codec)
    return _signed(ds, np.asarray(decode(frame)))


def _signed(ds: Dataset, values: NDArray[Any]) -> NDArray[Any]:
    """Codecs give unsigned numbers; extend the sign of two's complement stored values."""
    bits = int(ds.BitsStored)
    if int(ds.PixelRepresentation) == 0 or values.dtype.kind == "i":
        return values
    wide = values.astype(np.int32) & ((1 << bits) - 1)
    return np.where(wide >= 1 << (bits - 1), wide - (1 << bits), wide).astype(np.int16)


def _shaped(ds: Dataset, values: NDArray[Any]) -> NDArray[Any]:
    squeezed = np.squeeze(np.asarray(values))
    if squeezed.shape != (int(ds.Rows), int(ds.Columns)):
        raise UnreadableError("The decoded image has another size than its header says.")
    return squeezed
