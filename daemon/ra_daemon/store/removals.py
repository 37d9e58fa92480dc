"""Files on the list ``removal``: unlinked after their rows are marked, again after a crash."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from ra_daemon.store.clock import database_now
from ra_daemon.store.engine import reading
from ra_daemon.store.objects import ObjectStore
from ra_daemon.store.tables import header_change, instance, removal

BATCH = 200


def finish(engine: sa.Engine, objects: ObjectStore) -> int:
    """Unlink every listed file and say so in its row; idempotent. Returns how many were listed."""
    total = 0
    while True:
        query = sa.select(removal.c.id, removal.c.path).where(removal.c.done_at.is_(None))
        with reading(engine) as conn:
            rows = conn.execute(query.order_by(removal.c.id).limit(BATCH)).all()
        if not rows:
            return total
        objects.remove([path for _, path in rows])
        with engine.begin() as conn:
            conn.execute(
                sa.update(removal)
                .where(removal.c.id.in_([number for number, _ in rows]))
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
