"""One verdict on an image or a study, with its result rows; written once, only ever superseded."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from ra_daemon.domain import Refused, Scored
from ra_daemon.store import findings
from ra_daemon.store.engine import insert_new
from ra_daemon.store.tables import outcome, outcome_source, refusal, result
from ra_engine.types import Category, Finding, Measurement, ModelRef, QualityFlag, Side

RUBRIC = "SvdH 1999 (16 erosion 0-5, 15 JSN 0-4 a hand)"
Role = Literal["active", "shadow"]
TOTALS = ("aggregate", "retracted_total")
"""Kinds of verdicts about a study's two images; the others are about one image."""


def models_of(scored: Scored) -> list[ModelRef]:
    """The models that the findings name, in their order."""
    return [f.model for f in scored.findings if not isinstance(f, QualityFlag)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a verdict is about. ``source_key`` names its cause: one verdict for each."""

    instance_id: int
    source_key: str
    created_at: datetime
    job_id: int | None = None
    pipeline_digest: str = ""
    role: Role = "active"


def add_scored(
    conn: sa.Connection,
    scored: Scored,
    source: Source,
    *,
    kind: Literal["scored", "aggregate"] = "scored",
    heatmap_path: str | None = None,
    derived_from: list[str] | None = None,
    label: str | None = None,
) -> int | None:
    """Write a verdict and its rows; its id, or None when ``source_key`` was written before.

    ``derived_from`` are the SOP instance UIDs of an aggregate, ``label`` renames its total.
    """
    outcome_id = _add(
        conn,
        source,
        kind=kind,
        hands=scored.hands,
        laterality=scored.laterality.value,
        laterality_source=scored.laterality_source,
        demonstration=int(any(m.demonstration for m in models_of(scored))),
        findings=findings.dump_scored(scored),
        heatmap_path=heatmap_path,
    )
    rows = _rows(scored, derived_from, label)
    if outcome_id is not None and rows:
        conn.execute(sa.insert(result), [{"outcome_id": outcome_id, **row} for row in rows])
    return outcome_id


def add_refusal(
    conn: sa.Connection, refused: Refused, source: Source, *, demonstration: bool = False
) -> int | None:
    """Write a refusal and its row; its id, or None when ``source_key`` was written before."""
    outcome_id = _add(
        conn,
        source,
        kind="refused",
        demonstration=int(demonstration),
        findings=json.dumps({"reason": refused.reason.value, "detail": refused.detail}),
    )
    if outcome_id is not None:
        row = {"outcome_id": outcome_id, "reason_code": refused.reason.value}
        conn.execute(sa.insert(refusal).values(**row, reason=refused.text))
    return outcome_id


def _add(conn: sa.Connection, source: Source, **values: Any) -> int | None:
    return insert_new(conn, outcome, {**asdict(source), **values})


def supersede_instance(conn: sa.Connection, instance_id: int, successor: int) -> None:
    """Mark the instance's other current verdicts, and aggregates made of them, as superseded."""
    own = sa.select(outcome.c.id).where(
        outcome.c.instance_id == instance_id, outcome.c.kind.not_in(TOTALS)
    )
    made_of_it = sa.select(outcome_source.c.outcome_id).where(outcome_source.c.source_id.in_(own))
    _supersede(conn, sa.or_(outcome.c.id.in_(own), outcome.c.id.in_(made_of_it)), successor)


def supersede(conn: sa.Connection, outcome_ids: Iterable[int], successor: int) -> None:
    """Mark these verdicts as superseded by ``successor``."""
    _supersede(conn, outcome.c.id.in_(list(outcome_ids)), successor)


def _supersede(conn: sa.Connection, which: sa.ColumnElement[bool], successor: int) -> None:
    conn.execute(
        sa.update(outcome)
        .where(
            which,
            outcome.c.id != successor,
            outcome.c.status == "current",
            outcome.c.role == "active",
        )
        .values(status="superseded", superseded_by=successor)
    )


def _rows(
    scored: Scored, derived_from: list[str] | None, label: str | None
) -> list[dict[str, Any]]:
    """Rows of one shape, so that they go in with one statement."""
    models = models_of(scored)
    reference = models[0] if models else None
    sources = json.dumps(derived_from) if derived_from else None
    rows = []
    for finding in scored.findings:
        row = _row(finding, scored, reference)
        if row is not None:
            row["derived_from"] = sources
            if label is not None and row["kind"] == "svdh_total":
                row["label"] = label
            rows.append(row)
    return rows


def _row(finding: Finding, scored: Scored, reference: ModelRef | None) -> dict[str, Any] | None:
    row = _empty()
    if isinstance(finding, Measurement):
        row |= _measurement(finding)
    elif isinstance(finding, Category):
        row |= _category(finding)
    elif isinstance(finding, QualityFlag):
        row |= {"kind": "quality", "label": finding.code}
        row["detail"] = json.dumps({"text": finding.text}, ensure_ascii=False)
    else:
        return None
    side = Side.UNKNOWN if isinstance(finding, QualityFlag) else finding.side
    if side is Side.UNKNOWN and finding.view is not None and finding.view < len(scored.views):
        side = scored.views[finding.view].side
    row["laterality"] = (side if side is not Side.UNKNOWN else scored.laterality).value
    row["view"] = finding.view
    model = reference if isinstance(finding, QualityFlag) else finding.model
    return row | (_model(model) if model is not None else {})


def _empty() -> dict[str, Any]:
    numbers = ("value", "low", "high", "level", "spread", "scale_max", "detail")
    texts = ("joint", "units", "code_value", "code_scheme", "code_meaning")
    model = ("bundle", "bundle_version", "bundle_digest", "engine", "precision", "device")
    empty: dict[str, Any] = dict.fromkeys(numbers)
    empty |= dict.fromkeys((*texts, *model, "preprocessing_digest", "intended_use"), "")
    return empty | {"demonstration": 0, "rubric": RUBRIC}


def _measurement(finding: Measurement) -> dict[str, Any]:
    interval = finding.interval
    return {
        "kind": finding.kind,
        "label": finding.label,
        "value": float(finding.value),
        "low": None if interval is None else float(interval.low),
        "high": None if interval is None else float(interval.high),
        "level": None if interval is None else float(interval.level),
        "spread": None if finding.spread is None else float(finding.spread),
        "units": finding.units,
        "scale_max": None if finding.scale_max is None else float(finding.scale_max),
        "joint": finding.joint,
        **_code(finding.code),
    }


def _category(finding: Category) -> dict[str, Any]:
    detail = {
        "edges": [float(e) for e in finding.edges],
        "probabilities": [float(p) for p in finding.probabilities],
        "reference": finding.reference,
    }
    return {
        "kind": finding.kind,
        "label": f"damage band {finding.index} of {len(finding.edges) + 1}",
        "value": float(finding.index),
        "units": "band",
        "scale_max": float(len(finding.edges) + 1),
        "detail": json.dumps(detail),
        **_code(finding.code),
    }


def _code(code: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("code_value", "code_scheme", "code_meaning"), code, strict=True))


def _model(model: ModelRef) -> dict[str, Any]:
    fields = asdict(model)
    return {
        "bundle": fields["bundle"],
        "bundle_version": fields["version"],
        "bundle_digest": fields["digest"],
        "engine": fields["engine"],
        "precision": fields["precision"],
        "device": fields["device"],
        "preprocessing_digest": fields["preprocessing"],
        "intended_use": fields["intended_use"],
        "demonstration": int(model.demonstration),
    }
