"""Migration intents. One table more, and nothing that was there is touched: a process of the version before goes on beside it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OPEN = sa.text("status = 'INITIATED'")


def upgrade() -> None:
    """Run by Alembic."""
    op.create_table(
        "migration_intent",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("waba_id", sa.Text(), nullable=False),
        sa.Column("business_id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("source_solution_id", sa.Text(), nullable=False),
        sa.Column("target_solution_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("set_at_s", sa.BigInteger(), nullable=False),
        sa.Column("changed_at_s", sa.BigInteger(), nullable=False),
        sa.Column("not_before_s", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "status IN ('INITIATED', 'ACCEPTED', 'COMPLETED', 'REJECTED')", name=op.f("ck_migration_intent_status")
        ),
        sa.CheckConstraint("source_solution_id <> target_solution_id", name=op.f("ck_migration_intent_two_solutions")),
        sa.ForeignKeyConstraint(
            ["business_id", "waba_id"], ["waba.business_id", "waba.id"], name="fk_migration_intent_business_id_waba_id"
        ),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_migration_intent_app_id"),
        sa.ForeignKeyConstraint(["source_solution_id"], ["solution.id"], name="fk_migration_intent_source_solution_id"),
        sa.ForeignKeyConstraint(["target_solution_id"], ["solution.id"], name="fk_migration_intent_target_solution_id"),
        sa.PrimaryKeyConstraint("id", name="pk_migration_intent"),
    )
    op.create_index("ix_migration_intent_waba_id_app_id", "migration_intent", ["waba_id", "app_id"])
    op.create_index(
        "uq_migration_intent_open",
        "migration_intent",
        ["waba_id", "app_id"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
