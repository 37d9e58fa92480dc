"""CSV files with other people's headers."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ra_training.data.report import Account
from ra_training.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A header, the rows that fit it, and those that do not.

    Attributes:
        rows: line number, column -> cell; odd: line number, number of cells.
    """

    header: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]
    odd: list[tuple[int, int]]

    def refuse_odd(self, account: Account, path: Path) -> None:
        """A row of more or fewer cells has them in columns that nobody can tell: no sample."""
        for line, count in self.odd:
            account.refuse(
                f"{account.name(path)}:{line}", "row-width",
                f"{count} cells under {len(self.header)} columns",
                "quote a cell that holds the separator; write every cell, empty ones too",
            )  # fmt: skip

    def note_unread(self, account: Account, path: Path, read: Iterable[str | None]) -> None:
        """Name the columns of which nothing is taken."""
        taken = set(read)
        left = [h or "(no name)" for h in self.header if h not in taken]
        if left:
            account.note(f"{account.name(path)}: columns not read: {', '.join(left)}")


def rows(path: Path) -> Table:
    """Cells are stripped, BOM and delimiter found out; lines without a cell are no rows.

    Raises:
        TrainingError: no text table, or two columns of one name, be it in other letters.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            sample = stream.read(4096)
            stream.seek(0)
            head = sample.splitlines()[0] if sample else ""
            delimiter = max(",;\t", key=head.count)
            reader = csv.reader(stream, delimiter=delimiter)
            header = tuple(h.strip() for h in next(reader, []))
            lines = [(reader.line_num, [c.strip() for c in cells]) for cells in reader if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(
            code="table-unreadable",
            text=f"{path.name} is no table of UTF-8 text",
            hint="save it as CSV in UTF-8",
        ) from error
    if len({h.casefold() for h in header}) != len(header):
        raise TrainingError(
            code="table-columns", text=f"{path.name} has two columns of one name", hint="rename one"
        )
    width = len(header)
    return Table(
        header=header,
        rows=[
            (line, dict(zip(header, cells, strict=True)))
            for line, cells in lines
            if len(cells) == width
        ],
        odd=[(line, len(cells)) for line, cells in lines if len(cells) != width],
    )


def column(header: tuple[str, ...], names: Mapping[str, None] | tuple[str, ...]) -> str | None:
    """The header's own spelling of the first of ``names`` that it has."""
    known = {bare(h): h for h in header}
    return next((known[bare(n)] for n in names if bare(n) in known), None)


def number(text: str, low: float, high: float) -> float:
    """A finite number within limits.

    Raises:
        ValueError: with a reason that a person understands.
    """
    try:
        value = float("" if "_" in text else text)  # Python takes 12_5 for 125
    except ValueError:
        raise ValueError(f"{text[:20]!r} is no number") from None
    if not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{text[:20]} is outside {low:g}-{high:g}")
    return value


def bare(text: str) -> str:
    """Letters and digits of a name, in small letters: what two spellings of it share."""
    return "".join(c for c in text.lower() if c.isalnum())
