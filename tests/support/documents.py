"""What the measurement groups of a structured report say, as a reader would find it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset


@dataclass(frozen=True, slots=True)
class Group:
    """One measurement group (TID 1501)."""

    item: Dataset

    def of(self, kind: str) -> list[Dataset]:
        """Its direct children of a value type."""
        return [i for i in self.item.ContentSequence if i.ValueType == kind]

    @property
    def name(self) -> str:
        """Its tracking identifier."""
        return next(i.TextValue for i in self.of("TEXT") if _code(i) == "112039")

    @property
    def images(self) -> list[str]:
        """SOP instance UIDs that the group cites."""
        return [_uid(i) for i in self.of("IMAGE")]

    @property
    def images_of_numbers(self) -> list[list[str]]:
        """SOP instance UIDs that each of its numbers was inferred from."""
        return [[_uid(i) for i in n.ContentSequence if i.ValueType == "IMAGE"] for n in self.nums]

    @property
    def nums(self) -> list[Dataset]:
        """Its numbers."""
        return self.of("NUM")

    @property
    def shares(self) -> list[float]:
        """Probabilities of bands, in their order."""
        return [_value(n) for n in self.nums if _code(n).startswith("RA0103-")]

    @property
    def coded(self) -> list[str]:
        """Meanings of its coded values."""
        return [i.ConceptCodeSequence[0].CodeMeaning for i in self.of("CODE")]

    @property
    def texts(self) -> list[str]:
        """Its texts under names of our own scheme."""
        return [i.TextValue for i in self.of("TEXT") if _code(i).startswith("RA")]

    @property
    def laterality(self) -> str:
        """Side of its finding site, "" when none is given."""
        sites = [i for i in self.of("CODE") if _code(i) == "363698007"]
        found = [c for s in sites for c in s.get("ContentSequence", [])]
        return str(found[0].ConceptCodeSequence[0].CodeMeaning) if found else ""

    def number(self, code: str) -> float:
        """The number of a concept."""
        (found,) = [n for n in self.nums if _code(n) == code]
        return _value(found)


def groups_of(report: Dataset) -> list[Group]:
    """The measurement groups in their order."""
    return [Group(i) for i in walk(report) if i.ValueType == "CONTAINER" and _code(i) == "125007"]


def walk(item: Dataset) -> Iterator[Dataset]:
    """All content items below ``item``."""
    for child in item.get("ContentSequence", []):
        yield child
        yield from walk(child)


def own_codes(report: Dataset) -> dict[str, set[str]]:
    """Meanings of every code of our scheme, by value, names and values alike."""
    found: dict[str, set[str]] = {}
    for item in walk(report):
        for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
            for code in item.get(keyword, []):
                if code.CodingSchemeDesignator == "99RADAEMON":
                    found.setdefault(str(code.CodeValue), set()).add(str(code.CodeMeaning))
    return found


def _code(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def _uid(item: Dataset) -> str:
    return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def _value(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)
