"""Elements of a dirty data set as plain values: whatever is malformed counts as absent."""

from __future__ import annotations

from typing import Any

from pydicom import Dataset

_MAX_TEXT = 512  # characters; no value representation that we keep allows more than 64 or 1024


def values(ds: Dataset, keyword: str) -> list[Any]:
    """Every value of an element; none where it is absent, empty or malformed."""
    try:
        value = ds.get(keyword)
    except Exception:  # noqa: BLE001 - a malformed element counts as absent
        return []
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]


def text(ds: Dataset, keyword: str) -> str:
    """A value as text that every database takes: no NUL, no lone surrogate, of bounded length."""
    joined = "\\".join(str(v) for v in values(ds, keyword)).replace("\0", "")
    return joined.encode("utf-8", "replace").decode()[:_MAX_TEXT].strip()


def number(ds: Dataset, keyword: str) -> int:
    """The first value as a whole number, else 0."""
    try:
        return int(values(ds, keyword)[0])
    except (IndexError, TypeError, ValueError):
        return 0


def floats(ds: Dataset, keyword: str) -> list[float]:
    """The values as numbers; none where one of them is not."""
    try:
        return [float(v) for v in values(ds, keyword)]
    except (TypeError, ValueError):
        return []
