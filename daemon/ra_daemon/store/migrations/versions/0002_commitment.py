"""Requests for storage commitment."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table of transactions of storage commitment."""
    op.create_table(
        "commitment",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("transaction_uid", sa.Text(), nullable=False),
        sa.Column("delivery_id", KEY, sa.ForeignKey("delivery.id"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False, server_default=""),
        sa.Column("requested_at", sa.String(27), nullable=False),
        sa.Column("answered_at", sa.String(27), nullable=True),
    )
    op.create_index("ix_commitment_transaction_uid", "commitment", ["transaction_uid"])
    op.create_index("ix_commitment_delivery_id", "commitment", ["delivery_id"])
