"""The tables. They are ours: outsiders use the views ``v1_*`` in ``views/``.

``instance`` what came in; ``job`` what is to be scored; ``outcome`` one verdict on an image or a
study, with its ``result`` rows or its ``refusal``; ``report`` what must be composed from an
outcome; ``object`` what was composed; ``delivery`` one object due at one destination;
``commitment`` one question whether the destination keeps it; ``removal`` a file that is to go, or
went; ``legal_hold`` what must not go; ``model`` the state of a bundle.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from ra_daemon.store.columns import Key, Utc

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, *, index: bool = False) -> Column[str]:
    return Column(name, Text(), nullable=False, server_default="", index=index)


def _number(name: str) -> Column[int]:
    return Column(name, Integer(), nullable=False, server_default="0")


def _key(target: str, *, nullable: bool = False, index: bool = True) -> Column[int]:
    name = f"{target}_id"
    return Column(name, Key, ForeignKey(f"{target}.id"), nullable=nullable, index=index)


instance = Table(
    "instance",
    metadata,
    Column("id", Key, primary_key=True),
    Column("sop_instance_uid", Text(), nullable=False),
    Column("dataset_sha256", String(64), nullable=False),
    Column("pixel_sha256", String(64), nullable=False, server_default=""),
    _text("study_instance_uid", index=True),
    _text("patient_id", index=True),
    _text("accession_number", index=True),
    _text("study_date"),
    Column("header", Text(), nullable=True),  # JSON of domain.Header; NULL: not parsable
    Column("path", Text(), nullable=False),
    Column("size", sa.BigInteger(), nullable=False),
    _text("calling_ae"),
    _text("called_ae"),
    _text("address"),
    _text("route"),
    _number("conflict"),  # 1: another content came under the same SOP instance UID
    Column("received_at", Utc(), nullable=False, index=True),
    Column("purged_at", Utc(), nullable=True),  # its file goes, or is gone: see removal
    _text("purge_reason"),
    Column("seen_again_at", Utc(), nullable=True),  # came once more after it was purged
    UniqueConstraint("sop_instance_uid", "dataset_sha256"),
)

header_change = Table(
    "header_change",
    metadata,
    Column("id", Key, primary_key=True),
    _key("instance"),
    Column("dataset_sha256", String(64), nullable=False),
    Column("path", Text(), nullable=False),
    Column("header", Text(), nullable=False),
    Column("received_at", Utc(), nullable=False),
    UniqueConstraint("instance_id", "dataset_sha256"),
)

job = Table(
    "job",
    metadata,
    Column("id", Key, primary_key=True),
    _key("instance", index=False),
    Column("pipeline_digest", String(64), nullable=False),
    Column("lane", Integer(), nullable=False),
    _text("route"),
    Column("state", String(16), nullable=False, index=True),
    Column("not_before", Utc(), nullable=False),
    Column("created_at", Utc(), nullable=False),
    Column("finished_at", Utc(), nullable=True),
    _text("owner"),
    _text("token"),
    Column("lease_until", Utc(), nullable=True),
    _number("attempts"),  # charged
    _number("lost_leases"),  # not charged
    _text("cause"),  # stable code of the last failure
    _text("message"),
    _text("blame"),
    UniqueConstraint("instance_id", "pipeline_digest"),
)
Index(
    "ix_job_due",
    job.c.lane,
    job.c.not_before,
    job.c.id,
    sqlite_where=job.c.state == sa.literal_column("'queued'"),
    postgresql_where=job.c.state == sa.literal_column("'queued'"),
)

outcome = Table(
    "outcome",
    metadata,
    Column("id", Key, primary_key=True),
    _key("instance"),
    _key("job", nullable=True),
    # scored, refused, aggregate; retracted and retracted_total stand in for what was retracted
    Column("kind", String(16), nullable=False),
    Column("source_key", Text(), nullable=False, unique=True),
    Column("pipeline_digest", String(64), nullable=False, server_default=""),
    Column("role", String(8), nullable=False, server_default="active"),
    Column("status", String(16), nullable=False, server_default="current"),
    Column("superseded_by", Key, ForeignKey("outcome.id"), nullable=True),
    _text("hands"),
    _text("laterality"),
    _text("laterality_source"),
    _number("demonstration"),
    Column("findings", Text(), nullable=True),  # store.findings.dump_scored, or JSON of Refused
    Column("heatmap_path", Text(), nullable=True),
    Column("created_at", Utc(), nullable=False),
    Column("retracted_at", Utc(), nullable=True),
    _text("retract_reason"),
)
Index(
    "ix_outcome_retracted",
    outcome.c.id,
    sqlite_where=outcome.c.status == sa.literal_column("'retracted'"),
    postgresql_where=outcome.c.status == sa.literal_column("'retracted'"),
)

outcome_source = Table(
    "outcome_source",
    metadata,
    Column("outcome_id", Key, ForeignKey("outcome.id"), primary_key=True),
    Column("source_id", Key, ForeignKey("outcome.id"), primary_key=True, index=True),
)

result = Table(
    "result",
    metadata,
    Column("id", Key, primary_key=True),
    _key("outcome"),
    Column("kind", String(64), nullable=False, index=True),
    _text("label"),
    _text("laterality"),
    _text("joint"),
    Column("view", Integer(), nullable=True),
    Column("value", sa.Double(), nullable=True),
    Column("low", sa.Double(), nullable=True),
    Column("high", sa.Double(), nullable=True),
    Column("level", sa.Double(), nullable=True),
    Column("spread", sa.Double(), nullable=True),
    _text("units"),
    Column("scale_max", sa.Double(), nullable=True),
    _text("rubric"),
    _text("code_value"),
    _text("code_scheme"),
    _text("code_meaning"),
    _text("bundle"),
    _text("bundle_version"),
    _text("bundle_digest"),
    _text("engine"),
    _text("precision"),
    _text("device"),
    _text("preprocessing_digest"),
    _text("intended_use"),
    _number("demonstration"),
    Column("detail", Text(), nullable=True),  # JSON: edges, probabilities, reference, text
    Column("derived_from", Text(), nullable=True),  # JSON: SOP instance UIDs of an aggregate
)

refusal = Table(
    "refusal",
    metadata,
    Column("id", Key, primary_key=True),
    _key("outcome"),
    Column("reason_code", String(32), nullable=False),
    _text("reason"),
)

report = Table(
    "report",
    metadata,
    Column("id", Key, primary_key=True),
    Column("outcome_id", Key, ForeignKey("outcome.id"), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False, index=True),  # due, composed, failed
    Column("deliver", String(16), nullable=False),
    Column("destinations", Text(), nullable=False),  # JSON list of peer names
    _text("cause"),
    Column("created_at", Utc(), nullable=False),
    Column("finished_at", Utc(), nullable=True),
)

dicom_object = Table(
    "object",
    metadata,
    Column("id", Key, primary_key=True),
    _key("report"),
    _key("outcome"),
    Column("kind", String(16), nullable=False),
    Column("sop_class_uid", Text(), nullable=False),
    Column("sop_instance_uid", Text(), nullable=False, unique=True),
    Column("study_instance_uid", Text(), nullable=False),
    Column("path", Text(), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Utc(), nullable=False),
    Column("purged_at", Utc(), nullable=True),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Key, primary_key=True),
    _key("object"),
    Column("destination", Text(), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    _number("attempts"),
    _number("was_sending"),  # 1: a send without an answer left it open whether the peer has it
    _text("owner"),
    Column("lease_until", Utc(), nullable=True),
    _text("cause"),
    Column("status_code", Integer(), nullable=True),
    Column("not_before", Utc(), nullable=False),
    Column("created_at", Utc(), nullable=False),
    Column("sent_at", Utc(), nullable=True),
    Column("committed_at", Utc(), nullable=True),
    UniqueConstraint("object_id", "destination"),
)

commitment = Table(
    "commitment",
    metadata,
    Column("id", Key, primary_key=True),
    Column("transaction_uid", Text(), nullable=False, index=True),
    _key("delivery"),
    Column("state", String(16), nullable=False),  # open, committed, failed, void
    _text("cause"),
    Column("requested_at", Utc(), nullable=False),
    Column("answered_at", Utc(), nullable=True),
)

removal = Table(
    "removal",
    metadata,
    Column("id", Key, primary_key=True),
    _key("instance"),
    Column("path", Text(), nullable=False),
    _text("reason"),
    Column("marked_at", Utc(), nullable=False),
    Column("done_at", Utc(), nullable=True),
)
Index(
    "ix_removal_open",
    removal.c.id,
    sqlite_where=removal.c.done_at.is_(None),
    postgresql_where=removal.c.done_at.is_(None),
)

legal_hold = Table(
    "legal_hold",
    metadata,
    Column("id", Key, primary_key=True),
    Column("scope", String(16), nullable=False),  # patient, study
    Column("name", Text(), nullable=False, index=True),
    _text("reason"),
    _text("who"),
    Column("created_at", Utc(), nullable=False),
    Column("lifted_at", Utc(), nullable=True),
)

model = Table(
    "model",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text(), nullable=False, unique=True),  # as plugins.bundle_path takes it
    Column("bundle", Text(), nullable=False),
    Column("version", Text(), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # candidate, shadow, active, retired
    Column("changed_at", Utc(), nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=False),
    Column("at", Utc(), nullable=False),
    Column("who", Text(), nullable=False),
    Column("what", Text(), nullable=False),
    _text("old"),
    _text("new"),
    _text("why"),
    Column("previous", String(64), nullable=False, unique=True),
    Column("hash", String(64), nullable=False),
)
