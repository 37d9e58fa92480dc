"""What the pages and the API tell, read from the public views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ra_daemon.domain import Lane
from ra_daemon.store.clock import database_now
from ra_daemon.store.engine import reading

_RESULTS = """
SELECT created_at, source_sha256, hands, kind, value, low, high, scale_max, bundle, bundle_version,
  engine, demonstration
FROM v1_results
WHERE status = 'current' AND role = 'active' AND (low IS NOT NULL OR kind = 'svdh_total')
ORDER BY outcome_id DESC, kind DESC LIMIT :limit
"""
_REFUSALS = """
SELECT created_at, source_sha256, reason_code, reason FROM v1_refusals
WHERE status = 'current' AND role = 'active' ORDER BY outcome_id DESC LIMIT :limit
"""
_PARKED = """
SELECT delivery_id, kind, destination, attempts, cause, created_at FROM v1_deliveries
WHERE state = 'parked' ORDER BY delivery_id DESC LIMIT :limit
"""


def results(engine: sa.Engine, limit: int = 20) -> list[dict[str, Any]]:
    """The last scores, newest first; images are named by the start of their hash."""
    return _named(engine, _RESULTS, limit)


def refusals(engine: sa.Engine, limit: int = 20) -> list[dict[str, Any]]:
    """The last refusals, newest first."""
    return _named(engine, _REFUSALS, limit)


def parked(engine: sa.Engine, limit: int = 20) -> list[dict[str, Any]]:
    """Deliveries that a peer refused for good."""
    return _rows(engine, _PARKED, limit)


def models(engine: sa.Engine) -> list[dict[str, Any]]:
    """Models that gave current results, and the mean of their totals."""
    query = """
    SELECT bundle, bundle_version, engine, MAX(demonstration) AS demonstration,
      COUNT(*) AS images, AVG(value) AS mean
    FROM v1_results WHERE status = 'current' AND role = 'active' AND kind = 'svdh_total'
    GROUP BY bundle, bundle_version, engine ORDER BY bundle, bundle_version, engine
    """
    return _rows(engine, query, 20)


def unsent(engine: sa.Engine) -> dict[tuple[str, str], int]:
    """Deliveries by destination and state."""
    query = sa.text(
        "SELECT destination, state, COUNT(*) FROM v1_deliveries GROUP BY destination, state"
    )
    with reading(engine) as conn:
        return {(str(d), str(s)): int(n) for d, s, n in conn.execute(query)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """Seconds that the oldest of each line has waited: by lane, by destination, of reports."""

    lanes: Mapping[str, float]
    deliveries: Mapping[str, float]
    report: float


def ages(engine: sa.Engine) -> Ages:
    """How long the oldest have waited by the database's clock; 0 for an empty lane."""
    by_lane = sa.text("SELECT lane, MIN(created_at) FROM job WHERE state = 'queued' GROUP BY lane")
    by_peer = sa.text(
        "SELECT destination, MIN(created_at) FROM delivery WHERE state IN ('pending', 'sending') "
        "GROUP BY destination ORDER BY destination"
    )
    due = sa.text("SELECT MIN(created_at) FROM report WHERE state = 'due'")
    with reading(engine) as conn:
        now = database_now(conn)
        waiting = {Lane(n): _age(at, now) for n, at in conn.execute(by_lane)}
        return Ages(
            lanes={lane.name.lower(): waiting.get(lane, 0.0) for lane in Lane},
            deliveries={str(d): _age(at, now) for d, at in conn.execute(by_peer)},
            report=_age(conn.execute(due).scalar(), now),
        )


def _age(since: str | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - datetime.fromisoformat(since)).total_seconds())


def unreconciled(engine: sa.Engine) -> int:
    """Studies with an object that has not reached every destination."""
    query = sa.text(
        "SELECT COUNT(DISTINCT study_instance_uid) FROM v1_deliveries "
        "WHERE state IN ('pending', 'sending', 'parked')"
    )
    with reading(engine) as conn:
        return int(conn.execute(query).scalar_one())


def _named(engine: sa.Engine, query: str, limit: int) -> list[dict[str, Any]]:
    rows = _rows(engine, query, limit)
    for row in rows:
        row["image"] = str(row.pop("source_sha256"))[:12]
    return rows


def _rows(engine: sa.Engine, query: str, limit: int) -> list[dict[str, Any]]:
    with reading(engine) as conn:
        found = conn.execute(sa.text(query).bindparams(**_limit(query, limit))).mappings()
        return [dict(row) for row in found]


def _limit(query: str, limit: int) -> dict[str, int]:
    return {"limit": limit} if ":limit" in query else {}
