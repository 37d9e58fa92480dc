"""The device that computed a result."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the device; earlier results were computed on the processor."""
    op.add_column("result", sa.Column("device", sa.Text(), server_default="", nullable=False))
    op.execute("UPDATE result SET device = 'cpu' WHERE engine <> ''")
