"""Read DICOM files as they come: dirty headers, every transfer syntax."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.config import settings
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ra_daemon.dicom.nvimgcodec import FrameDecoder
from ra_daemon.dicom.sides import side_of
from ra_daemon.domain import Header, Reason, Refused
from ra_daemon.errors import UnreadableError
from ra_engine.types import Radiograph, Side

settings.reading_validation_mode = 0  # dirty values are ours to judge, not pydicom's to refuse

_CHUNK = 1 << 20
_MAX_TEXT = 512  # characters; no value representation that we keep allows more than 64 or 1024
_MAX_UID = 64
_TOP = 65535  # the highest of 16 bits
_INTEGER = 1e-3  # grey values; what is nearer to a whole number is one
_PICTURES = {
    b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF",
}  # fmt: skip
_MAX_ELEMENTS = 50_000
_DEFLATED = DeflatedExplicitVRLittleEndian.encode()
_PIXEL_DATA = Tag(0x7FE0, 0x0010)
_KEYWORDS = (
    "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID PatientID PatientAge "
    "PatientBirthDate PatientSex AccessionNumber StudyDate StudyDescription SeriesDescription "
    "BodyPartExamined ViewPosition ImageLaterality Laterality ImageType Modality Manufacturer "
    "PhotometricInterpretation Rows Columns NumberOfFrames SamplesPerPixel BitsAllocated "
    "BurnedInAnnotation PresentationIntentType AcquisitionDate AcquisitionTime "
    "AcquisitionDateTime AcquisitionNumber IrradiationEventUID ProtocolName ImageComments "
    "ConversionType ViewCodeSequence AnatomicRegionSequence SourceImageSequence "
    "DerivationCodeSequence ReferencedImageSequence"
)
_HEADER = tuple(_KEYWORDS.split())
"""What ``read_header`` needs; everything else is passed over unread."""

_ORIGINS = ("SourceImageSequence", "DerivationCodeSequence", "ReferencedImageSequence")


def digests(path: Path, *, parsable: bool = True) -> tuple[str, str]:
    """sha256 of the encoded data set (after the file meta) and of the pixel data element.

    The second is "" where there is none, or where the file is not ``parsable``; both are of bytes
    as they came.
    """
    start, pixels = _offsets(path) if parsable else (_start(path), None)
    whole, pixel = hashlib.sha256(), hashlib.sha256()
    with path.open("rb") as stream:
        stream.seek(start)
        position = start
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            whole.update(chunk)
            if pixels is not None and position + len(chunk) > pixels:
                pixel.update(chunk[max(0, pixels - position) :])
            position += len(chunk)
    return whole.hexdigest(), pixel.hexdigest() if pixels is not None else ""


def read_header(path: Path) -> Header:
    """The attributes that admission, routes and the gate need.

    Raises:
        UnreadableError: no DICOM object, cut short, or without its identifiers.
    """
    _refuse_pictures(path)
    ds = _dataset(path, pixels=False, only=_HEADER)
    header = _header(ds)
    if _cut_short(path, ds):
        raise UnreadableError("The pixel data is shorter than its length says.")
    return header


def _refuse_pictures(path: Path) -> None:
    """Name what people hand over in place of DICOM, with the way to turn it into an object."""
    with path.open("rb") as stream:
        start = stream.read(132)
    if start.endswith(b"DICM"):  # a preamble may hold a picture's header: then it is both
        return
    kind = next((name for magic, name in _PICTURES.items() if start.startswith(magic)), None)
    if kind is not None:
        raise UnreadableError(
            f"It is a {kind} file. Of a digitised film in JPEG or BMP, DCMTK's "
            "img2dcm -k ConversionType=DF makes an object that a route with "
            "secondary_capture = true scores."
        )


def identify(path: Path) -> Header | None:
    """The header of a file that ``read_header`` refused, where it has one: who and what it is.

    A refusal that names no patient and no study is one that nobody finds.
    """
    try:
        return _header(_dataset(path, pixels=False, only=_HEADER))
    except UnreadableError:
        return None


def _header(ds: Dataset) -> Header:
    ids = [_text(ds, k) for k in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")]
    if not all(ids):
        raise UnreadableError("The object lacks SOP class, SOP instance or study UID.")
    if any(len(i) > _MAX_UID for i in ids):
        raise UnreadableError("An identifier is longer than 64 characters.")
    return Header(
        sop_class_uid=ids[0],
        sop_instance_uid=ids[1],
        study_instance_uid=ids[2],
        series_instance_uid=_text(ds, "SeriesInstanceUID"),
        patient_id=_text(ds, "PatientID"),
        patient_age_years=_age(ds),
        patient_sex=_text(ds, "PatientSex"),
        accession_number=_text(ds, "AccessionNumber"),
        study_date=_text(ds, "StudyDate"),
        study_description=_text(ds, "StudyDescription"),
        series_description=_text(ds, "SeriesDescription"),
        body_part=_text(ds, "BodyPartExamined"),
        view_position=_text(ds, "ViewPosition"),
        laterality=_text(ds, "ImageLaterality") or _text(ds, "Laterality"),
        image_type=tuple(str(v) for v in _values(ds, "ImageType")),
        modality=_text(ds, "Modality"),
        photometric=_text(ds, "PhotometricInterpretation"),
        manufacturer=_text(ds, "Manufacturer"),
        rows=_number(ds, "Rows"),
        columns=_number(ds, "Columns"),
        burned_in_annotation=_text(ds, "BurnedInAnnotation"),
        presentation_intent=_text(ds, "PresentationIntentType"),
        transfer_syntax_uid=str(getattr(ds.file_meta, "TransferSyntaxUID", "")),
        acquisition_date=_text(ds, "AcquisitionDate") or _text(ds, "AcquisitionDateTime")[:8],
        acquisition_time=_text(ds, "AcquisitionTime") or _text(ds, "AcquisitionDateTime")[8:],
        acquisition_number=_text(ds, "AcquisitionNumber"),
        irradiation_event_uid=_text(ds, "IrradiationEventUID"),
        protocol_name=_text(ds, "ProtocolName"),
        image_comments=_text(ds, "ImageComments"),
        conversion_type=_text(ds, "ConversionType"),
        view_codes=_codes(ds, "ViewCodeSequence"),
        region_codes=_codes(ds, "AnatomicRegionSequence"),
        made_from_others=any(_values(ds, k) for k in _ORIGINS),
    )


def decode(path: Path, first: FrameDecoder | None = None) -> Radiograph | Refused:
    """Decode one file to grey values after modality LUT and non-linear VOI LUT.

    Args:
        first: a decoder that is asked before imagecodecs.

    Raises:
        UnreadableError: no decoder reads it.
    """
    ds = _dataset(path, pixels=True)
    photometric = _text(ds, "PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return Refused(reason=Reason.UNSUPPORTED_PHOTOMETRY, detail=f"{photometric or 'none'}.")
    if _number(ds, "NumberOfFrames") > 1:
        return Refused(reason=Reason.UNSUPPORTED_SOP_CLASS, detail="More than one frame.")
    stored = _pixels(ds, first)
    values, window = _presentation(ds, _modality(ds, stored))
    shifted, offset, scale = _unsigned(values)
    inverted = _inverted(ds, photometric)
    spacing, spacing_source = _spacing(ds)
    side, side_source = _side(ds)
    shifted.flags.writeable = False
    return Radiograph(
        pixels=shifted,
        inverted=inverted,
        mask=_mask(ds, stored, shifted, inverted=inverted),
        spacing_mm=spacing,
        spacing_source=spacing_source,
        window=None if window is None else ((window[0] - offset) * scale, window[1] * scale),
        side=side,
        side_source=side_source,
    )


def _dataset(path: Path, *, pixels: bool, only: Sequence[str] | None = None) -> Dataset:
    try:
        if pixels:
            return dcmread(path, force=True)
        with path.open("rb") as stream:
            wanted = None if only is None else [Tag(k) for k in only]
            return read_partial(stream, stop_when=_Stop(), force=True, specific_tags=wanted)
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(f"Not a DICOM object ({type(error).__name__}).") from error


class _Stop:
    """Ends reading at the pixels, and where a file holds more elements than an image ever has."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        self._count += 1
        if self._count > _MAX_ELEMENTS:
            raise UnreadableError(f"The data set has more than {_MAX_ELEMENTS} elements.")
        return bool(tag == _PIXEL_DATA)


