"""Legal holds: patients and studies whose files must stay, whatever the retention says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from ra_daemon.store import audit
from ra_daemon.store.clock import database_now
from ra_daemon.store.engine import reading
from ra_daemon.store.tables import legal_hold

Scope = Literal["patient", "study"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold; ``name`` is the patient ID or the study instance UID."""

    hold_id: int
    scope: str
    name: str
    reason: str
    who: str
    created_at: datetime
    lifted_at: datetime | None


def add(engine: sa.Engine, scope: Scope, name: str, *, who: str, reason: str) -> int:
    """Hold a patient or a study, also images that come later; returns the hold's number."""
    with engine.begin() as conn:
        values = {"scope": scope, "name": name, "reason": reason, "who": who}
        number: int = conn.execute(
            sa.insert(legal_hold)
            .values(**values, created_at=database_now(conn))
            .returning(legal_hold.c.id)
        ).scalar_one()
        audit.append(conn, who=who, what="legal_hold.add", new=f"hold {number}", why=reason)
    return number


def lift(engine: sa.Engine, hold_id: int, *, who: str, reason: str) -> bool:
    """End a hold; False when there is none of that number in force."""
    with engine.begin() as conn:
        lifted = conn.execute(
            sa.update(legal_hold)
            .where(legal_hold.c.id == hold_id, legal_hold.c.lifted_at.is_(None))
            .values(lifted_at=database_now(conn))
        ).rowcount
        if lifted:
            audit.append(conn, who=who, what="legal_hold.lift", old=f"hold {hold_id}", why=reason)
    return lifted == 1


def entries(engine: sa.Engine) -> list[Hold]:
    """All holds, the lifted ones too, oldest first."""
    with reading(engine) as conn:
        rows = conn.execute(sa.select(legal_hold).order_by(legal_hold.c.id)).mappings()
        return [Hold(hold_id=r["id"], **{k: r[k] for k in r if k != "id"}) for r in rows]
