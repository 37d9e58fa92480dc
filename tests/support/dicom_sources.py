"""Sources as hospitals send them: clean ones, and the dirty-input matrix."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag

from ra_training.phantom import generate
from ra_training.phantom.dicom import write_dicom

Dirt = Callable[[Dataset], None]


def clean(path: Path, *, hands: str = "both", sop_class: str = "DX", seed: int = 11) -> Path:
    """A generated DX or CR object."""
    sample = next(iter(generate(1, seed, hands=hands, prior="flat", height=400)))
    write_dicom(sample, path, sop_class=sop_class)  # type: ignore[arg-type]
    return path


def dirty(path: Path, base: Path, dirt: Dirt) -> Path:
    """A copy of ``base`` with one fault in its header."""
    ds = dcmread(base)
    dirt(ds)
    _leave_as_is(ds, implicit=bool(ds.original_encoding[0]))
    ds.save_as(path, enforce_file_format=False)
    return path


def _leave_as_is(ds: Dataset, *, implicit: bool) -> None:
    """Have raw bytes written as they are, whatever character set they will be read with."""
    ds.set_original_encoding(implicit, True, ds._character_set)
    for element in list(ds._dict.values()):
        if element.VR == "SQ" and not isinstance(element, RawDataElement):
            for item in element.value:
                _leave_as_is(item, implicit=implicit)


def without(keyword: str) -> Dirt:
    """Remove an attribute."""

    def apply(ds: Dataset) -> None:
        if keyword in ds:
            delattr(ds, keyword)

    return apply


def with_value(keyword: str, value: object) -> Dirt:
    """Set a raw, perhaps invalid, value."""

    def apply(ds: Dataset) -> None:
        from pydicom import config

        mode = config.settings.writing_validation_mode
        config.settings.writing_validation_mode = config.IGNORE
        try:
            setattr(ds, keyword, value)
        finally:
            config.settings.writing_validation_mode = mode

    return apply


def with_raw(keyword: str, value: bytes | str, vr: str | None = None) -> Dirt:
    """Set the bytes of an element, whatever they are; ``vr`` is what the file calls them."""

    def apply(ds: Dataset) -> None:
        ds[keyword] = raw(keyword, value, vr)

    return apply


def raw(keyword: str, value: bytes | str, vr: str | None = None) -> RawDataElement:
    """An element that is written as it is."""
    content = value.encode() if isinstance(value, str) else value
    content += b" " * (len(content) % 2)
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return RawDataElement(
        Tag(tag), vr or dictionary_VR(keyword), len(content), content, 0, False, True
    )


def with_items(keyword: str, *items: dict[str, bytes | str | Dirt]) -> Dirt:
    """Set a sequence; each item of raw values and, by a keyword's own dirt, of sequences."""

    def apply(ds: Dataset) -> None:
        made = []
        for item in items:
            inner = Dataset()
            for name, value in item.items():
                if callable(value):
                    value(inner)
                else:
                    inner[name] = raw(name, value)
            made.append(inner)
        setattr(ds, keyword, made)

    return apply


def together(*dirts: Dirt) -> Dirt:
    """Several faults in one header."""

    def apply(ds: Dataset) -> None:
        for dirt in dirts:
            dirt(ds)

    return apply


def named(character_set: str | list[str], name: str) -> Dirt:
    """Another script in the patient's name."""

    def apply(ds: Dataset) -> None:
        ds.SpecificCharacterSet = character_set
        ds.PatientName = name

    return apply


SUBJECT: dict[str, bytes | str] = {
    "ClinicalTrialSponsorName": "Sponsor", "ClinicalTrialProtocolID": "P1",
    "ClinicalTrialSubjectID": "S1",
}  # fmt: skip
"""The required part of the Clinical Trial Subject module."""

