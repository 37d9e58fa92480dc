"""Write a cohort: table, missing visits, statistics, data dictionary and a manifest over them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ra_daemon import __version__
from ra_daemon.cohort import statistics
from ra_daemon.cohort.readings import load_readings
from ra_daemon.cohort.table import COLUMNS, DICTIONARY, FIRST, Row, build_rows
from ra_daemon.cohort.visits import VisitMapping
from ra_daemon.errors import ConfigError, StoreError
from ra_daemon.faults import of_database
from ra_daemon.store import audit, schema
from ra_daemon.store.engine import open_engine, read_only
from ra_daemon.store.query import write_csv, write_parquet

MANIFEST = "manifest.json"
_MISSING = ("subject", "arm", "visit", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Who froze this snapshot, and why; an export without a lock is marked DRAFT.

    It is a row of the audit trail too, which holds the sha256 of the manifest: no patient data.
    """

    who: str
    why: str


def export_cohort(
    url: str,
    mapping: VisitMapping,
    out: Path,
    baseline: str = FIRST,
    *,
    lock: Lock | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Write the cohort into a new or empty folder.

    Files: ``cohort.csv``, ``cohort.parquet``, ``missing_visits.csv``, ``statistics.json``,
    ``dictionary.json`` and ``manifest.json``. The same database and mapping give the same bytes,
    but for the time in the manifest.

    Returns:
        The manifest.

    Raises:
        ConfigError: no visit is named ``baseline``, or ``out`` is not empty.
        StoreError: the database cannot be read, the files cannot be written, or the lock cannot be
            put into the audit trail; there is no manifest then.
    """
    rows = build_rows(mapping, load_readings(url), baseline)
    missing = [r for r in rows if r.missing_reason] + _unplanned(mapping, rows)
    missing.sort(key=lambda r: (r.subject, mapping.order.index(r.visit)))
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty.", hint="Name a new folder.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write(out, rows, missing)
        manifest = _manifest(out, rows, missing, baseline, lock, now or datetime.now(UTC))
        manifest |= _inputs(url, mapping)
        _seal(url, out, manifest, lock)
    except OSError as error:
        raise StoreError(f"The export cannot be written: {error.strerror}.") from error
    return manifest


def verify_export(folder: Path) -> list[str]:
    """Names of files that are missing, changed or not listed; empty when all is well.

    Raises:
        StoreError: there is no readable manifest.
    """
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError("The export has no readable manifest.") from error
    there = {p.name for p in folder.iterdir() if p.name != MANIFEST}
    changed = {n for n in there & set(listed) if _sha256(folder / n) != listed[n]["sha256"]}
    return sorted(changed | (there ^ set(listed)))


def manifest_sha256(folder: Path) -> str:
    """Hash of an export's manifest: that of a locked one is in the audit trail."""
    return _sha256(folder / MANIFEST)


def _write(out: Path, rows: Sequence[Row], missing: Sequence[Row]) -> None:
    table = [astuple(r) for r in rows]
    with (out / "cohort.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv(COLUMNS, table, file)
    write_parquet(COLUMNS, table, out / "cohort.parquet")
    with (out / "missing_visits.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv(_MISSING, [(r.subject, r.arm, r.visit, r.missing_reason) for r in missing], file)
    _write_json(out / "statistics.json", _statistics(rows))
    _write_json(out / "dictionary.json", {c: DICTIONARY[c] for c in COLUMNS})


def _statistics(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Change from baseline by arm, visit and hands, the order of the groups being sorted."""
    dates = {(r.subject, r.visit): r.study_date for r in rows}
    groups: dict[tuple[str, str, str], list[tuple[float, float | None]]] = {}
    for row in rows:
        if row.change is not None:
            years = _years(dates.get((row.subject, row.baseline_visit), ""), row.study_date)
            groups.setdefault((row.arm, row.visit, row.hands), []).append((row.change, years))
    found = []
    for (arm, visit, hands), pairs in sorted(groups.items()):
        changes = [change for change, _ in pairs]
        spans = [years for _, years in pairs if years is not None]
        summary = statistics.summarise(changes)
        rates = statistics.progressor_rates(
            changes, years=spans if len(spans) == len(changes) else None
        )
        found.append(
            {
                "arm": arm,
                "visit": visit,
                "hands": hands,
                "change": asdict(summary) | {"iqr": summary.iqr},
                "rates": asdict(rates),
                "cumulative_probability": statistics.cumulative_probability(changes),
            }
        )
    return found


def _years(start: str, end: str) -> float | None:
    """Years between two dates YYYYMMDD; None when unknown or not positive."""
    try:
        days = (date.fromisoformat(end) - date.fromisoformat(start)).days
    except ValueError:
        return None
    return days / 365.25 if days > 0 else None


def _unplanned(mapping: VisitMapping, rows: Sequence[Row]) -> list[Row]:
    """Visits that other subjects have and the mapping does not name for this one."""
    there = {(r.subject, r.visit) for r in rows}
    arms = {r.subject: r.arm for r in rows}
    return [
        Row(subject=s, arm=arms[s], visit=v, missing_reason="not_in_file")
        for s in mapping.subjects
        for v in mapping.order
        if (s, v) not in there
    ]


def _manifest(
    out: Path,
    rows: Sequence[Row],
    missing: Sequence[Row],
    baseline: str,
    lock: Lock | None,
    now: datetime,
) -> dict[str, Any]:
    digests = sorted({(r.bundle, r.bundle_version, r.bundle_digest) for r in rows if r.bundle})
    counts = {
        "rows": len(rows),
        "with_value": sum(r.value is not None for r in rows),
        "with_change": sum(r.change is not None for r in rows),
        "missing_visits": len(missing),
        "subjects": len({r.subject for r in rows}),
    }
    return {
        "format": 1,
        "status": "DRAFT" if lock is None else "LOCKED",
        "lock": None if lock is None else asdict(lock),
        "created_at": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "baseline": baseline,
        "counts": counts,
        "demonstration": any(r.demonstration for r in rows),
        "bundles": [dict(zip(("name", "version", "digest"), d, strict=True)) for d in digests],
        "files": {
            p.name: {"sha256": _sha256(p), "bytes": p.stat().st_size} for p in sorted(out.iterdir())
        },
    }


def _inputs(url: str, mapping: VisitMapping) -> dict[str, Any]:
    """What the tables were made from and by: with the bundles, all that they depend on."""
    engine = read_only(url)
    try:
        revision, _program = schema.revisions(engine)
    finally:
        engine.dispose()
    return {
        "program": {"name": "ra-daemon", "version": __version__, "database": revision},
        "visits": {"sha256": mapping.sha256, "rows": len(mapping.visits)},
    }


def _seal(url: str, out: Path, manifest: dict[str, Any], lock: Lock | None) -> None:
    """Write the manifest last; that of a lock together with its row in the audit trail."""
    text = _json(manifest)
    if lock is None:
        _write_last(out, text)
        return
    digest = hashlib.sha256(text.encode()).hexdigest()
    new = f"manifest {digest}, {manifest['counts']['rows']} rows"
    engine = open_engine(url)
    try:
        with engine.begin() as conn:
            audit.append(conn, who=lock.who, what="cohort.lock", new=new, why=lock.why)
            _write_last(out, text)
    except sa.exc.DatabaseError as error:
        (out / MANIFEST).unlink(missing_ok=True)
        raise of_database(error.orig or error) from error
    finally:
        engine.dispose()


def _write_last(out: Path, manifest: str) -> None:
    (out / MANIFEST).write_text(manifest, encoding="utf-8")
    for path in (*out.iterdir(), out):
        _sync(path)


def _write_json(path: Path, value: object) -> None:
    path.write_text(_json(value), encoding="utf-8")


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
