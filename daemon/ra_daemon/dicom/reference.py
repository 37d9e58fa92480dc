"""A clean copy of a dirty source header: what highdicom can build a report from.

Missing type 2 attributes are added empty, invalid values blanked, text decoded to UTF-8. Study,
series and instance UIDs and the patient id stay as they came.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from ra_daemon.errors import ComposeError

STAMP = "AI result, not verified"
DEMONSTRATION = "DEMONSTRATION MODEL, trained on generated images, not for clinical use"
NOT_DIAGNOSTIC = "NOT FOR DIAGNOSTIC USE"

_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "Manufacturer", "PatientOrientation",
    "SeriesNumber", "InstanceNumber",
)  # fmt: skip
_CONTEXT = (
    "SpecificCharacterSet", "TimezoneOffsetFromUTC", "IssuerOfPatientID", "StudyDescription",
)  # fmt: skip
_DATE, _TIME = r"(\d{8})?", r"(\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?)?"
_FORMS = {"DA": _DATE, "TM": _TIME, "UI": r"[0-9.]{0,64}", "AS": r"(\d{3}[DWMY])?"}
_LENGTH = {"SH": 16, "LO": 64, "CS": 16}


def reference(path: Path) -> Dataset:
    """The sanitised data set of a source file, without its pixels."""
    ds = dcmread(path, stop_before_pixels=True, force=True)
    meta = ds.file_meta
    _decode(ds)
    ds.file_meta = meta
    for keyword in _EMPTY:
        if keyword not in ds:
            setattr(ds, keyword, None)
    for keyword in [e.keyword for e in ds if e.keyword]:
        _mend(ds, keyword)
    if ds.get("PatientSex") not in ("M", "F", "O", "", None):
        ds.PatientSex = None
    if not str(ds.get("PatientID") or "").strip():
        ds.PatientID = ""
    ds.SpecificCharacterSet = "ISO_IR 192"
    return ds


def evidence_of(report: Dataset) -> list[Dataset]:
    """The images that a report of ours was made from, as far as the report itself knows them.

    Args:
        report: from ``reference``; patient and study are taken from it.

    Raises:
        ComposeError: it names no evidence.
    """
    found = []
    for study in report.get("CurrentRequestedProcedureEvidenceSequence", []):
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                image = Dataset()
                image.file_meta = report.file_meta
                for keyword in (*_EMPTY, *_CONTEXT):
                    if keyword in report:
                        setattr(image, keyword, report.get(keyword))
                image.StudyInstanceUID = study.StudyInstanceUID
                image.SeriesInstanceUID = series.SeriesInstanceUID
                image.SOPClassUID = item.ReferencedSOPClassUID
                image.SOPInstanceUID = item.ReferencedSOPInstanceUID
                found.append(image)
    if not found:
        raise ComposeError("The report names no image.")
    return found


def _decode(ds: Dataset) -> None:
    """Decode all text; a value that its character set cannot explain is blanked."""
    try:
        ds.decode()
    except Exception:  # noqa: BLE001 - unknown character sets raise many kinds
        for element in list(ds):
            if element.VR in ("PN", "LO", "SH", "ST", "LT", "UT", "UC"):
                del ds[element.tag]


def _mend(ds: Dataset, keyword: str) -> None:
    """Blank a value that breaks its representation."""
    try:
        element = ds[keyword]
        value: Any = element.value
    except Exception:  # noqa: BLE001 - a value that cannot even be read
        del ds[keyword]
        return
    if value is None or element.VR == "SQ" or hasattr(value, "append"):
        return
    text = str(value)
    form = _FORMS.get(element.VR)
    broken = form is not None and not re.fullmatch(form, text.strip())
    if broken or (element.VR in ("DA", "TM") and not _real(element.VR, text.strip())):
        setattr(ds, keyword, None)
    elif element.VR == "PN" and ("\\" in text or any(len(g) > 64 for g in text.split("="))):
        setattr(ds, keyword, text.replace("\\", " ")[:64])
    elif element.VR in _LENGTH and len(text) > _LENGTH[element.VR]:
        setattr(ds, keyword, text[: _LENGTH[element.VR]])
    elif element.VR in ("LO", "SH") and "\\" in text:
        setattr(ds, keyword, text.replace("\\", " "))


def _real(vr: str, text: str) -> bool:
    """Whether a date or time of the right form exists."""
    if not text:
        return True
    if vr == "DA":
        return 1 <= int(text[4:6]) <= 12 and 1 <= int(text[6:8]) <= 31
    parts = [int(text[i : i + 2]) for i in range(0, min(6, len(text)), 2)]
    return all(v <= limit for v, limit in zip(parts, (23, 59, 60), strict=False))
