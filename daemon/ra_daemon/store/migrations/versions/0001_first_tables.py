"""First version of the tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
APPEND_ONLY = "the audit trail is append-only"


def upgrade() -> None:
    """Create every table of the first version."""
    tables = (
        _audit,
        _instance,
        _header_change,
        _job,
        _outcome,
        _outcome_source,
        _refusal,
        _report,
        _result,
        _object,
        _delivery,
    )
    for create in tables:
        create()
    if op.get_bind().dialect.name == "postgresql":
        _guard_audit_postgresql()
    else:
        _guard_audit_sqlite()


def _guard_audit_sqlite() -> None:
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{event.lower()} BEFORE {event} ON audit "
            f"BEGIN SELECT RAISE(ABORT, '{APPEND_ONLY}'); END"
        )


def _guard_audit_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{APPEND_ONLY}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()"
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", KEY, autoincrement=False, nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("old", sa.Text(), server_default="", nullable=False),
        sa.Column("new", sa.Text(), server_default="", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sa.UniqueConstraint("previous", name=op.f("uq_audit_previous")),
    )


def _instance() -> None:
    op.create_table(
        "instance",
        sa.Column("id", KEY, nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("dataset_sha256", sa.String(length=64), nullable=False),
        sa.Column("pixel_sha256", sa.String(length=64), server_default="", nullable=False),
        sa.Column("study_instance_uid", sa.Text(), server_default="", nullable=False),
        sa.Column("patient_id", sa.Text(), server_default="", nullable=False),
        sa.Column("accession_number", sa.Text(), server_default="", nullable=False),
        sa.Column("study_date", sa.Text(), server_default="", nullable=False),
        sa.Column("header", sa.Text(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("calling_ae", sa.Text(), server_default="", nullable=False),
        sa.Column("called_ae", sa.Text(), server_default="", nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("route", sa.Text(), server_default="", nullable=False),
        sa.Column("conflict", sa.Integer(), server_default="0", nullable=False),
        sa.Column("received_at", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
        sa.UniqueConstraint(
            "sop_instance_uid",
            "dataset_sha256",
            name=op.f("uq_instance_sop_instance_uid_dataset_sha256"),
        ),
    )
    op.create_index(op.f("ix_instance_accession_number"), "instance", ["accession_number"])
    op.create_index(op.f("ix_instance_patient_id"), "instance", ["patient_id"])
    op.create_index(op.f("ix_instance_study_instance_uid"), "instance", ["study_instance_uid"])


def _header_change() -> None:
    op.create_table(
        "header_change",
        sa.Column("id", KEY, nullable=False),
        sa.Column("instance_id", KEY, nullable=False),
        sa.Column("dataset_sha256", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("header", sa.Text(), nullable=False),
        sa.Column("received_at", sa.String(27), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instance.id"], name=op.f("fk_header_change_instance_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_header_change")),
        sa.UniqueConstraint(
            "instance_id",
            "dataset_sha256",
            name=op.f("uq_header_change_instance_id_dataset_sha256"),
        ),
    )
    op.create_index(op.f("ix_header_change_instance_id"), "header_change", ["instance_id"])


def _job() -> None:
    op.create_table(
        "job",
        sa.Column("id", KEY, nullable=False),
        sa.Column("instance_id", KEY, nullable=False),
        sa.Column("pipeline_digest", sa.String(length=64), nullable=False),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("route", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("not_before", sa.String(27), nullable=False),
        sa.Column("created_at", sa.String(27), nullable=False),
        sa.Column("finished_at", sa.String(27), nullable=True),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("token", sa.Text(), server_default="", nullable=False),
        sa.Column("lease_until", sa.String(27), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lost_leases", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("blame", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instance.id"], name=op.f("fk_job_instance_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint(
            "instance_id", "pipeline_digest", name=op.f("uq_job_instance_id_pipeline_digest")
        ),
    )
    op.create_index(
        "ix_job_due",
        "job",
        ["lane", "not_before", "id"],
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(op.f("ix_job_state"), "job", ["state"])


def _outcome() -> None:
    op.create_table(
        "outcome",
        sa.Column("id", KEY, nullable=False),
        sa.Column("instance_id", KEY, nullable=False),
        sa.Column("job_id", KEY, nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("pipeline_digest", sa.String(length=64), server_default="", nullable=False),
        sa.Column("role", sa.String(length=8), server_default="active", nullable=False),
        sa.Column("status", sa.String(length=16), server_default="current", nullable=False),
        sa.Column("superseded_by", KEY, nullable=True),
        sa.Column("hands", sa.Text(), server_default="", nullable=False),
        sa.Column("laterality", sa.Text(), server_default="", nullable=False),
        sa.Column("laterality_source", sa.Text(), server_default="", nullable=False),
        sa.Column("demonstration", sa.Integer(), server_default="0", nullable=False),
        sa.Column("findings", sa.Text(), nullable=True),
        sa.Column("heatmap_path", sa.Text(), nullable=True),
        sa.Column("created_at", sa.String(27), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instance.id"], name=op.f("fk_outcome_instance_id")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_outcome_job_id")),
        sa.ForeignKeyConstraint(
            ["superseded_by"], ["outcome.id"], name=op.f("fk_outcome_superseded_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outcome")),
        sa.UniqueConstraint("source_key", name=op.f("uq_outcome_source_key")),
    )
    op.create_index(op.f("ix_outcome_instance_id"), "outcome", ["instance_id"])
    op.create_index(op.f("ix_outcome_job_id"), "outcome", ["job_id"])


def _outcome_source() -> None:
    op.create_table(
        "outcome_source",
        sa.Column("outcome_id", KEY, nullable=False),
        sa.Column("source_id", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["outcome_id"], ["outcome.id"], name=op.f("fk_outcome_source_outcome_id")
        ),
        sa.ForeignKeyConstraint(
            ["source_id"], ["outcome.id"], name=op.f("fk_outcome_source_source_id")
        ),
        sa.PrimaryKeyConstraint("outcome_id", "source_id", name=op.f("pk_outcome_source")),
    )
    op.create_index(op.f("ix_outcome_source_source_id"), "outcome_source", ["source_id"])


def _refusal() -> None:
    op.create_table(
        "refusal",
        sa.Column("id", KEY, nullable=False),
        sa.Column("outcome_id", KEY, nullable=False),
        sa.Column("reason_code", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["outcome_id"], ["outcome.id"], name=op.f("fk_refusal_outcome_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusal")),
    )
    op.create_index(op.f("ix_refusal_outcome_id"), "refusal", ["outcome_id"])


def _report() -> None:
    op.create_table(
        "report",
        sa.Column("id", KEY, nullable=False),
        sa.Column("outcome_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("deliver", sa.String(length=16), nullable=False),
        sa.Column("destinations", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.String(27), nullable=False),
        sa.Column("finished_at", sa.String(27), nullable=True),
        sa.ForeignKeyConstraint(["outcome_id"], ["outcome.id"], name=op.f("fk_report_outcome_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
        sa.UniqueConstraint("outcome_id", name=op.f("uq_report_outcome_id")),
    )
    op.create_index(op.f("ix_report_state"), "report", ["state"])


def _result() -> None:
    op.create_table(
        "result",
        sa.Column("id", KEY, nullable=False),
        sa.Column("outcome_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("laterality", sa.Text(), server_default="", nullable=False),
        sa.Column("joint", sa.Text(), server_default="", nullable=False),
        sa.Column("view", sa.Integer(), nullable=True),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("level", sa.Double(), nullable=True),
        sa.Column("spread", sa.Double(), nullable=True),
        sa.Column("units", sa.Text(), server_default="", nullable=False),
        sa.Column("scale_max", sa.Double(), nullable=True),
        sa.Column("rubric", sa.Text(), server_default="", nullable=False),
        sa.Column("code_value", sa.Text(), server_default="", nullable=False),
        sa.Column("code_scheme", sa.Text(), server_default="", nullable=False),
        sa.Column("code_meaning", sa.Text(), server_default="", nullable=False),
        sa.Column("bundle", sa.Text(), server_default="", nullable=False),
        sa.Column("bundle_version", sa.Text(), server_default="", nullable=False),
        sa.Column("bundle_digest", sa.Text(), server_default="", nullable=False),
        sa.Column("engine", sa.Text(), server_default="", nullable=False),
        sa.Column("precision", sa.Text(), server_default="", nullable=False),
        sa.Column("preprocessing_digest", sa.Text(), server_default="", nullable=False),
        sa.Column("intended_use", sa.Text(), server_default="", nullable=False),
        sa.Column("demonstration", sa.Integer(), server_default="0", nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("derived_from", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["outcome_id"], ["outcome.id"], name=op.f("fk_result_outcome_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_result")),
    )
    op.create_index(op.f("ix_result_kind"), "result", ["kind"])
    op.create_index(op.f("ix_result_outcome_id"), "result", ["outcome_id"])


def _object() -> None:
    op.create_table(
        "object",
        sa.Column("id", KEY, nullable=False),
        sa.Column("report_id", KEY, nullable=False),
        sa.Column("outcome_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("study_instance_uid", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.String(27), nullable=False),
        sa.ForeignKeyConstraint(["outcome_id"], ["outcome.id"], name=op.f("fk_object_outcome_id")),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name=op.f("fk_object_report_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_object")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_object_sop_instance_uid")),
    )
    op.create_index(op.f("ix_object_outcome_id"), "object", ["outcome_id"])
    op.create_index(op.f("ix_object_report_id"), "object", ["report_id"])


def _delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", KEY, nullable=False),
        sa.Column("object_id", KEY, nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("was_sending", sa.Integer(), server_default="0", nullable=False),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("lease_until", sa.String(27), nullable=True),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("not_before", sa.String(27), nullable=False),
        sa.Column("created_at", sa.String(27), nullable=False),
        sa.Column("sent_at", sa.String(27), nullable=True),
        sa.Column("committed_at", sa.String(27), nullable=True),
        sa.ForeignKeyConstraint(["object_id"], ["object.id"], name=op.f("fk_delivery_object_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sa.UniqueConstraint(
            "object_id", "destination", name=op.f("uq_delivery_object_id_destination")
        ),
    )
    op.create_index(op.f("ix_delivery_object_id"), "delivery", ["object_id"])
    op.create_index(op.f("ix_delivery_state"), "delivery", ["state"])
