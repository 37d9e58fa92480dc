"""Character sets of a source: bytes to text, without a guess at what no set explains."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.valuerep import TEXT_VR_DELIMS

UNEXPLAINED = "\ufffd"
"""Stands in a text for bytes that its character set cannot explain."""

_SPELT = re.compile(r"ISO.?(2022)?.?IR.?([0-9]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Charset:
    """Python encodings of Specific Character Set, the first the one that text begins in."""

    encodings: tuple[str, ...]

    @classmethod
    def of(cls, ds: Dataset, outer: Charset | None = None) -> Charset:
        """The set of a data set, or that of the data set around it; ASCII where nobody knows it."""
        names = _names(ds)
        if not any(names):
            return outer or cls(encodings=tuple(convert_encodings("")))
        if not all(_known(n) for n in names):
            return cls(encodings=("ascii",))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a set that cannot be extended is used alone
            return cls(encodings=tuple(convert_encodings(names)))

    def decode(self, raw: bytes) -> str:
        """Text, with ``UNEXPLAINED`` for each fault."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the caller sees each fault in the text
                return str(decode_bytes(raw, self.encodings, TEXT_VR_DELIMS))
        except (UnicodeError, LookupError, ValueError):
            return UNEXPLAINED


def _names(ds: Dataset) -> list[str]:
    try:
        value = ds.get("SpecificCharacterSet")
    except Exception:  # noqa: BLE001 - an element that cannot be read names no set
        return [UNEXPLAINED]
    if value is None or isinstance(value, str):
        value = [value or ""]
    if not isinstance(value, Sequence):
        return [UNEXPLAINED]
    return [_corrected(str(v).strip()) for v in value]


def _corrected(name: str) -> str:
    """A defined term without its common misspellings: ISO-IR 100, iso_ir_192."""
    found = _SPELT.fullmatch(name.upper())
    if found is None:
        return name
    return f"ISO 2022 IR {found[2]}" if found[1] else f"ISO_IR {found[2]}"


def _known(name: str) -> bool:
    """Whether it is a defined term, or names an encoding as programs do: utf-8, latin1."""
    if name in python_encoding:
        return True
    try:
        return b"a".decode(name) == "a"
    except (UnicodeError, LookupError, ValueError):
        return False
