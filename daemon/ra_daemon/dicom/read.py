"""Read DICOM files as they come: dirty headers, every transfer syntax."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.config import settings
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ra_daemon.dicom import elements, grey
from ra_daemon.dicom.mask import mask_of
from ra_daemon.dicom.nvimgcodec import FrameDecoder
from ra_daemon.dicom.sides import described_side, side_of
from ra_daemon.domain import Header, Reason, Refused
from ra_daemon.errors import UnreadableError
from ra_engine.types import Radiograph

settings.reading_validation_mode = 0  # dirty values are ours to judge, not pydicom's to refuse

_CHUNK = 1 << 20
_HEAD = 144  # preamble, prefix and the group length of the file meta
_MAX_UID = 64
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


def dataset_digest(data: bytes) -> str:
    """The first of ``digests``, of a file's bytes."""
    return hashlib.sha256(memoryview(data)[_start_of(data[:_HEAD]) :]).hexdigest()


def transfer_syntax(data: bytes) -> str:
    """Transfer syntax UID of a file's bytes; "" where the file meta names none."""
    try:
        ds = read_partial(io.BytesIO(data), stop_when=lambda *_: True, force=True)
    except Exception:  # noqa: BLE001 - a damaged one may raise anything
        return ""
    return str(getattr(ds.file_meta, "TransferSyntaxUID", ""))


def read_header(path: Path) -> Header:
    """The attributes that admission, routes and the gate need.

    Raises:
        UnreadableError: no DICOM object, cut short, or without its identifiers.
    """
    _refuse_pictures(path)
    ds = _dataset(path)
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
        return _header(_dataset(path))
    except UnreadableError:
        return None


