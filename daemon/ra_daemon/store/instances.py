"""Instances: what came in, once each, by (SOP instance UID, data-set digest)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import sqlalchemy as sa

from ra_daemon.domain import Admission, Found, Header, Refused
from ra_daemon.store import outcomes, queue, removals
from ra_daemon.store.clock import database_now
from ra_daemon.store.engine import insert_new
from ra_daemon.store.rows import dump_header
from ra_daemon.store.tables import dicom_object, header_change, instance, outcome, report

_MENDED: Mapping[Found, str] = {"nothing": "missing", "damaged": "damaged", "whole": ""}
Status = Literal["new", "same", "conflict", "header_changed", "purged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmitResult:
    """The row of an admitted file.

    ``new``: first of its UID. ``same``: this content, or one of our own objects, was known.
    ``conflict``: the UID was known with other pixels; both are kept and flagged.
    ``header_changed``: the UID was known with the same pixels; its rows were updated.
    ``purged``: it was known, and its file was removed; it is not scored again and the file that
    came goes as well.

    ``refused``: a known image whose verdict in force is a refusal: another route, pipeline or
    header may judge it otherwise.
    ``mended``: what was wrong with its file, "missing" or "damaged", until it came again.
    """

    instance_id: int
    status: Status
    refused: bool = False
    mended: str = ""


def admit(conn: sa.Connection, admission: Admission, route: str = "") -> AdmitResult:
    """Write the rows of one file; idempotent. A refusal in ``admission`` is recorded with it."""
    uid = admission.header.sop_instance_uid if admission.header else ""
    known = _known(conn, admission, uid)
    if known is not None:
        return _seen_again(conn, known, admission, "same")
    own = _own_source(conn, uid)
    if own is not None:
        return replace(_seen_again(conn, own, admission, "same"), refused=False)
    twins = _same_uid(conn, uid)
    if admission.header is not None and admission.pixel_sha256:
        for twin in twins:
            if twin["pixel_sha256"] == admission.pixel_sha256:
                _change_header(conn, int(twin["id"]), admission, admission.header)
                return _seen_again(conn, int(twin["id"]), admission, "header_changed")
    values = _values(admission, uid, route, conflict=bool(twins))
    instance_id = insert_new(conn, instance, values)
    if instance_id is None:  # another ingester was faster
        return admit(conn, admission, route)
    if twins:
        conn.execute(
            sa.update(instance).where(instance.c.sop_instance_uid == uid).values(conflict=1)
        )
    if admission.refused is not None:
        refuse(conn, instance_id, admission.refused)
    return AdmitResult(instance_id=instance_id, status="conflict" if twins else "new")


def set_route(conn: sa.Connection, instance_id: int, route: str) -> None:
    """Note the route that takes an image now."""
    conn.execute(sa.update(instance).where(instance.c.id == instance_id).values(route=route))


def refuse(conn: sa.Connection, instance_id: int, refused: Refused) -> None:
    """Record a refusal that needs no job (unreadable, no route); idempotent."""
    source = outcomes.Source(
        instance_id=instance_id,
        source_key=f"instance:{instance_id}",
        created_at=database_now(conn),
    )
    outcomes.add_refusal(conn, refused, source)


def _seen_again(
    conn: sa.Connection, instance_id: int, admission: Admission, status: Status
) -> AdmitResult:
    """A known image came once more: a file that no row names, or that was purged, must not stay."""
    now = database_now(conn)
    purged = conn.execute(
        sa.update(instance)
        .where(instance.c.id == instance_id, instance.c.purged_at.is_not(None))
        .values(seen_again_at=now)
    ).rowcount
    reason = "came again after its purge" if purged else "own output came back"
    goes = removals.add_unreferenced(conn, instance_id, admission.path, reason, now)
    if purged:
        return AdmitResult(instance_id=instance_id, status="purged")
    refused = _verdict(conn, instance_id) == "refused"
    mended = "" if goes or status != "same" else _MENDED[admission.found]
    return AdmitResult(instance_id=instance_id, status=status, refused=refused, mended=mended)


def _verdict(conn: sa.Connection, instance_id: int) -> str:
    """Kind of the verdict in force; "" when there is none."""
    query = sa.select(outcome.c.kind).where(
        outcome.c.instance_id == instance_id,
        outcome.c.status == "current",
        outcome.c.role == "active",
        outcome.c.kind.not_in(outcomes.TOTALS),
    )
    return str(conn.execute(query).scalar() or "")


def _known(conn: sa.Connection, admission: Admission, uid: str) -> int | None:
    """The id of the same content, or of one whose header was taken over or replaced."""
    digest = admission.dataset_sha256
    same = sa.select(instance.c.id).where(
        instance.c.sop_instance_uid == uid, instance.c.dataset_sha256 == digest
    )
    changed = (
        sa.select(instance.c.id)
        .join(header_change, header_change.c.instance_id == instance.c.id)
        .where(instance.c.sop_instance_uid == uid, header_change.c.dataset_sha256 == digest)
    )
    for query in (same, changed):
        found = conn.execute(query).scalar()
        if found is not None:
            return int(found)
    return None


def _own_source(conn: sa.Connection, uid: str) -> int | None:
    """The id of the image that our own object of this UID was made from."""
    if not uid:
        return None
    own = (
        sa.select(outcome.c.instance_id)
        .join(dicom_object, dicom_object.c.outcome_id == outcome.c.id)
        .where(dicom_object.c.sop_instance_uid == uid)
    )
    found = conn.execute(own).scalar()
    return None if found is None else int(found)


def _same_uid(conn: sa.Connection, uid: str) -> list[sa.RowMapping]:
    if not uid:
        return []
    query = (
        sa.select(instance.c.id, instance.c.pixel_sha256)
        .where(instance.c.sop_instance_uid == uid)
        .order_by(instance.c.id)
    )
    return list(conn.execute(query).mappings())


def _change_header(
    conn: sa.Connection, instance_id: int, admission: Admission, header: Header
) -> None:
    """Take over a header; unless the image was scored by the old one, its file takes over as well.

    What was scored stays the answer to what it was made from. Anything else is judged, decoded and
    reported by the file that holds the header in force; the one before it becomes the change.
    """
    queue.recall(conn, instance_id)  # before the verdict is read: none may come by the old header
    came: dict[str, Any] = {
        "dataset_sha256": admission.dataset_sha256,
        "path": admission.path,
        "header": dump_header(header),
        "received_at": admission.received_at,
    }
    values = _identity(header)
    one = instance.c.id == instance_id
    row = conn.execute(sa.select(instance).where(one)).mappings().one()
    answered = _verdict(conn, instance_id) in ("scored", "retracted")
    if not answered and row["purged_at"] is None and admission.refused is None:
        values |= {k: came[k] for k in ("dataset_sha256", "path")} | {"size": admission.size}
        came = {name: row[name] for name in came}
        _stop_reports(conn, instance_id)
    insert_new(conn, header_change, {"instance_id": instance_id, **came})
    conn.execute(sa.update(instance).where(one).values(**values))


def _stop_reports(conn: sa.Connection, instance_id: int) -> None:
    """A refusal of the old header that is not written yet would be written from the new file."""
    refused = sa.select(outcome.c.id).where(outcome.c.instance_id == instance_id)
    conn.execute(
        sa.update(report)
        .where(report.c.outcome_id.in_(refused), report.c.state.in_(["due", "failed"]))
        .values(state="cancelled", cause="header_changed")
    )


def _identity(header: Header | None) -> dict[str, Any]:
    if header is None:
        return {"header": None}
    return {
        "study_instance_uid": header.study_instance_uid,
        "patient_id": header.patient_id,
        "accession_number": header.accession_number,
        "study_date": header.study_date,
        "header": dump_header(header),
    }


def _values(admission: Admission, uid: str, route: str, *, conflict: bool) -> dict[str, Any]:
    return {
        "sop_instance_uid": uid,
        "dataset_sha256": admission.dataset_sha256,
        "pixel_sha256": admission.pixel_sha256,
        "path": admission.path,
        "size": admission.size,
        "calling_ae": admission.origin.calling_ae,
        "called_ae": admission.origin.called_ae,
        "address": admission.origin.address,
        "route": route,
        "conflict": int(conflict),
        "received_at": admission.received_at,
        **_identity(admission.header),
    }
