"""CSV files with other people's headers."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from ra_training.errors import TrainingError

Row = tuple[int, dict[str, str]]


def rows(path: Path) -> tuple[tuple[str, ...], list[Row]]:
    """Header and rows with their line numbers; cells are stripped, BOM and delimiter found out.

    Raises:
        TrainingError: no text table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            sample = stream.read(4096)
            stream.seek(0)
            head = sample.splitlines()[0] if sample else ""
            delimiter = max(",;\t", key=head.count)
            reader = csv.DictReader(stream, delimiter=delimiter, restkey="", restval="")
            header = tuple((h or "").strip() for h in reader.fieldnames or ())
            found = [
                (reader.line_num, {k.strip(): str(v).strip() for k, v in row.items() if k})
                for row in reader
            ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(
            code="table-unreadable",
            text=f"{path.name} is no table of UTF-8 text",
            hint="save it as CSV in UTF-8",
        ) from error
    if len(set(header)) != len(header):
        raise TrainingError(
            code="table-columns", text=f"{path.name} has two columns of one name", hint="rename one"
        )
    return header, found


def column(header: tuple[str, ...], names: Mapping[str, None] | tuple[str, ...]) -> str | None:
    """The header's own spelling of the first of ``names`` that it has."""
    known = {_bare(h): h for h in header}
    return next((known[_bare(n)] for n in names if _bare(n) in known), None)


def number(text: str, low: float, high: float) -> float:
    """A finite number within limits.

    Raises:
        ValueError: with a reason that a person understands.
    """
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text[:20]!r} is no number") from None
    if not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{text[:20]} is outside {low:g}-{high:g}")
    return value


def _bare(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())