def _offsets(path: Path) -> tuple[int, int | None]:
    """Where the data set and its pixel data element begin; falls back to the whole file."""
    start = _start(path)
    try:
        with path.open("rb") as stream:
            if _DEFLATED in stream.read(start):
                return start, None  # its pixels lie at no offset of the file
            stream.seek(0)
            read_partial(
                stream,
                stop_when=_Stop(),
                force=True,
                specific_tags=[
                    Tag("SOPClassUID")
                ],  # big private elements are passed over, not read
            )
            found = stream.tell()
    except Exception:  # noqa: BLE001 - a file that is no DICOM is digested whole
        return start, None
    return start, found if start < found < path.stat().st_size else None


def _start(path: Path) -> int:
    """Where the data set begins, by the group length of the file meta; 0 without one."""
    with path.open("rb") as stream:
        head = stream.read(144)
    if head[128:132] != b"DICM":
        return 0
    return min(144 + int.from_bytes(head[140:144], "little"), path.stat().st_size)


def _cut_short(path: Path, ds: Dataset) -> bool:
    """Whether native pixel data is shorter than rows x columns x bits say."""
    syntax = getattr(ds.file_meta, "TransferSyntaxUID", None)
    if syntax is not None and not syntax.is_transfer_syntax:
        raise UnreadableError("The transfer syntax is not one of the standard's.")
    if syntax is None or syntax.is_compressed or syntax.is_deflated or not _number(ds, "Rows"):
        return False
    _, pixels = _offsets(path)
    frames = max(1, _number(ds, "NumberOfFrames"))
    samples = max(1, _number(ds, "SamplesPerPixel"))
    bits = max(8, _number(ds, "BitsAllocated"))
    needed = _number(ds, "Rows") * _number(ds, "Columns") * samples * frames * bits // 8
    return pixels is None or path.stat().st_size - pixels < needed


