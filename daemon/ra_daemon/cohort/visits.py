"""Which study is which subject's visit: a CSV that the data manager writes.

Columns: ``subject``, ``visit``, and either ``accession_number`` or ``patient_id`` with
``study_date`` (YYYYMMDD or YYYY-MM-DD); ``arm`` is optional. A row with both names the study twice,
and the images must agree with each. One with none states a visit that was planned and has no study.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ra_daemon.errors import ConfigError

HINT = (
    "Write a CSV with the columns subject, visit, and patient_id with study_date (YYYY-MM-DD) or "
    "accession_number; arm may follow."
)
_KNOWN = frozenset({"subject", "visit", "patient_id", "study_date", "accession_number", "arm"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One row. ``study_date`` as YYYYMMDD; keys are "" when not given."""

    line: int
    subject: str
    visit: str
    patient_id: str = ""
    study_date: str = ""
    accession_number: str = ""
    arm: str = ""

    @property
    def key(self) -> tuple[str, ...] | None:
        """What names the study: (accession number,) or (patient ID, date); None: no study."""
        if self.accession_number:
            return (self.accession_number,)
        if self.patient_id:
            return self.patient_id, self.study_date
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitMapping:
    """All rows of a file, and the visits' names in the order in which the file first names them.

    ``sha256`` is of the file as it was read.
    """

    visits: tuple[Visit, ...]
    order: tuple[str, ...]
    sha256: str

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects, sorted."""
        return tuple(sorted({v.subject for v in self.visits}))


def read_mapping(path: Path) -> VisitMapping:
    """Read and check a mapping.

    Raises:
        ConfigError: the file cannot be read, or rows are incomplete or contradict each other; the
            message lists every line at fault.
    """
    try:
        content = path.read_bytes()
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        columns = [str(c).strip() for c in reader.fieldnames or ()]
        _check_columns(columns)
        reader.fieldnames = columns
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"The visit file cannot be read: {error}", hint=HINT) from error
    visits: list[Visit] = []
    faults: list[str] = []
    for line, row in rows:
        if not any(isinstance(v, str) and v.strip() for v in row.values()):
            continue
        try:
            visits.append(_visit(line, row))
        except ValueError as error:
            faults.append(f"line {line}: {error}")
    faults += _contradictions(visits)
    if not visits and not faults:
        faults.append("no rows")
    if faults:
        raise ConfigError("The visit file has faults: " + "; ".join(faults), hint=HINT)
    order = tuple(dict.fromkeys(v.visit for v in visits))
    digest = hashlib.sha256(content).hexdigest()
    return VisitMapping(visits=tuple(visits), order=order, sha256=digest)


def _check_columns(columns: list[str]) -> None:
    missing = {"subject", "visit"} - set(columns)
    unknown = set(columns) - _KNOWN
    twice = {c for c in columns if columns.count(c) > 1}
    keyed = "accession_number" in columns or {"patient_id", "study_date"} <= set(columns)
    faults = [
        f"{what} {', '.join(sorted(names))}"
        for what, names in (
            ("missing column", missing),
            ("unknown column", unknown),
            ("twice", twice),
        )
        if names
    ]
    if not keyed:
        faults.append("neither accession_number nor patient_id with study_date")
    if faults:
        raise ConfigError("The visit file has faults: line 1: " + "; ".join(faults), hint=HINT)


def _visit(line: int, row: Mapping[str | None, object]) -> Visit:
    if None in row:
        raise ValueError("more cells than columns")
    cells = {str(k): (v.strip() if isinstance(v, str) else "") for k, v in row.items()}
    for name in ("subject", "visit"):
        if not cells[name]:
            raise ValueError(f"{name} is empty")
    patient, day = cells.get("patient_id", ""), cells.get("study_date", "")
    if not cells.get("accession_number") and bool(patient) != bool(day):
        raise ValueError("patient_id and study_date belong together")
    return Visit(line=line, **{**cells, "study_date": _date(day) if day else ""})


def _date(text: str) -> str:
    try:
        return date.fromisoformat(text).strftime("%Y%m%d")
    except ValueError:
        raise ValueError("study_date is no date: write YYYY-MM-DD") from None


def _contradictions(visits: list[Visit]) -> list[str]:
    faults: list[str] = []
    seen: dict[tuple[str, ...], int] = {}
    arms: dict[str, Visit] = {}
    for v in visits:
        first = seen.setdefault(("visit", v.subject, v.visit), v.line)
        if first != v.line:
            faults.append(f"line {v.line}: this subject's visit is on line {first} already")
        if v.key is not None:
            first = seen.setdefault(("study", *v.key), v.line)
            if first != v.line:
                faults.append(f"line {v.line}: this study is on line {first} already")
        known = arms.setdefault(v.subject, v)
        if known.arm != v.arm:
            faults.append(f"line {v.line}: another arm than on line {known.line}")
    return faults
