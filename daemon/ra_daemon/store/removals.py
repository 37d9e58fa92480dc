"""Files on the list ``removal``: unlinked after their rows are marked, again after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from ra_daemon.store.clock import database_now
from ra_daemon.store.engine import reading
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.tables import dicom_object, header_change, instance, outcome, removal

BATCH = 200
COMPOSED_AGAIN = "composed again"
"""Why a composed file goes that lost its row to another, or never got it."""


def finish(engine: sa.Engine, objects: ObjectStore) -> int:
    """Unlink every listed file and say so in its row; idempotent. Returns how many were listed.

    A file that a living row names stays: one data set may be two images, where one of them came
    under a transfer syntax in which it cannot be read.

    Raises:
        OSError: the first file that the disk did not let go; all others went.
    """
    total, after = 0, 0
    kept: dict[str, OSError] = {}
    while True:
        query = sa.select(removal.c.id, removal.c.path).where(
            removal.c.done_at.is_(None), removal.c.id > after
        )
        with reading(engine) as conn:
            rows = conn.execute(query.order_by(removal.c.id).limit(BATCH)).all()
            named = _named(conn, [path for _, path in rows])
        if not rows:
            for error in kept.values():
                raise error
            return total
        after = rows[-1][0]
        kept |= objects.remove([path for _, path in rows if path not in named])
        with engine.begin() as conn:
            conn.execute(
                sa.update(removal)
                .where(removal.c.id.in_([number for number, path in rows if path not in kept]))
                .values(done_at=database_now(conn))
            )
        total += len(rows)


def add_unreferenced(
    conn: sa.Connection, instance_id: int, path: str, reason: str, now: datetime
) -> bool:
    """List a file that came again and that no living row names: it must not stay.

    Returns:
        Whether it goes.
    """
    changed = sa.exists().where(
        header_change.c.instance_id == instance.c.id, header_change.c.path == path
    )
    living = sa.select(instance.c.id).where(
        instance.c.id == instance_id,
        instance.c.purged_at.is_(None),
        sa.or_(instance.c.path == path, changed),
    )
    if conn.execute(living).first() is not None:
        return False
    values = {"instance_id": instance_id, "path": path, "reason": reason, "marked_at": now}
    conn.execute(sa.insert(removal).values(**values))
    return True


def add_orphans(conn: sa.Connection, instance_id: int, paths: Sequence[str], now: datetime) -> None:
    """List those of an image's composed files that no row names, nor this list."""
    listed = sa.select(removal.c.path).where(removal.c.path.in_(paths), removal.c.done_at.is_(None))
    named = _named(conn, paths) | set(conn.execute(listed).scalars())
    for path in sorted(set(paths) - named):
        values = {"instance_id": instance_id, "path": path, "reason": COMPOSED_AGAIN}
        conn.execute(sa.insert(removal).values(**values, marked_at=now))


def withdraw(conn: sa.Connection, paths: Sequence[str]) -> None:
    """Composed files that a row names after all stay."""
    conn.execute(
        sa.delete(removal).where(
            removal.c.path.in_(paths),
            removal.c.reason == COMPOSED_AGAIN,
            removal.c.done_at.is_(None),
        )
    )


def _named(conn: sa.Connection, paths: Sequence[str]) -> set[str]:
    """Those of the paths that a row counts on whose files were not purged."""
    alive = instance.c.purged_at.is_(None)
    queries = [
        sa.select(instance.c.path).where(instance.c.path.in_(paths), alive),
        sa.select(header_change.c.path)
        .join(instance, instance.c.id == header_change.c.instance_id)
        .where(header_change.c.path.in_(paths), alive),
        sa.select(outcome.c.heatmap_path).where(outcome.c.heatmap_path.in_(paths)),
        sa.select(dicom_object.c.path).where(
            dicom_object.c.path.in_(paths), dicom_object.c.purged_at.is_(None)
        ),
    ]
    return set(conn.execute(sa.union_all(*queries)).scalars())
