"""The trail as the first version keeps it. Frozen: later versions go from here."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run by Alembic."""
    op.create_table(
        "trail_event",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("outbox_id", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("chain", "seq", name="pk_trail_event"),
        sqlite_with_rowid=False,
    )
    moved = sa.text("outbox_id IS NOT NULL")
    op.create_index(
        "uq_trail_event_outbox_id", "trail_event", ["outbox_id"], unique=True, sqlite_where=moved, postgresql_where=moved
    )
    op.create_index("ix_trail_event_at_s", "trail_event", ["at_s"])
    op.create_index("ix_trail_event_trace_id", "trail_event", ["trace_id"])
    op.create_table(
        "refusal",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("known", sa.Boolean(name="known"), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refusal"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_refusal_known_id", "refusal", ["known", "id"])
    op.create_index("ix_refusal_trace_id", "refusal", ["trace_id"])
