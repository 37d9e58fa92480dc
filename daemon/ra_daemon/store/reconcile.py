"""Do rows, files and counts agree? Each discrepancy has a code, a number and a remedy."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ra_daemon.domain import DeliveryState, JobState, Lane
from ra_daemon.store import held, status, studies
from ra_daemon.store.clock import Clock, database_now
from ra_daemon.store.engine import reading
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.tables import (
    delivery,
    dicom_object,
    header_change,
    instance,
    job,
    outcome,
    removal,
    report,
)

REMEDIES: Mapping[str, str] = {
    "sums_differ": "ra-daemon backup, then report it: an image is in no state.",
    "inbox_leftovers": "Look for admit in the log; a node with the part receive must run.",
    "inbox_unreadable": "Mend the disk or the file's rights (inbox.file_held in the log says why), "
    "or move it out of inbox/ by hand; it is tried again.",
    "jobs_stuck": "Start a node with the part score; ra-daemon jobs list --state leased.",
    "jobs_waiting": "Scoring is too slow or stands still: more scoring.workers, or doctor.",
    "jobs_failed": "ra-daemon jobs list --state failed; mend the cause; ra-daemon jobs retry.",
    "reports_failed": "Look for report.failed in the log; mend the cause; ra-daemon jobs retry.",
    "reports_waiting": "Start a node with the part deliver.",
    "deliveries_waiting": "ra-daemon echo PEER: it takes nothing since an hour.",
    "deliveries_parked": "ra-daemon jobs deliveries --state parked; mend the cause; "
    "ra-daemon jobs retry, or give-up.",
    "removals_waiting": "Purged files are still there: let the daemon's user write objects/.",
    "hands_of_two_patients": "A study names two patients or two dates: its hands make no total. "
    "Correct the header at its source, send the images again, retract a total made before.",
    "rows_without_files": "Restore objects/ from a backup; ask the sender to send the image again.",
    "files_without_rows": "A few: left by a crash, look at them, then delete them by hand. Many: "
    "this database is not the one of this store; delete nothing, ra-daemon restore.",
}
"""Every code, and what to do."""

SETTLING = timedelta(minutes=10)
"""Younger things may just be under way."""

WAITING = timedelta(hours=1)
_NAMED = 5
_FILE = "reconcile.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """What does not agree. ``examples``: numbers of rows or names of files, no patient data."""

    code: str
    number: int
    examples: tuple[str, ...] = ()

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES[self.code]

    def told(self) -> dict[str, Any]:
        """All of it as JSON takes it."""
        return {**asdict(self), "examples": list(self.examples), "remedy": self.remedy}


def rows(
    engine: sa.Engine, objects: ObjectStore, *, clock: Clock = database_now
) -> list[Discrepancy]:
    """What rows and the inbox tell; cheap enough for every call of status."""
    with reading(engine) as conn:
        now = clock(conn)
        found = [*_row_checks(conn, now)]
    unaccounted = status.snapshot(engine)["unaccounted"]
    if unaccounted:
        found.append(Discrepancy(code="sums_differ", number=abs(unaccounted)))
    unreadable = held.load(objects)
    found += _named("inbox_unreadable", unreadable)
    left = (p.name for p in _old(objects.inbox_files()) if p.name not in unreadable)
    found += _named("inbox_leftovers", left)
    return sorted(found, key=lambda d: d.code)


def files(engine: sa.Engine, objects: ObjectStore) -> list[Discrepancy]:
    """Compare every row's file with the folder ``objects/``, one look at each file, and the hands
    of each study with each other: too much for every call of status.
    """
    with reading(engine) as conn:
        wanted = {str(row.path): str(row.what) for row in conn.execute(_living())}
        known = set(wanted) | set(conn.execute(_others()).scalars())
        mixed = studies.mixed_studies(conn)
    there = _stored(objects)
    extra = _old(path for name, path in there.items() if name not in known)
    gone = (name for path, name in wanted.items() if path not in there)
    return [
        *_named("rows_without_files", gone),
        *_named("files_without_rows", (p.name for p in extra)),
        *_named("hands_of_two_patients", mixed),
    ]


def strays(engine: sa.Engine, objects: ObjectStore) -> list[Path]:
    """Files among the objects that no row names, however young; for a store at rest."""
    with reading(engine) as conn:
        known = {str(row.path) for row in conn.execute(_living())}
        known |= set(conn.execute(_others()).scalars())
    return [path for name, path in sorted(_stored(objects).items()) if name not in known]


def save(objects: ObjectStore, found: Iterable[Discrepancy]) -> None:
    """Keep the last comparison of files for status and metrics."""
    held = {"at": datetime.now(UTC).isoformat(), "found": [asdict(d) for d in found]}
    target = objects.root / "run" / _FILE
    scratch = target.with_suffix(".new")
    scratch.write_text(json.dumps(held))
    scratch.replace(target)


def last(root: Path) -> tuple[str, list[Discrepancy]]:
    """(moment, discrepancies) of the last comparison of files; "" when there was none."""
    try:
        held = json.loads((root / "run" / _FILE).read_text())
        found = [Discrepancy(**{**d, "examples": tuple(d["examples"])}) for d in held["found"]]
        return str(held["at"]), [d for d in found if d.code in REMEDIES]
    except (OSError, ValueError, KeyError, TypeError):
        return "", []


def _stored(objects: ObjectStore) -> dict[str, Path]:
    """Every file below ``objects/`` by its path relative to the root."""
    return {
        f"objects/{shard.name}/{entry.name}": entry
        for shard in (objects.root / "objects").iterdir()
        if shard.is_dir()
        for entry in shard.iterdir()
    }


def _row_checks(conn: sa.Connection, now: datetime) -> Iterator[Discrepancy]:
    scored = job.c.lane != int(Lane.SHADOW)
    soon = job.c.lane.in_([int(Lane.STAT), int(Lane.NORMAL)])
    pending = delivery.c.state.in_([DeliveryState.PENDING.value, DeliveryState.SENDING.value])
    checks: list[tuple[str, sa.Column[int], tuple[sa.ColumnElement[bool], ...]]] = [
        ("jobs_stuck", job.c.id,
         (job.c.state == JobState.LEASED.value, job.c.lease_until < now - SETTLING)),
        ("jobs_waiting", job.c.id,
         (job.c.state == JobState.QUEUED.value, soon, job.c.not_before < now - WAITING)),
        ("jobs_failed", job.c.id, (job.c.state == JobState.FAILED.value, scored)),
        ("reports_failed", report.c.id, (report.c.state == "failed",)),
        ("reports_waiting", report.c.id,
         (report.c.state == "due", report.c.created_at < now - WAITING)),
        ("deliveries_waiting", delivery.c.id, (pending, delivery.c.created_at < now - WAITING)),
        ("deliveries_parked", delivery.c.id, (delivery.c.state == DeliveryState.PARKED.value,)),
        ("removals_waiting", removal.c.id,
         (removal.c.done_at.is_(None), removal.c.marked_at < now - WAITING)),
    ]  # fmt: skip
    for code, column, which in checks:
        number = conn.execute(sa.select(sa.func.count(column)).where(*which)).scalar_one()
        if number:
            some = conn.execute(sa.select(column).where(*which).order_by(column).limit(_NAMED))
            yield Discrepancy(code=code, number=number, examples=tuple(map(str, some.scalars())))


def _living() -> sa.CompoundSelect[Any]:
    """(what, path) of every file that a row counts on."""
    alive = instance.c.purged_at.is_(None)
    return sa.union_all(
        _labelled("instance", instance.c.id, instance.c.path).where(alive),
        _labelled("header_change", header_change.c.id, header_change.c.path)
        .join(instance, instance.c.id == header_change.c.instance_id)
        .where(alive),
        _labelled("object", dicom_object.c.id, dicom_object.c.path).where(
            dicom_object.c.purged_at.is_(None)
        ),
    )


def _others() -> sa.CompoundSelect[Any]:
    """Paths that a row names and whose file may be there or not."""
    return sa.union_all(
        sa.select(outcome.c.heatmap_path).where(outcome.c.heatmap_path.is_not(None)),
        sa.select(removal.c.path).where(removal.c.done_at.is_(None)),
    )


def _labelled(what: str, number: sa.Column[int], path: sa.Column[str]) -> sa.Select[Any]:
    label = sa.literal(f"{what} ").op("||")(sa.cast(number, sa.Text()))
    return sa.select(label.label("what"), path.label("path"))


def _old(paths: Iterable[Path]) -> Iterator[Path]:
    """Those that nobody wrote for a while; a file that goes meanwhile is left out."""
    before = time.time() - SETTLING.total_seconds()
    for path in paths:
        try:
            if path.stat().st_mtime < before:
                yield path
        except FileNotFoundError:
            continue


def _named(code: str, names: Iterable[str]) -> list[Discrepancy]:
    found = sorted(names)
    if not found:
        return []
    return [Discrepancy(code=code, number=len(found), examples=tuple(found[:_NAMED]))]