MATRIX: dict[str, Dirt] = {
    **{
        f"no-{k}": without(k)
        for k in (
            "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber",
            "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName", "PatientOrientation",
            "ImageLaterality", "Manufacturer", "SeriesInstanceUID", "Modality",
            "ImagerPixelSpacing", "SpecificCharacterSet",
        )
    },
    "sex-X": with_value("PatientSex", "X"),
    "sex-lower-case": with_raw("PatientSex", "f"),
    "birth-year-only": with_value("PatientBirthDate", "1960"),
    "dotted-date": with_value("StudyDate", "2026.11.01"),
    "impossible-date": with_value("StudyDate", "20261350"),
    "no-such-day": with_raw("StudyDate", "20260231"),
    "two-dates": with_raw("StudyDate", "20260101\\20260102"),
    "date-range": with_raw("StudyDate", "20260101-20260102"),
    "date-words": with_raw("PatientBirthDate", "01 JAN 1960"),
    "colon-time": with_value("StudyTime", "10:11:12"),
    "no-such-time": with_raw("StudyTime", "246060"),
    "leap-second": with_raw("StudyTime", "235960"),
    "two-times": with_raw("StudyTime", "101112\\101113"),
    "no-such-moment": with_raw("AcquisitionDateTime", "20260231101112"),
    "no-such-zone": with_raw("TimezoneOffsetFromUTC", "CET"),
    "long-name": with_value("PatientName", "A" * 70),
    "backslash-name": with_raw("PatientName", "Doe\\Jane^A"),
    "control-name": with_raw("PatientName", b"Do\x00e^\x07Ja\x7fne\n"),
    "six-component-name": with_raw("PatientName", "A^B^C^D^E^F^G"),
    "four-group-name": with_raw("PatientName", "A^B=C^D=E^F=G^H"),
    "hollow-name": with_raw("PatientName", "^^^^=="),
    "names-of-others": with_raw("OtherPatientNames", "A^B\\" + "C" * 70 + "\\^^^^^^\\"),
    "two-physicians": with_raw("ReferringPhysicianName", "A^B\\C^D"),
    "backslash-id": with_raw("PatientID", "12\\34"),
    "long-id": with_raw("PatientID", "1" * 70),
    "control-id": with_raw("PatientID", b"12\x0034\r\n"),
    "padded-id": with_raw("PatientID", b"1234\0\0"),
    "spaces-id": with_raw("PatientID", "   "),
    "long-accession": with_value("AccessionNumber", "ACC" * 9),
    "two-accessions": with_raw("AccessionNumber", "A1\\A2"),
    "two-study-ids": with_raw("StudyID", "1\\2"),
    "long-study-id": with_raw("StudyID", "S" * 40),
    "backslash-description": with_raw("StudyDescription", "hand\\both"),
    "long-description": with_raw("StudyDescription", "hand " * 40),
    "lines-of-description": with_raw("StudyDescription", "hand\r\nboth\tpa"),
    "age-word": with_value("PatientAge", "old"),
    "age-short": with_raw("PatientAge", "45y"),
    "weight-word": with_raw("PatientWeight", "heavy"),
    "weight-comma": with_raw("PatientWeight", "72,5"),
    "weight-infinite": with_raw("PatientWeight", "1e999"),
    "weight-long": with_raw("PatientWeight", "72.500000000000000001"),
    "two-sizes": with_raw("PatientSize", "1.7\\1.8"),
    "pregnancy-9": with_raw("PregnancyStatus", b"\x09\x00"),
    "pregnancy-cut": with_raw("PregnancyStatus", b"\x09\x00\x01"),
    "smoking-maybe": with_raw("SmokingStatus", "Perhaps"),
    "quality-long": with_raw("QualityControlSubject", "NOT A PATIENT BUT A PHANTOM"),
    "allergies": with_raw("Allergies", "a" * 80 + "\\\\b\x07"),
    "comments": with_raw("PatientComments", b"one\\two\r\nthree\x07\x0b" + b"x" * 11000),
    "orientation-XY": with_raw("PatientOrientation", "X\\Y"),
    "orientation-one": with_raw("PatientOrientation", "L"),
    "orientation-oblique": with_raw("PatientOrientation", "LP\\FA"),
    "orientation-lower-case": with_raw("PatientOrientation", "l\\f"),
    "spacing-one": with_raw("ImagerPixelSpacing", "0.1"),
    "spacing-word": with_raw("ImagerPixelSpacing", "fine\\fine"),
    "spacing-zero": with_raw("ImagerPixelSpacing", "0\\0"),
    "spacing-elsewhere": together(
        without("ImagerPixelSpacing"), with_raw("PixelSpacing", "0.1\\0.1")
    ),
    "frame-of-reference": with_raw("FrameOfReferenceUID", "none"),
    "modality-CT": with_raw("Modality", "CT"),
    "device": together(
        with_raw("Manufacturer", "A\\B"), with_raw("StationName", "S" * 40),
        with_raw("SoftwareVersions", "1\\" + "2" * 80), with_raw("InstitutionName", "I" * 80),
        with_raw("InstitutionAddress", "I" * 2000), with_raw("DeviceSerialNumber", "1\\2"),
    ),
    "other-vr": together(
        with_raw("StudyDate", "today", "LO"), with_raw("PatientName", b"\1\2\3\4", "OB"),
        with_raw("PatientWeight", b"\1\2\3\4", "FL"), with_raw("StudyID", b"\1\0", "US"),
    ),
    "text-for-sequence": with_raw("ProcedureCodeSequence", "hand", "LO"),
    "sequence-for-text": lambda ds: ds.add_new("StudyDescription", "SQ", [Dataset()]),
    "empty-sequences": together(
        *(
            with_items(k)
            for k in (
                "RequestAttributesSequence", "ProcedureCodeSequence", "ReferencedStudySequence",
                "OtherPatientIDsSequence", "IssuerOfAccessionNumberSequence",
            )
        )
    ),
    "empty-items": together(
        *(
            with_items(k, {})
            for k in (
                "RequestAttributesSequence", "ProcedureCodeSequence", "ReferencedStudySequence",
                "ReferencedPatientSequence", "OtherPatientIDsSequence",
                "IssuerOfAccessionNumberSequence", "IssuerOfPatientIDQualifiersSequence",
                "ReferringPhysicianIdentificationSequence", "ConsentForClinicalTrialUseSequence",
            )
        )
    ),
    "request": with_items(
        "RequestAttributesSequence",
        {
            "RequestedProcedureID": "P" * 40, "RequestedProcedureDescription": "a\\b" + "c" * 80,
            "ScheduledProcedureStepID": "1\\2", "AccessionNumber": "A" * 30,
            "StudyInstanceUID": "1.2.abc",
            "RequestedProcedureCodeSequence": with_items(
                "RequestedProcedureCodeSequence",
                {"CodeValue": "V" * 40, "CodingSchemeDesignator": "99X", "CodeMeaning": "M"},
                {"CodeValue": "V", "CodingSchemeDesignator": "99X", "CodeMeaning": "M" * 80},
            ),
            "ScheduledProtocolCodeSequence": with_items(
                "ScheduledProtocolCodeSequence", {"CodeMeaning": "alone"}
            ),
        },
    ),
    "references": together(
        with_items(
            "ReferencedStudySequence",
            {"ReferencedSOPClassUID": "1.2.840.10008.3.1.2.3.1", "ReferencedSOPInstanceUID": "x.1"},
            {"ReferencedSOPClassUID": "1.2.840.10008.3.1.2.3.1", "ReferencedSOPInstanceUID": "1.2"},
            {"ReferencedSOPInstanceUID": "1.2.3"},
        ),
        with_items(
            "ReferencedPatientSequence",
            {"ReferencedSOPClassUID": "1.02", "ReferencedSOPInstanceUID": "1." * 40 + "1"},
        ),
    ),
    "issuers": together(
        with_items("IssuerOfAccessionNumberSequence", {"UniversalEntityID": "1.2"}),
        with_items(
            "IssuerOfPatientIDQualifiersSequence",
            {"UniversalEntityID": "1.2", "UniversalEntityIDType": "oid"},
        ),
        with_items("IssuerOfAdmissionIDSequence", {"LocalNamespaceEntityID": "a\\b"}),
    ),
    "physicians": with_items(
        "PhysiciansOfRecordIdentificationSequence",
        {"InstitutionName": "I" * 80},
        {
            "InstitutionName": "I" * 80,
            "PersonIdentificationCodeSequence": with_items(
                "PersonIdentificationCodeSequence",
                {"CodeValue": "1", "CodingSchemeDesignator": "99X", "CodeMeaning": "a\x07"},
            ),
        },
    ),
    "other-ids": together(
        with_items(
            "OtherPatientIDsSequence",
            {"PatientID": "1\\2", "TypeOfPatientID": "TEXT"},
            {"PatientID": "12", "TypeOfPatientID": "text"},
            {"PatientID": "12", "TypeOfPatientID": "SOMETHING"},
        ),
        with_raw("TypeOfPatientID", "SOMETHING"),
    ),
    "trial-without-sponsor": with_raw("ClinicalTrialSubjectID", "S1"),
    "trial": together(
        *(with_raw(k, v) for k, v in SUBJECT.items()),
        with_raw("ClinicalTrialProtocolEthicsCommitteeApprovalNumber", "1"),
        with_raw("ClinicalTrialTimePointDescription", "week 4\x07"),
        with_raw("LongitudinalTemporalOffsetFromEvent", b"\0\0\0\0\0\0\xf8\x7f"),
        with_items(
            "ConsentForClinicalTrialUseSequence",
            {"ConsentForDistributionFlag": "YES"},
            {"ConsentForDistributionFlag": "YES", "DistributionType": "NAMED_PROTOCOL"},
            {"ConsentForDistributionFlag": "NO"},
        ),
    ),
    "anonymous-by-no-method": with_raw("PatientIdentityRemoved", "YES"),
    "other-calendar": with_raw("PatientBirthDateInAlternativeCalendar", "25030101"),
    "animal": together(
        with_raw("PatientSpeciesDescription", "Canis"), with_raw("ResponsiblePerson", "A^B"),
        with_raw("PatientSexNeutered", "perhaps"),
    ),
    "private-in-item": with_items(
        "RequestAttributesSequence",
        {
            "RequestedProcedureID": "1",
            "PatientComments": lambda ds: ds.add_new(0x00091010, "LO", "private"),
        },
    ),
    "japanese": named(["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "cyrillic": named("ISO_IR 144", "Иванов^Иван"),
    "greek": named("ISO_IR 126", "Παπαδόπουλος^Γιώργος"),
    "utf-8": named("ISO_IR 192", "Müller^Jürgen=山田^太郎"),
    "unknown-charset": together(
        with_raw("SpecificCharacterSet", "KLINGON"),
        with_raw("PatientName", b"M\xfcller^A"), with_raw("StudyDescription", "hand"),
    ),
    "misspelt-charset": together(
        with_raw("SpecificCharacterSet", "ISO-IR 100"), with_raw("PatientName", b"M\xfcller^A")
    ),
    "mixed-charsets": together(
        with_raw("SpecificCharacterSet", "ISO_IR 192\\ISO 2022 IR 87\\ISO_IR 144"),
        with_raw("PatientName", b"M\xfcller^\x1b$B;3ED\x1b(B"),
        with_raw("StudyDescription", "Hände"),
    ),
    "undeclared-escape": with_raw("PatientName", b"A^\x1b$B;3ED\x1b(B"),
    "item-charset": with_items(
        "RequestAttributesSequence",
        {"SpecificCharacterSet": "ISO_IR 144",
         "RequestedProcedureDescription": "рука".encode("iso8859_5")},
        {"SpecificCharacterSet": "KLINGON", "RequestedProcedureDescription": b"\xc0\xc1"},
    ),
    "laterality-left": with_value("ImageLaterality", "L"),
}  # fmt: skip


def merged(base: Path) -> list[dict[str, Dirt]]:
    """The matrix in as few headers as its rows fit into without touching each other's attributes.

    For validators that take seconds a file: every fault is in exactly one of the headers.
    """
    clean_header = dcmread(base, stop_before_pixels=True)
    groups: list[tuple[set[BaseTag], dict[str, Dirt]]] = []
    for name, dirt in MATRIX.items():
        ds = dcmread(base, stop_before_pixels=True)
        dirt(ds)
        tags = {*ds.keys(), *clean_header.keys()}
        touched = {t for t in tags if ds._dict.get(t) != clean_header._dict.get(t)}
        for taken, rows in groups:
            if not taken & touched:
                taken |= touched
                rows[name] = dirt
                break
        else:
            groups.append((touched, {name: dirt}))
    return [rows for _, rows in groups]


TODAY = date(2026, 11, 1)
