"""The state of each bundle: candidate, shadow, active, retired; every change is audited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from ra_daemon.errors import StoreError
from ra_daemon.store import audit
from ra_daemon.store.clock import database_now
from ra_daemon.store.engine import reading
from ra_daemon.store.tables import model


class ModelState(StrEnum):
    """Life of a bundle. One at a time is active, and one at a time is shadow."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"
    ACTIVE = "active"
    RETIRED = "retired"


ALLOWED: frozenset[tuple[ModelState | None, ModelState]] = frozenset(
    {
        (None, ModelState.CANDIDATE),
        (ModelState.CANDIDATE, ModelState.SHADOW),
        (ModelState.CANDIDATE, ModelState.ACTIVE),
        (ModelState.SHADOW, ModelState.ACTIVE),
        (ModelState.SHADOW, ModelState.CANDIDATE),
        (ModelState.RETIRED, ModelState.ACTIVE),  # back to the one before
        (ModelState.RETIRED, ModelState.CANDIDATE),
        (ModelState.CANDIDATE, ModelState.RETIRED),
        (ModelState.SHADOW, ModelState.RETIRED),
        (ModelState.ACTIVE, ModelState.RETIRED),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One bundle: ``name`` as the installed folder has it, ``bundle`` as its manifest says."""

    name: str
    bundle: str
    version: str
    digest: str
    state: ModelState
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a bundle is, apart from its state."""

    name: str
    bundle: str
    version: str
    digest: str


def rows(engine: sa.Engine) -> list[ModelRow]:
    """All bundles that ever had a state, by name."""
    with reading(engine) as conn:
        found = conn.execute(sa.select(model).order_by(model.c.name)).mappings()
        return [_row(r) for r in found]


def in_state(engine: sa.Engine, state: ModelState) -> ModelRow | None:
    """The bundle in a state that only one has."""
    return next((m for m in rows(engine) if m.state is state), None)


def move(
    engine: sa.Engine, which: Identity, state: ModelState, *, who: str, why: str = ""
) -> list[tuple[str, ModelState]]:
    """Bring a bundle into a state, in one transaction with its audit rows.

    The bundle that was active so far is retired, the one that was shadow becomes a candidate.

    Returns:
        (name, new state) of every bundle that changed, the asked one last; empty when it is in
        that state already, with the same files.

    Raises:
        StoreError: that change is not allowed.
    """
    with engine.begin() as conn:
        _lock(conn)
        query = sa.select(model).where(model.c.name == which.name)
        row = conn.execute(query).mappings().one_or_none()
        before = None if row is None else ModelState(row["state"])
        if row is not None and before is state and row["digest"] == which.digest:
            return []
        if before is None and state is not ModelState.CANDIDATE:
            _write(conn, which, None, ModelState.CANDIDATE, who, why)
            before = ModelState.CANDIDATE
        if before is not state and (before, state) not in ALLOWED:
            told = before.value if before is not None else "not installed"
            raise StoreError(
                f"{which.name} is {told} and cannot become {state.value}.",
                hint="candidate -> shadow -> active -> retired; ra-daemon models list shows all.",
            )
        changed = _make_room(conn, which.name, state, who, why)
        _write(conn, which, before, state, who, why)
        return [*changed, (which.name, state)]


def _make_room(
    conn: sa.Connection, name: str, state: ModelState, who: str, why: str
) -> list[tuple[str, ModelState]]:
    follows = {
        ModelState.ACTIVE: ModelState.RETIRED,
        ModelState.SHADOW: ModelState.CANDIDATE,
    }.get(state)
    if follows is None:
        return []
    query = sa.select(model).where(model.c.state == state.value, model.c.name != name)
    others = [_row(r) for r in conn.execute(query).mappings()]
    for other in others:
        identity = Identity(
            name=other.name, bundle=other.bundle, version=other.version, digest=other.digest
        )
        _write(conn, identity, other.state, follows, who, why or f"{name} becomes {state.value}")
    return [(other.name, follows) for other in others]


def _write(
    conn: sa.Connection,
    which: Identity,
    before: ModelState | None,
    state: ModelState,
    who: str,
    why: str,
) -> None:
    values = {
        "bundle": which.bundle,
        "version": which.version,
        "digest": which.digest,
        "state": state.value,
        "changed_at": database_now(conn),
    }
    changed = conn.execute(
        sa.update(model).where(model.c.name == which.name).values(**values)
    ).rowcount
    if not changed:
        conn.execute(sa.insert(model).values(name=which.name, **values))
    told = f"{which.name} {which.version} sha256 {which.digest[:16]}"
    audit.append(
        conn,
        who=who,
        what="models.state",
        old="" if before is None else f"{which.name} {before.value}",
        new=f"{told} {state.value}",
        why=why,
    )


def _lock(conn: sa.Connection) -> None:
    """Two people that activate at once must not leave two active bundles."""
    if conn.dialect.name == "postgresql":
        conn.execute(sa.text("LOCK TABLE model IN SHARE ROW EXCLUSIVE MODE"))


def _row(row: sa.RowMapping) -> ModelRow:
    fields = {k: row[k] for k in ("name", "bundle", "version", "digest", "changed_at")}
    return ModelRow(**fields, state=ModelState(row["state"]))
