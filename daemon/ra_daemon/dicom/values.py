"""Values by their representation: kept, mended where the meaning is plain, else blanked.

A text is mended: a backslash or control character becomes a space, what is too long is cut. An
identifier is not: half of one is another's. Every function takes and gives text, "" for blank.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time

from pydicom.valuerep import format_number_as_ds

from ra_daemon.dicom.charset import UNEXPLAINED

MULTILINE = frozenset({"LT", "ST", "UT"})
"""Representations in which a backslash separates nothing."""

_LENGTH = {"SH": 16, "LO": 64, "UC": 1024, "ST": 1024, "LT": 10240, "UT": 10240}
_IDENTIFIERS = ("ID", "Number", "CodeValue", "Designator", "Version", "Code")
_BREAKS = "\n\f\r"
_PN_GROUP, _PN_GROUPS, _PN_COMPONENTS = 64, 3, 5

_DATE = re.compile(r"([0-9]{4})(\.?)([0-9]{2})\2([0-9]{2})")  # with dots as before 1993
_TIME = re.compile(r"([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2})(\.[0-9]{1,6})?)?)?")
_MOMENT = re.compile(r"([0-9]{4}(?:[0-9]{2}){0,5})(\.[0-9]{1,6})?([+-][0-9]{4})?")
_AGE = re.compile(r"[0-9]{1,3}[DWMY]")
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_UID = re.compile(r"(?=.{1,64}\Z)[12](?:\.(?:0|[1-9][0-9]*))+")
_ORIENTATION = re.compile(r"[APRLHF]{1,3}")

_LEAP, _LAST = "60", "59"  # a leap second is written as the one before it: readers refuse it

_YES_NO = frozenset({"YES", "NO"})
_TERMS: Mapping[str, frozenset[str]] = {
    "PatientSex": frozenset({"M", "F", "O"}),
    "TypeOfPatientID": frozenset({"TEXT", "RFID", "BARCODE"}),
    "QualityControlSubject": _YES_NO,
    "PatientIdentityRemoved": _YES_NO,
    "SmokingStatus": _YES_NO | {"UNKNOWN"},
    "PregnancyStatus": frozenset("1234"),
    "UniversalEntityIDType": frozenset({"DNS", "EUI64", "ISO", "URI", "UUID", "X400", "X500"}),
}
"""Enumerated values: any other is invalid, however well it is formed."""


def cleaned(keyword: str, vr: str, vm: str, given: Sequence[str]) -> list[str]:
    """The values of an attribute; [] when it must be blank.

    Args:
        keyword: of the attribute.
        vr: its representation by the dictionary, whatever the file calls it.
        vm: its multiplicity by the dictionary: "1", "2", "1-n".
        given: what came.
    """
    if vm == "1" and len(given) > 1:
        if vr not in ("PN", "LO", "SH", "UC"):
            return []
        given = ["\\".join(given)]
    found = [_value(keyword, vr, text) for text in given]
    if vm.isdigit() and int(vm) > 1:
        return found if len(found) == int(vm) and all(found) else []
    return [v for v in found if v]


def _value(keyword: str, vr: str, text: str) -> str:
    """One value of an attribute."""
    if any(unexplained(c) for c in text):
        return ""
    if vr in _FORMS:
        value = _FORMS[vr](text.strip(" \0"))
    elif vr == "PN":
        value = _name(text)
    elif vr in _LENGTH:
        value = _text(keyword, vr, text.rstrip(" \0"))
    else:
        value = ""
    return value if value and _allowed(keyword, value) else ""


def unexplained(character: str) -> bool:
    """Whether it is a sign that the text was decoded with a wrong character set."""
    if character in (UNEXPLAINED, "\x1b"):
        return True
    return character > "\x7e" and unicodedata.category(character) in ("Cc", "Cs")


def _allowed(keyword: str, value: str) -> bool:
    """What the attribute itself asks for, beyond its representation."""
    if keyword in _TERMS:
        return value in _TERMS[keyword]
    if keyword == "PatientOrientation":
        return _ORIENTATION.fullmatch(value) is not None
    if keyword == "ImagerPixelSpacing":
        return float(value) > 0
    if keyword == "TimezoneOffsetFromUTC":
        return _zone(value)
    return True


def _text(keyword: str, vr: str, text: str) -> str:
    kept = _BREAKS if vr in MULTILINE else ""
    line = "".join(c if c in kept or (c >= " " and c != "\x7f") else " " for c in text)
    if vr not in MULTILINE:
        line = line.replace("\\", " ")
    if keyword.endswith(_IDENTIFIERS):
        return text if text == line and len(text) <= _LENGTH[vr] else ""
    return line[: _LENGTH[vr]].rstrip()


def _name(text: str) -> str:
    """Up to three groups of at most five components and 64 characters."""
    line = "".join(c if c >= " " and c not in "\x7f\\" else " " for c in text)
    groups = []
    for group in line.split("=")[:_PN_GROUPS]:
        parts = group.split("^")
        parts[_PN_COMPONENTS - 1 :] = [" ".join(parts[_PN_COMPONENTS - 1 :])]
        groups.append("^".join(p.strip() for p in parts)[:_PN_GROUP].rstrip(" ^"))
    return "=".join(groups).rstrip("=")


def _date(text: str) -> str:
    found = _DATE.fullmatch(text)
    if found is None:
        return ""
    year, _, month, day = found.groups()
    return year + month + day if _exists(year, month, day) else ""


def _time(text: str) -> str:
    found = _TIME.fullmatch(text)
    if found is None or not _ticks(*found.groups()[:3]):
        return ""
    hour, minute, second, fraction = (part or "" for part in found.groups())
    return hour + minute + (_LAST if second == _LEAP else second) + fraction


def _moment(text: str) -> str:
    found = _MOMENT.fullmatch(text)
    if found is None:
        return ""
    digits, fraction, zone = found.groups()
    month, day, *clock = [digits[i : i + 2] or None for i in range(4, 14, 2)]
    real = _exists(digits[:4], month or "01", day or "01") and _ticks(clock[0] or "00", *clock[1:])
    whole = fraction is None or len(digits) == 14
    if not (real and whole and (zone is None or _zone(zone))):
        return ""
    return text[:12] + _LAST + text[14:] if clock[2] == _LEAP else text


def _exists(year: str, month: str, day: str) -> bool:
    """Whether the calendar has this day."""
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _ticks(hour: str, minute: str | None, second: str | None) -> bool:
    """Whether the clock shows this time, or would in a leap second."""
    try:
        time(int(hour), int(minute or 0), int(_LAST if second == _LEAP else second or 0))
    except ValueError:
        return False
    return True


def _zone(text: str) -> bool:
    """Whether it is an offset from UTC between -1200 and +1400."""
    if re.fullmatch(r"[+-][0-9]{4}", text) is None or text == "-0000":
        return False
    return -1200 <= int(text) <= 1400 and int(text[3:]) < 60


def _age(text: str) -> str:
    return text.upper().zfill(4) if _AGE.fullmatch(text.upper()) else ""


def _code(text: str) -> str:
    return text.upper() if text.isascii() and _CODE.fullmatch(text.upper()) else ""


def _decimal(text: str) -> str:
    if _DECIMAL.fullmatch(text) is None or not math.isfinite(float(text)):
        return ""
    return text if len(text) <= 16 else str(format_number_as_ds(float(text)))


def _uid(text: str) -> str:
    return text if _UID.fullmatch(text) else ""


def _short(text: str) -> str:
    return text if text.isdigit() and text.isascii() and int(text) < 1 << 16 else ""


def _double(text: str) -> str:
    try:
        return text if math.isfinite(float(text)) else ""
    except ValueError:
        return ""


_FORMS: Mapping[str, Callable[[str], str]] = {
    "DA": _date, "TM": _time, "DT": _moment, "AS": _age, "CS": _code, "DS": _decimal, "UI": _uid,
    "US": _short, "FD": _double,
}  # fmt: skip
