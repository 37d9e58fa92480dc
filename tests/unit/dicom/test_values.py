"""Values of a dirty header: kept, mended, or blanked."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from ra_daemon.dicom.charset import UNEXPLAINED, Charset
from ra_daemon.dicom.values import cleaned
from tests.support.dicom_sources import raw


@pytest.mark.parametrize(
    ("vr", "given", "wanted"),
    [
        ("DA", "20240229", "20240229"), ("DA", "20230229", ""), ("DA", "20260231", ""),
        ("DA", "2026.11.01", "20261101"), ("DA", "2026.1101", ""), ("DA", "00000101", ""),
        ("DA", "20260101-20260102", ""), ("DA", "٢٠٢٦٠١٠١", ""),
        ("TM", "1011", "1011"), ("TM", "10:11:12.5", "101112.5"), ("TM", "240000", ""),
        ("TM", "106000", ""), ("TM", "235960", "235959"), ("TM", "101112.1234567", ""),
        ("DT", "2026", "2026"), ("DT", "20260231", ""),
        ("DT", "20261101101112.5+0100", "20261101101112.5+0100"), ("DT", "202611.5", ""),
        ("DT", "20261101+9900", ""), ("DT", "20261231235960.5", "20261231235959.5"),
        ("AS", "45y", "045Y"), ("AS", "old", ""),
        ("CS", "abdomen", "ABDOMEN"), ("CS", "NOT-SO", ""), ("CS", "A" * 17, ""), ("CS", "ß", ""),
        ("DS", "72.5", "72.5"), ("DS", "72,5", ""), ("DS", "nan", ""), ("DS", "1e999", ""),
        ("DS", "72.500000000000000001", "72.5"), ("DS", "1_0", ""),
        ("UI", "1.2.840.0", "1.2.840.0"), ("UI", "1.02", ""), ("UI", "1.a", ""),
        ("UI", "1." + "1" * 63, ""), ("UI", "3.1", ""),
        ("PN", "A" * 70, "A" * 64), ("PN", "Doe\\Jane", "Doe Jane"),
        ("PN", "A^B^C^D^E^F^G", "A^B^C^D^E F G"), ("PN", "A=B=C=D", "A=B=C"),
        ("PN", "Ж" * 70, "Ж" * 64), ("PN", "^^^^==", ""), ("PN", "A\x07^B", "A^B"),
        ("LO", "hand\\both\t", "hand both"), ("LO", "x" * 70, "x" * 64), ("LO", "  ", ""),
        ("LT", "one\\two\r\n\tthree", "one\\two\r\n three"),
        ("LO", f"M{UNEXPLAINED}ller", ""), ("LO", "\x1b$B", ""), ("LO", "M\x85ller", ""),
        ("OB", "anything", ""),
    ],
)  # fmt: skip
def test_a_value_is_kept_mended_or_blanked(vr: str, given: str, wanted: str) -> None:
    assert cleaned("Anything", vr, "1", [given]) == ([wanted] if wanted else [])


@pytest.mark.parametrize(
    ("keyword", "vr", "vm", "given", "wanted"),
    [
        ("PatientID", "LO", "1", ["12", "34"], []),
        ("PatientID", "LO", "1", [" 007 "], [" 007"]),
        ("PatientID", "LO", "1", ["1" * 65], []),
        ("PatientID", "LO", "1", ["1\x002"], []),
        ("AccessionNumber", "SH", "1", ["A" * 17], []),
        ("StudyDescription", "LO", "1", ["hand", "both"], ["hand both"]),
        ("StudyDate", "DA", "1", ["20260101", "20260102"], []),
        ("PatientWeight", "DS", "1", ["1", "2"], []),
        ("Allergies", "LO", "1-n", ["a", "", "b" * 70], ["a", "b" * 64]),
        ("PatientOrientation", "CS", "2", ["LP", "fa"], ["LP", "FA"]),
        ("PatientOrientation", "CS", "2", ["X", "Y"], []),
        ("PatientOrientation", "CS", "2", ["L"], []),
        ("ImagerPixelSpacing", "DS", "2", ["0.1"], []),
        ("ImagerPixelSpacing", "DS", "2", ["0.1", "0"], []),
        ("PatientSex", "CS", "1", ["f"], ["F"]),
        ("PatientSex", "CS", "1", ["W"], []),
        ("PregnancyStatus", "US", "1", ["4"], ["4"]),
        ("PregnancyStatus", "US", "1", ["9"], []),
        ("TimezoneOffsetFromUTC", "SH", "1", ["+0530"], ["+0530"]),
        ("TimezoneOffsetFromUTC", "SH", "1", ["+1500"], []),
    ],
)  # fmt: skip
def test_an_attribute_has_rules_of_its_own(
    keyword: str, vr: str, vm: str, given: list[str], wanted: list[str]
) -> None:
    assert cleaned(keyword, vr, vm, given) == wanted


@pytest.mark.parametrize(
    ("names", "encoded", "wanted"),
    [
        (None, b"M\xfcller", "Müller"),
        ("ISO_IR 192", "Müller 山".encode(), "Müller 山"),
        ("iso-ir 192", "Müller".encode(), "Müller"),
        ("ISO_IR 192", b"M\xfcller", f"M{UNEXPLAINED}ller"),
        ("utf-8", "Müller".encode(), "Müller"),
        ("\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B", "山田"),
        ("KLINGON", b"Miller", "Miller"),
        ("KLINGON", b"M\xfcller", f"M{UNEXPLAINED}ller"),
        ("hex", b"abcd", "abcd"),
        ("idna", b"M\xfcller", UNEXPLAINED),
        ("ISO_IR 192\\ISO 2022 IR 87", "Müller".encode(), "Müller"),
    ],
)
def test_only_what_a_character_set_explains_is_decoded(
    names: str | None, encoded: bytes, wanted: str
) -> None:
    ds = Dataset()
    if names is not None:
        ds["SpecificCharacterSet"] = raw("SpecificCharacterSet", names)
    assert Charset.of(ds).decode(encoded) == wanted


def test_an_item_without_a_character_set_has_that_of_its_data_set() -> None:
    outer = Charset(encodings=("iso8859_5",))
    assert Charset.of(Dataset(), outer) == outer
