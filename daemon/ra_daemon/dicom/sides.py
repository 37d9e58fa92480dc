"""Which hand the tags say an image shows, and whether they contradict each other."""

from __future__ import annotations

from collections.abc import Iterable

from ra_daemon.dicom.anatomy import side_in
from ra_engine.types import Side

BOTH = "both"
"""Source of a side that the tags give as both: no side."""

CONFLICT = "conflict"
"""Source of a side that the tags dispute: no side."""

MARKER = "marker"
"""Source of a side that a lead letter gives, where no tag does."""

_SIDES = {"L": Side.LEFT, "R": Side.RIGHT}


def described_side(described: str) -> Side:
    """The side that a description names; UNKNOWN where it names none or both."""
    return _SIDES.get(side_in(described), Side.UNKNOWN)


def side_of(stated: Iterable[tuple[str, str]], described: str) -> tuple[Side, str]:
    """The side and its source.

    Args:
        stated: (attribute, value) pairs of laterality attributes, the most trusted first.
        described: series description and protocol name; these only contradict, for a preset
            named after one hand is easily left on for the other.

    Returns:
        (side, name of the attribute), (UNKNOWN, ``BOTH``), (UNKNOWN, ``CONFLICT``), or
        (UNKNOWN, "") when nothing is said.
    """
    given = [(name, value.upper()) for name, value in stated if value.upper() in ("L", "R", "B")]
    letters = {value for _, value in given}
    words = side_in(described)
    if len(letters) > 1 or (letters and words and letters != {words} and letters != {"B"}):
        return Side.UNKNOWN, CONFLICT
    if not given:
        return Side.UNKNOWN, ""
    name, letter = given[0]
    return (_SIDES[letter], name) if letter in _SIDES else (Side.UNKNOWN, BOTH)
