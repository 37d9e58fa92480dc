"""Purged files, legal holds, retracted results, states of models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.String(27)


def upgrade() -> None:
    """Create what retention, legal holds, retractions and states of models need."""
    _columns()
    _removal()
    _legal_hold()
    _model()


def _columns() -> None:
    op.add_column("instance", sa.Column("purged_at", MOMENT, nullable=True))
    op.add_column(
        "instance", sa.Column("purge_reason", sa.Text(), server_default="", nullable=False)
    )
    op.add_column("instance", sa.Column("seen_again_at", MOMENT, nullable=True))
    op.create_index(op.f("ix_instance_received_at"), "instance", ["received_at"])
    op.add_column("object", sa.Column("purged_at", MOMENT, nullable=True))
    op.add_column("outcome", sa.Column("retracted_at", MOMENT, nullable=True))
    op.add_column(
        "outcome", sa.Column("retract_reason", sa.Text(), server_default="", nullable=False)
    )
    retracted = sa.text("status = 'retracted'")
    op.create_index(
        "ix_outcome_retracted",
        "outcome",
        ["id"],
        sqlite_where=retracted,
        postgresql_where=retracted,
    )


def _removal() -> None:
    op.create_table(
        "removal",
        sa.Column("id", KEY, nullable=False),
        sa.Column("instance_id", KEY, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("marked_at", MOMENT, nullable=False),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instance.id"], name=op.f("fk_removal_instance_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removal")),
    )
    op.create_index(op.f("ix_removal_instance_id"), "removal", ["instance_id"])
    undone = sa.text("done_at IS NULL")
    op.create_index(
        "ix_removal_open", "removal", ["id"], sqlite_where=undone, postgresql_where=undone
    )


def _legal_hold() -> None:
    op.create_table(
        "legal_hold",
        sa.Column("id", KEY, nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("who", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("lifted_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_hold")),
    )
    op.create_index(op.f("ix_legal_hold_name"), "legal_hold", ["name"])


def _model() -> None:
    op.create_table(
        "model",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("bundle", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model")),
        sa.UniqueConstraint("name", name=op.f("uq_model_name")),
    )