def _values(ds: Dataset, keyword: str) -> list[Any]:
    try:
        value = ds.get(keyword)
    except Exception:  # noqa: BLE001 - a malformed element counts as absent
        return []
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]


def _text(ds: Dataset, keyword: str) -> str:
    """A value as text that every database takes: no NUL, no lone surrogate, of bounded length."""
    values = _values(ds, keyword)
    text = "\\".join(str(v) for v in values).replace("\0", "")
    return text.encode("utf-8", "replace").decode()[:_MAX_TEXT].strip()


def _number(ds: Dataset, keyword: str) -> int:
    try:
        return int(_values(ds, keyword)[0])
    except (IndexError, TypeError, ValueError):
        return 0


def _floats(ds: Dataset, keyword: str) -> list[float]:
    try:
        return [float(v) for v in _values(ds, keyword)]
    except (TypeError, ValueError):
        return []


def _age(ds: Dataset) -> float | None:
    """Years at the study: Patient's Age first, else study date minus birth date."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", _text(ds, "PatientAge"))
    if match is not None:
        return int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[match[2]]
    days = []
    for keyword in ("StudyDate", "PatientBirthDate"):
        found = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", _text(ds, keyword))
        if found is None:
            return None
        try:
            days.append(date(int(found[1]), int(found[2]), int(found[3])))
        except ValueError:
            return None
    return (days[0] - days[1]).days / 365.25


def _pixels(ds: Dataset, first: FrameDecoder | None) -> NDArray[Any]:
    """Stored values, (rows, columns), signed or unsigned."""
    from ra_daemon.dicom.pixels import stored_values

    try:
        array = stored_values(ds, first)
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError(f"The pixels cannot be decoded ({type(error).__name__}).") from error
    if array.ndim != 2:
        raise UnreadableError(f"The pixels have {array.ndim} dimensions, not 2.")
    return array


def _inverted(ds: Dataset, photometric: str) -> bool:
    """Whether the lowest grey value is to be shown white; never inverted twice.

    DX states a shape, which repeats MONOCHROME1 (PS3.3 C.8.11.3). Where the two contradict each
    other the shape decides, as in DCMTK and dcm4che: it is what the value finally means (C.11.6).
    An empty shape, or one of another name, is none.
    """
    shape = _text(ds, "PresentationLUTShape").upper()
    return shape == "INVERSE" if shape in ("IDENTITY", "INVERSE") else photometric == "MONOCHROME1"


def _mask(
    ds: Dataset, stored: NDArray[Any], shown: NDArray[np.uint16], *, inverted: bool
) -> NDArray[np.bool_] | None:
    """True where there is no image: padding, shutter, collimator, and then a frame in the rest."""
    from ra_daemon.dicom.border import border
    from ra_daemon.dicom.shutter import shuttered

    shutter = shuttered(
        (stored.shape[0], stored.shape[1]),
        lambda keyword: [str(v) for v in _values(ds, keyword)],
        lambda keyword: _floats(ds, keyword),
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
    values = _values(ds, "PixelPaddingValue")
    if not values:
        return None
    limits = _values(ds, "PixelPaddingRangeLimit") or values
    try:
        low, high = sorted((int(values[0]), int(limits[0])))
    except (TypeError, ValueError):
        return None
    mask: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    return mask if bool(mask.any()) and not bool(mask.all()) else None


def _modality(ds: Dataset, stored: NDArray[Any]) -> NDArray[Any]:
    """Modality LUT sequence, else rescale unless it is the identity."""
    from pydicom.pixels.processing import apply_modality_lut

    if _values(ds, "ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(stored, ds))
    slope, intercept = (_floats(ds, k) for k in ("RescaleSlope", "RescaleIntercept"))
    k, m = (slope or [1.0])[0], (intercept or [0.0])[0]
    if (k, m) == (1.0, 0.0) or k == 0:
        return stored
    with np.errstate(over="ignore", invalid="ignore"):  # told by ``_unsigned``
        return np.asarray(stored * k + m)


def _presentation(
    ds: Dataset, values: NDArray[Any]
) -> tuple[NDArray[Any], tuple[float, float] | None]:
    """A VOI LUT is applied (it is not linear); a window is only noted."""
    from pydicom.pixels.processing import apply_voi_lut

    if _values(ds, "VOILUTSequence"):
        try:
            return np.asarray(apply_voi_lut(values, ds, prefer_lut=True)), None
        except Exception as error:
            raise UnreadableError(f"VOI LUT cannot be applied ({type(error).__name__}).") from error
    centre, width = _floats(ds, "WindowCenter"), _floats(ds, "WindowWidth")
    if centre and width and width[0] >= 1:
        return values, (centre[0], width[0])
    return values, None


def _unsigned(values: NDArray[Any]) -> tuple[NDArray[np.uint16], float, float]:
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


def _spacing(ds: Dataset) -> tuple[tuple[float, float] | None, str]:
    """Calibrated Pixel Spacing before Imager and Nominal spacing; zeros count as unknown."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        values = _floats(ds, keyword)
        if len(values) == 2 and min(values) > 0:
            return (values[0], values[1]), keyword
    return None, ""


def _side(ds: Dataset) -> tuple[Side, str]:
    stated = [(k, _text(ds, k)) for k in ("ImageLaterality", "Laterality")]
    stated += [("FrameLaterality", letter) for letter in _frame_laterality(ds)]
    return side_of(stated, f"{_text(ds, 'SeriesDescription')} / {_text(ds, 'ProtocolName')}")


def _codes(ds: Dataset, keyword: str) -> tuple[str, ...]:
    """SNOMED CT values of a code sequence."""
    items = [i for i in _values(ds, keyword) if isinstance(i, Dataset)]
    sct = [i for i in items if _text(i, "CodingSchemeDesignator") in ("SCT", "99SDM")]
    return tuple(_text(i, "CodeValue") for i in sct)


def _frame_laterality(ds: Dataset) -> Iterator[str]:
    for group in _values(ds, "SharedFunctionalGroupsSequence"):
        for anatomy in _values(group, "FrameAnatomySequence"):
            yield _text(anatomy, "FrameLaterality").upper()
