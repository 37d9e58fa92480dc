"""A clean copy of a dirty source header: what highdicom can build a valid object from.

Only what our objects carry over is read. Every value is held to the representation and multiplicity
of its attribute, in sequences too: mended or blanked, and what lacks its type 1 parts is left out.
Missing type 2 attributes are added empty, text is decoded to UTF-8. The identifiers of study,
series and instance stay as they came.
"""

from __future__ import annotations

from pathlib import Path

from pydicom import DataElement, Dataset, dcmread
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence as Items
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

from ra_daemon import log
from ra_daemon.dicom import carried
from ra_daemon.dicom.charset import UNEXPLAINED, Charset
from ra_daemon.dicom.uids import derive_uid
from ra_daemon.dicom.values import MULTILINE, cleaned
from ra_daemon.errors import ComposeError

STAMP = "AI result, not verified"
DEMONSTRATION = "DEMONSTRATION MODEL, trained on generated images, not for clinical use"
NOT_DIAGNOSTIC = "NOT FOR DIAGNOSTIC USE"

_PLAIN = Charset(encodings=("latin-1",))
_NUMBERS = frozenset({"US", "FD"})
_log = log.get(__name__)


def reference(path: Path, *, told: bool = True) -> Dataset:
    """The clean data set of a source file, without its pixels.

    Args:
        path: the source.
        told: whether to log which attributes were mended, blanked or left out; never their values.

    Raises:
        ComposeError: it does not say which instance of which study it is.
    """
    wanted = [*carried.IDENTITY, *carried.ROOT]
    found = dcmread(path, stop_before_pixels=True, force=True, specific_tags=wanted)
    changed: set[str] = set()
    ds = _copy(found, carried.ROOT, Charset.of(found), changed)
    changed |= carried.settle(ds)
    _identify(ds, found)
    for keyword in carried.TYPE_2:
        if keyword not in ds:
            setattr(ds, keyword, None)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.file_meta = found.file_meta
    if changed and told:
        _log.info(
            "header.mended", object=log.uid_key(ds.SOPInstanceUID), attributes=sorted(changed)
        )
    return ds


def evidence_of(report: Dataset) -> list[Dataset]:
    """The images that a report of ours was made from, as far as the report itself knows them.

    Args:
        report: from ``reference``; patient and study are taken from it.

    Raises:
        ComposeError: it names no evidence.
    """
    found = []
    for study in report.get(carried.EVIDENCE, []):
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                image = Dataset()
                image.file_meta = report.file_meta
                for keyword in ("SpecificCharacterSet", *carried.TYPE_2, *carried.CONTEXT):
                    if keyword in report:
                        image.add(report[keyword])
                for keyword, uid in zip(
                    carried.IDENTITY,
                    (
                        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID,
                        study.StudyInstanceUID, series.SeriesInstanceUID,
                    ),
                    strict=True,
                ):  # fmt: skip
                    _set(image, keyword, [uid])
                found.append(image)
    if not found:
        raise ComposeError("The report names no image.")
    return found


def _identify(ds: Dataset, found: Dataset) -> None:
    """Take over the identifiers; a series that is not named gets a name of its own."""
    for keyword in carried.IDENTITY:
        uids = _texts(found, keyword, "UI", Charset.of(found)) if keyword in found else []
        _set(ds, keyword, _as_came(uids)[:1])
    if "SeriesInstanceUID" not in ds and "SOPInstanceUID" in ds:
        ds.SeriesInstanceUID = derive_uid("series", "unnamed", ds.SOPInstanceUID)
    if not all(k in ds for k in carried.IDENTITY):
        raise ComposeError("The source lacks SOP class, SOP instance or study UID.")


def _copy(
    found: Dataset,
    keywords: tuple[str, ...],
    charset: Charset,
    changed: set[str],
    *,
    as_came: bool = False,
) -> Dataset:
    """A data set of valid values; ``changed`` collects what is not as it came.

    Args:
        found: read from a file.
        keywords: what to copy.
        charset: of its text.
        changed: keywords of attributes that were mended, blanked or left out.
        as_came: keep UIDs as they are.
    """
    made = Dataset()
    for keyword in keywords:
        if keyword not in found:
            continue
        vr = dictionary_VR(keyword)
        if vr == "SQ":
            kept = as_came or keyword == carried.EVIDENCE
            items = _items(found, keyword, charset, changed, as_came=kept)
            if items:
                setattr(made, keyword, items)
            continue
        given = _texts(found, keyword, vr, charset)
        values = _as_came(given) if as_came else cleaned(keyword, vr, dictionary_VM(keyword), given)
        _set(made, keyword, values)
        if [v for v in given if v] != values:
            changed.add(keyword)
    return made


def _items(
    found: Dataset, keyword: str, charset: Charset, changed: set[str], *, as_came: bool
) -> list[Dataset]:
    """The items of a sequence that are whole."""
    try:
        given = found[keyword].value
    except Exception:  # noqa: BLE001 - a sequence that cannot even be parsed
        given = None
    if not isinstance(given, Items):
        changed.add(keyword)
        return []
    inner = carried.in_items(keyword)
    made = [_copy(i, inner, Charset.of(i, charset), changed, as_came=as_came) for i in given]
    whole = [item for item in made if carried.is_whole(keyword, item)][: carried.limit_of(keyword)]
    if len(whole) < len(given):
        changed.add(keyword)
    return whole


def _texts(ds: Dataset, keyword: str, vr: str, charset: Charset) -> list[str]:
    """The values of an element as text, whatever representation the file claims for it."""
    try:
        element = ds[keyword] if vr in _NUMBERS else ds.get_item(tag_for_keyword(keyword))
        value = element.value
    except Exception:  # noqa: BLE001 - a value that cannot even be read
        return [UNEXPLAINED]
    if isinstance(element, RawDataElement) and isinstance(value, bytes):
        text = (charset if vr in CUSTOMIZABLE_CHARSET_VR else _PLAIN).decode(value.rstrip(b"\0 "))
        return [text] if vr in MULTILINE else [t.rstrip(" \0") for t in text.split("\\")]
    if value is None or isinstance(value, str | int | float):
        return [] if value in (None, "") else [str(value)]
    if isinstance(value, bytes | Items):
        return [UNEXPLAINED]
    return [str(v) for v in value]


def _as_came(values: list[str]) -> list[str]:
    return [v for v in values if v and UNEXPLAINED not in v]


def _set(ds: Dataset, keyword: str, values: list[str]) -> None:
    """Set text as it is, if any: pydicom's own checks would print it."""
    if not values:
        return
    vr = dictionary_VR(keyword)
    if vr in _NUMBERS:
        setattr(ds, keyword, int(values[0]) if vr == "US" else float(values[0]))
        return
    value = values[0] if len(values) == 1 else values
    ds.add(DataElement(tag_for_keyword(keyword), vr, value, validation_mode=IGNORE))