def _header(ds: Dataset) -> Header:
    ids = [elements.text(ds, k) for k in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")]
    if not all(ids):
        raise UnreadableError("The object lacks SOP class, SOP instance or study UID.")
    if any(len(i) > _MAX_UID for i in ids):
        raise UnreadableError("An identifier is longer than 64 characters.")
    return Header(
        sop_class_uid=ids[0],
        sop_instance_uid=ids[1],
        study_instance_uid=ids[2],
        series_instance_uid=elements.text(ds, "SeriesInstanceUID"),
        patient_id=elements.text(ds, "PatientID"),
        patient_age_years=_age(ds),
        patient_sex=elements.text(ds, "PatientSex"),
        accession_number=elements.text(ds, "AccessionNumber"),
        study_date=elements.text(ds, "StudyDate"),
        study_description=elements.text(ds, "StudyDescription"),
        series_description=elements.text(ds, "SeriesDescription"),
        body_part=elements.text(ds, "BodyPartExamined"),
        view_position=elements.text(ds, "ViewPosition"),
        laterality=elements.text(ds, "ImageLaterality") or elements.text(ds, "Laterality"),
        image_type=tuple(str(v) for v in elements.values(ds, "ImageType")),
        modality=elements.text(ds, "Modality"),
        photometric=elements.text(ds, "PhotometricInterpretation"),
        manufacturer=elements.text(ds, "Manufacturer"),
        rows=elements.number(ds, "Rows"),
        columns=elements.number(ds, "Columns"),
        burned_in_annotation=elements.text(ds, "BurnedInAnnotation"),
        presentation_intent=elements.text(ds, "PresentationIntentType"),
        transfer_syntax_uid=str(getattr(ds.file_meta, "TransferSyntaxUID", "")),
        acquisition_date=elements.text(ds, "AcquisitionDate")
        or elements.text(ds, "AcquisitionDateTime")[:8],
        acquisition_time=elements.text(ds, "AcquisitionTime")
        or elements.text(ds, "AcquisitionDateTime")[8:],
        acquisition_number=elements.text(ds, "AcquisitionNumber"),
        irradiation_event_uid=elements.text(ds, "IrradiationEventUID"),
        protocol_name=elements.text(ds, "ProtocolName"),
        image_comments=elements.text(ds, "ImageComments"),
        conversion_type=elements.text(ds, "ConversionType"),
        view_codes=_codes(ds, "ViewCodeSequence"),
        region_codes=_codes(ds, "AnatomicRegionSequence"),
        made_from_others=any(elements.values(ds, k) for k in _ORIGINS),
    )


def decode(file: Path | BinaryIO, first: FrameDecoder | None = None) -> Radiograph | Refused:
    """Decode one file to grey values after modality LUT and non-linear VOI LUT.

    Args:
        file: its path, or a stream of its bytes.
        first: a decoder that is asked before imagecodecs.

    Raises:
        UnreadableError: no decoder reads it.
    """
    ds = _whole(file)
    photometric = elements.text(ds, "PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return Refused(reason=Reason.UNSUPPORTED_PHOTOMETRY, detail=f"{photometric or 'none'}.")
    if elements.number(ds, "NumberOfFrames") > 1:
        return Refused(reason=Reason.UNSUPPORTED_SOP_CLASS, detail="More than one frame.")
    stored = _pixels(ds, first)
    values, window = grey.presentation(ds, grey.modality(ds, stored))
    shifted, offset, scale = grey.unsigned(values)
    inverted = grey.inverted(ds, photometric)
    spacing, spacing_source = _spacing(ds)
    described = _described(ds)
    side, side_source = side_of(_stated(ds), described)
    shifted.flags.writeable = False
    return Radiograph(
        pixels=shifted,
        inverted=inverted,
        mask=mask_of(ds, stored, shifted, inverted=inverted),
        spacing_mm=spacing,
        spacing_source=spacing_source,
        window=None if window is None else ((window[0] - offset) * scale, window[1] * scale),
        side=side,
        side_source=side_source,
        side_described=described_side(described),
    )


def _whole(file: Path | BinaryIO) -> Dataset:
    try:
        return dcmread(file, force=True)
    except Exception as error:
        raise UnreadableError(f"Not a DICOM object ({type(error).__name__}).") from error


def _dataset(path: Path) -> Dataset:
    """What ``read_header`` needs."""
    try:
        with path.open("rb") as stream:
            wanted = [Tag(k) for k in _HEADER]
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
        head = stream.read(_HEAD)
    return min(_start_of(head), path.stat().st_size)


def _start_of(head: bytes) -> int:
    if head[128:132] != b"DICM":
        return 0
    return _HEAD + int.from_bytes(head[140:144], "little")


def _cut_short(path: Path, ds: Dataset) -> bool:
    """Whether native pixel data is shorter than rows x columns x bits say.

    Raises:
        UnreadableError: there is none, or no transfer syntax that could tell.
    """
    syntax = getattr(ds.file_meta, "TransferSyntaxUID", None)
    if syntax is not None and not syntax.is_transfer_syntax:
        raise UnreadableError("The transfer syntax is not one of the standard's.")
    if (
        syntax is None
        or syntax.is_compressed
        or syntax.is_deflated
        or not elements.number(ds, "Rows")
    ):
        return False
    _, pixels = _offsets(path)
    if pixels is None:
        raise UnreadableError("The object holds no pixel data.")
    frames = max(1, elements.number(ds, "NumberOfFrames"))
    samples = max(1, elements.number(ds, "SamplesPerPixel"))
    bits = max(8, elements.number(ds, "BitsAllocated"))
    needed = (
        elements.number(ds, "Rows") * elements.number(ds, "Columns") * samples * frames * bits // 8
    )
    return path.stat().st_size - pixels < needed


def _age(ds: Dataset) -> float | None:
    """Years at the study: Patient's Age first, else study date minus birth date."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", elements.text(ds, "PatientAge"))
    if match is not None:
        return int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[match[2]]
    days = []
    for keyword in ("StudyDate", "PatientBirthDate"):
        found = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", elements.text(ds, keyword))
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


def _spacing(ds: Dataset) -> tuple[tuple[float, float] | None, str]:
    """Calibrated Pixel Spacing before Imager and Nominal spacing; zeros count as unknown."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        values = elements.floats(ds, keyword)
        if len(values) == 2 and min(values) > 0:
            return (values[0], values[1]), keyword
    return None, ""


def _stated(ds: Dataset) -> list[tuple[str, str]]:
    """(attribute, value) of laterality, the most trusted first."""
    stated = [(k, elements.text(ds, k)) for k in ("ImageLaterality", "Laterality")]
    return stated + [("FrameLaterality", letter) for letter in _frame_laterality(ds)]


def _described(ds: Dataset) -> str:
    return f"{elements.text(ds, 'SeriesDescription')} / {elements.text(ds, 'ProtocolName')}"


def _codes(ds: Dataset, keyword: str) -> tuple[str, ...]:
    """SNOMED CT values of a code sequence."""
    items = [i for i in elements.values(ds, keyword) if isinstance(i, Dataset)]
    sct = [i for i in items if elements.text(i, "CodingSchemeDesignator") in ("SCT", "99SDM")]
    return tuple(elements.text(i, "CodeValue") for i in sct)


def _frame_laterality(ds: Dataset) -> Iterator[str]:
    for group in elements.values(ds, "SharedFunctionalGroupsSequence"):
        for anatomy in elements.values(group, "FrameAnatomySequence"):
            yield elements.text(anatomy, "FrameLaterality").upper()
