"""Which received images may lose their file, and the marks that say so.

Order: the rows are marked and the files listed in ``removal``, in one audited transaction; only
then ``removals.finish`` unlinks them. A crash in between leaves a list that the next start works
off. A row is never deleted: it tells when its file went and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from ra_daemon.store import audit
from ra_daemon.store.blocks import blocked
from ra_daemon.store.clock import Clock, database_now
from ra_daemon.store.engine import reading
from ra_daemon.store.tables import dicom_object, header_change, instance, outcome, removal

BATCH = 500
GRACE = timedelta(hours=1)
"""A study that got an image later than this is not closed yet: its aggregate may be due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which images; every field that is given must fit. ``older_than`` counts from reception."""

    patient_id: str | None = None
    study_instance_uid: str | None = None
    older_than: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One image of a selection; ``block`` says why its file stays, "" when it may go."""

    instance_id: int
    size: int
    received_at: datetime
    block: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What a purge marked: images, and files that go."""

    images: int
    files: int


def candidates(
    engine: sa.Engine, selection: Selection, *, clock: Clock = database_now
) -> list[Candidate]:
    """Every image of the selection that still has its file; changes nothing."""
    with reading(engine) as conn:
        now = clock(conn)
        query = (
            sa.select(
                instance.c.id,
                instance.c.size,
                instance.c.received_at,
                blocked(now - GRACE).label("block"),
            )
            .where(*_which(selection, now))
            .order_by(instance.c.id)
        )
        return [
            Candidate(instance_id=i, size=s, received_at=r, block=b)
            for i, s, r, b in conn.execute(query)
        ]


def purge(
    engine: sa.Engine,
    selection: Selection,
    *,
    who: str,
    why: str,
    results: bool = False,
    clock: Clock = database_now,
) -> Purged:
    """Mark every image of the selection that nothing blocks; the files go by ``removals.finish``.

    Args:
        engine: the database.
        selection: which images.
        who: for the audit trail.
        why: a reason without patient data; kept in the rows and the audit trail.
        results: also remove our reports, captures and heatmaps of them.
        clock: of the database.
    """
    images = files = 0
    while True:
        with engine.begin() as conn:
            now = clock(conn)
            query = (
                sa.select(instance.c.id)
                .where(*_which(selection, now), blocked(now - GRACE) == "")
                .order_by(instance.c.id)
                .limit(BATCH)
                .with_for_update(skip_locked=True)
            )
            ids = list(conn.execute(query).scalars())
            if not ids:
                return Purged(images=images, files=files)
            images += len(ids)
            marked = _mark(conn, ids, now, why, results=results)
            files += marked
            new = f"{len(ids)} images, {marked} files, instances {_spans(ids)}"
            audit.append(conn, who=who, what="purge", new=new, why=why)


def _which(selection: Selection, now: datetime) -> list[sa.ColumnElement[bool]]:
    which: list[sa.ColumnElement[bool]] = [instance.c.purged_at.is_(None)]
    if selection.patient_id is not None:
        which.append(instance.c.patient_id == selection.patient_id)
    if selection.study_instance_uid is not None:
        which.append(instance.c.study_instance_uid == selection.study_instance_uid)
    if selection.older_than is not None:
        which.append(instance.c.received_at < now - selection.older_than)
    return which


def _mark(
    conn: sa.Connection, ids: Sequence[int], now: datetime, why: str, *, results: bool
) -> int:
    conn.execute(
        sa.update(instance).where(instance.c.id.in_(ids)).values(purged_at=now, purge_reason=why)
    )
    files = [*_source_files(conn, ids), *(_result_files(conn, ids, now) if results else ())]
    shared = {"reason": why, "marked_at": now}
    rows: list[Mapping[str, Any]] = [{"instance_id": i, "path": p, **shared} for i, p in files]
    conn.execute(sa.insert(removal), rows)
    return len(rows)


def _source_files(conn: sa.Connection, ids: Sequence[int]) -> list[tuple[int, str]]:
    own = sa.select(instance.c.id, instance.c.path).where(instance.c.id.in_(ids))
    changed = sa.select(header_change.c.instance_id, header_change.c.path).where(
        header_change.c.instance_id.in_(ids)
    )
    return [(int(i), str(p)) for query in (own, changed) for i, p in conn.execute(query)]


def _result_files(conn: sa.Connection, ids: Sequence[int], now: datetime) -> list[tuple[int, str]]:
    """Composed objects and heatmaps; one that another image's verdict shares stays."""
    of_them = sa.select(outcome.c.id).where(outcome.c.instance_id.in_(ids))
    objects = sa.select(outcome.c.instance_id, dicom_object.c.path).join(
        outcome, outcome.c.id == dicom_object.c.outcome_id
    )
    other = outcome.alias("other")
    shared = sa.select(other.c.heatmap_path).where(
        other.c.heatmap_path.is_not(None), other.c.instance_id.not_in(ids)
    )
    heatmaps = sa.select(outcome.c.instance_id, outcome.c.heatmap_path).where(
        outcome.c.instance_id.in_(ids),
        outcome.c.heatmap_path.is_not(None),
        outcome.c.heatmap_path.not_in(shared),
    )
    found = [
        (int(i), str(p))
        for query in (objects.where(outcome.c.instance_id.in_(ids)), heatmaps)
        for i, p in conn.execute(query)
    ]
    conn.execute(
        sa.update(dicom_object).where(dicom_object.c.outcome_id.in_(of_them)).values(purged_at=now)
    )
    # no longer a reason why a shared one stays
    conn.execute(sa.update(outcome).where(outcome.c.id.in_(of_them)).values(heatmap_path=None))
    return found


def _spans(ids: Sequence[int]) -> str:
    """Sorted numbers as spans, e.g. ``3-5,9``."""
    parts: list[list[int]] = []
    for number in ids:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][-1:] = [parts[-1][-1], number] if len(parts[-1]) == 1 else [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, p)) for p in parts)
