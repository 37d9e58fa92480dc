"""The table of a cohort: one row for each subject and visit, with the change from baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ra_daemon.cohort.readings import Reading, Readings
from ra_daemon.cohort.statistics import change_limits
from ra_daemon.cohort.visits import Visit, VisitMapping
from ra_daemon.errors import ConfigError

FIRST = "first"
_UNKNOWN = "unknown"
_SAME = ("hands", "bundle_digest", "preprocessing_digest", "engine", "precision", "level")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row; None where there is nothing to say. Fields are described in ``DICTIONARY``."""

    subject: str
    arm: str
    visit: str
    study_date: str = ""
    hands: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    units: str = ""
    band: int | None = None
    missing_reason: str = ""
    baseline_visit: str = ""
    change: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    below_detectable_change: int | None = None
    no_change_reason: str = ""
    bundle: str = ""
    bundle_version: str = ""
    bundle_digest: str = ""
    engine: str = ""
    precision: str = ""
    preprocessing_digest: str = ""
    source_sha256: str = ""
    demonstration: int | None = None


COLUMNS = tuple(f.name for f in fields(Row))
DICTIONARY: Mapping[str, str] = {
    "subject": "Subject as in the visit file.",
    "arm": "Arm as in the visit file, or empty.",
    "visit": "Visit as in the visit file.",
    "study_date": "Date of the study, YYYYMMDD.",
    "hands": "Hands that the value is about: both, left, right, or unknown (one, side not known).",
    "value": "Estimated radiographic joint damage (SvdH) of these hands, in score units.",
    "low": "Lower limit of the prediction interval of value.",
    "high": "Upper limit of the prediction interval of value.",
    "level": "Level of the interval, e.g. 0.9.",
    "units": "Units of value, UCUM.",
    "band": "Damage band, 1 is the lowest.",
    "missing_reason": "Why the visit has no value; empty when it has one.",
    "baseline_visit": "The visit that change refers to.",
    "change": "value minus the value at baseline_visit.",
    "change_low": "Lower limit of change: half-widths of both intervals added in quadrature.",
    "change_high": "Upper limit of change.",
    "below_detectable_change": "1 when the interval of change covers 0, else 0.",
    "no_change_reason": "Why no change is given; empty when it is.",
    "bundle": "Name of the model bundle.",
    "bundle_version": "Version of the model bundle.",
    "bundle_digest": "sha256 of the model bundle.",
    "engine": "Runtime, version and device that computed the value.",
    "precision": "Numeric precision of the graph.",
    "preprocessing_digest": "sha256 of the preprocessing specification.",
    "source_sha256": "sha256 of the radiograph's data set (the later one of an aggregate).",
    "demonstration": "1: computed by a demonstration model, not for any decision.",
}


def build_rows(mapping: VisitMapping, readings: Readings, baseline: str = FIRST) -> list[Row]:
    """The cohort's rows, sorted by subject and by the visits' order in the mapping.

    Args:
        mapping: which study is which visit.
        readings: what the database holds.
        baseline: a visit's name, or ``first``: each subject's earliest visit with a value.

    Raises:
        ConfigError: no visit has that name.
    """
    if baseline != FIRST and baseline not in mapping.order:
        raise ConfigError(
            f"No visit is named {baseline!r}.",
            hint=f"Choose {FIRST} or one of: {', '.join(mapping.order)}.",
        )
    by_subject: dict[str, list[Visit]] = defaultdict(list)
    for visit in sorted(mapping.visits, key=lambda v: (v.subject, mapping.order.index(v.visit))):
        by_subject[visit.subject].append(visit)
    rows: list[Row] = []
    for visits in by_subject.values():
        found = {v.visit: readings.of(v) for v in visits}
        base = _baseline_visit(visits, found, baseline)
        rows += [_row(v, found[v.visit], base, found.get(base)) for v in visits]
    return rows


def _baseline_visit(visits: list[Visit], found: Mapping[str, Reading | str], baseline: str) -> str:
    if baseline != FIRST:
        return baseline
    dated = [
        (reading.study_date, order, visit.visit)
        for order, visit in enumerate(visits)
        if isinstance(reading := found[visit.visit], Reading)
    ]
    return min(dated)[2] if dated else ""


def _row(visit: Visit, reading: Reading | str, base_visit: str, base: Reading | str | None) -> Row:
    known: dict[str, Any] = {
        "subject": visit.subject,
        "arm": visit.arm,
        "visit": visit.visit,
        "study_date": visit.study_date,
        "baseline_visit": base_visit,
    }
    if isinstance(reading, str):
        return Row(**known, missing_reason=reading, no_change_reason="no_value")
    known |= asdict(reading)
    known["demonstration"] = int(reading.demonstration)
    reason = _no_change(visit.visit, reading, base_visit, base)
    if reason or not isinstance(base, Reading):
        return Row(**known, no_change_reason=reason)
    return Row(**known, **_change(reading, base))


def _no_change(visit: str, reading: Reading, base_visit: str, base: Reading | str | None) -> str:
    if visit == base_visit:
        return "is_baseline"
    if not isinstance(base, Reading):
        return "no_baseline_value"
    if _UNKNOWN in (reading.hands, base.hands):  # two images of one hand may show another one each
        return "unknown_hand"
    for name in _SAME:
        if getattr(reading, name) != getattr(base, name):
            return f"other_{name}"
    if None in (reading.low, reading.high, base.low, base.high):
        return "no_interval"
    return ""


def _change(reading: Reading, base: Reading) -> dict[str, Any]:
    limits = [float(v) for v in (reading.low, reading.high, base.low, base.high) if v is not None]
    low, high = change_limits(
        reading.value, (limits[0], limits[1]), base.value, (limits[2], limits[3])
    )
    return {
        "change": reading.value - base.value,
        "change_low": low,
        "change_high": high,
        "below_detectable_change": int(low <= 0 <= high),
    }
