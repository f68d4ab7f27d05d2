"""The facts as the first version keeps them. Frozen: later versions go from here."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run by Alembic."""
    _feed()
    _keys()
    _identities()
    _accounts()
    _solutions()
    _shares()


def _feed() -> None:
    op.create_table(
        "change",
        sa.Column("revision", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key1", sa.Text(), nullable=False),
        sa.Column("key2", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_change"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
    )


def _keys() -> None:
    op.create_table(
        "deployment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("generation", sa.String(length=11), nullable=False),
        sa.Column("changed_at_s", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_deployment_single")),
        sa.PrimaryKeyConstraint("id", name="pk_deployment"),
    )
    op.create_table(
        "sealed_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at_s", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("purpose IN ('mac')", name=op.f("ck_sealed_key_purpose")),
        sa.PrimaryKeyConstraint("id", name="pk_sealed_key"),
    )
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("private_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("published_at_s", sa.BigInteger(), nullable=False),
        sa.Column("signs_from_s", sa.BigInteger(), nullable=False),
        sa.Column("retired_at_s", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("kid", name="pk_signing_key"),
    )
    op.create_table(
        "resource_server",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("mac_key_id", sa.Text(), nullable=False),
        sa.Column("created_at_s", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at_s", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["mac_key_id"], ["sealed_key.id"], name="fk_resource_server_mac_key_id"),
        sa.PrimaryKeyConstraint("id", name="pk_resource_server"),
    )


def _identities() -> None:
    op.create_table(
        "business",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_business"),
    )
    op.create_table(
        "app",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("business_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("proof_required", sa.Boolean(name="proof_required"), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("calls_per_hour", sa.BigInteger(), nullable=True),
        sa.Column("calls_per_business_per_hour", sa.BigInteger(), nullable=True),
        sa.Column("connected_businesses", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("generation", sa.String(length=11), nullable=False),
        sa.Column("changed_at_s", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('ACTIVE', 'SUSPENDED')", name=op.f("ck_app_status")),
        sa.ForeignKeyConstraint(["business_id"], ["business.id"], name="fk_app_business_id"),
        sa.PrimaryKeyConstraint("id", name="pk_app"),
    )
    op.create_table(
        "system_user",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("business_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["business_id"], ["business.id"], name="fk_system_user_business_id"),
        sa.PrimaryKeyConstraint("id", name="pk_system_user"),
    )
    op.create_table(
        "credential",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("system_user_id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("mac_key_id", sa.Text(), nullable=False),
        sa.Column("created_at_s", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_s", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at_s", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_credential_app_id"),
        sa.ForeignKeyConstraint(["mac_key_id"], ["sealed_key.id"], name="fk_credential_mac_key_id"),
        sa.ForeignKeyConstraint(["system_user_id"], ["system_user.id"], name="fk_credential_system_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_credential"),
    )
    op.create_index("ix_credential_app_id", "credential", ["app_id"])


def _accounts() -> None:
    op.create_table(
        "waba",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("business_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["business_id"], ["business.id"], name="fk_waba_business_id"),
        sa.PrimaryKeyConstraint("id", name="pk_waba"),
        sa.UniqueConstraint("business_id", "id", name="uq_waba_business_id_id"),
    )
    op.create_table(
        "phone_number",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("waba_id", sa.Text(), nullable=False),
        sa.Column("business_id", sa.Text(), nullable=False),
        sa.Column("display_phone_number", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["business_id", "waba_id"], ["waba.business_id", "waba.id"], name="fk_phone_number_business_id_waba_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_phone_number"),
    )
    op.create_index("ix_phone_number_business_id_waba_id", "phone_number", ["business_id", "waba_id"])


def _solutions() -> None:
    op.create_table(
        "solution",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("owner_app_id", sa.Text(), nullable=False),
        sa.Column("partner_app_id", sa.Text(), nullable=False),
        sa.Column("owner_messaging", sa.Boolean(name="owner_messaging"), nullable=False),
        sa.Column("partner_messaging", sa.Boolean(name="partner_messaging"), nullable=False),
        sa.Column("generation", sa.String(length=11), nullable=False),
        sa.Column("changed_at_s", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "status IN ('DRAFT', 'INITIATED', 'ACTIVE', 'PENDING_DEACTIVATION', 'REJECTED', 'DEACTIVATED')",
            name=op.f("ck_solution_status"),
        ),
        sa.CheckConstraint("owner_app_id <> partner_app_id", name=op.f("ck_solution_two_apps")),
        sa.ForeignKeyConstraint(["owner_app_id"], ["app.id"], name="fk_solution_owner_app_id"),
        sa.ForeignKeyConstraint(["partner_app_id"], ["app.id"], name="fk_solution_partner_app_id"),
        sa.PrimaryKeyConstraint("id", name="pk_solution"),
    )
    op.create_index("ix_solution_owner_app_id", "solution", ["owner_app_id"])
    op.create_index("ix_solution_partner_app_id", "solution", ["partner_app_id"])
    op.create_table(
        "connection",
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("business_id", sa.Text(), nullable=False),
        sa.Column("connected_at_s", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_connection_app_id"),
        sa.ForeignKeyConstraint(["business_id"], ["business.id"], name="fk_connection_business_id"),
        sa.PrimaryKeyConstraint("app_id", "business_id", name="pk_connection"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_connection_business_id", "connection", ["business_id"])


def _shares() -> None:
    op.create_table(
        "share",
        sa.Column("business_id", sa.Text(), nullable=False),
        sa.Column("solution_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("permissions", sa.Text(), nullable=False),
        sa.Column("generation", sa.String(length=11), nullable=False),
        sa.Column("changed_at_s", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('ACTIVE', 'WITHDRAWN')", name=op.f("ck_share_status")),
        sa.ForeignKeyConstraint(["business_id"], ["business.id"], name="fk_share_business_id"),
        sa.ForeignKeyConstraint(["solution_id"], ["solution.id"], name="fk_share_solution_id"),
        sa.PrimaryKeyConstraint("business_id", "solution_id", name="pk_share"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_share_solution_id", "share", ["solution_id"])
    op.create_table(
        "share_waba",
        sa.Column("business_id", sa.Text(), nullable=False),
        sa.Column("solution_id", sa.Text(), nullable=False),
        sa.Column("waba_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["business_id", "solution_id"],
            ["share.business_id", "share.solution_id"],
            name="fk_share_waba_business_id_solution_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["business_id", "waba_id"], ["waba.business_id", "waba.id"], name="fk_share_waba_business_id_waba_id"
        ),
        sa.PrimaryKeyConstraint("business_id", "solution_id", "waba_id", name="pk_share_waba"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "app_grant",
        sa.Column("business_id", sa.Text(), nullable=False),
        sa.Column("solution_id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("generation", sa.String(length=11), nullable=False),
        sa.Column("changed_at_s", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('ACTIVE', 'REVOKED')", name=op.f("ck_app_grant_status")),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name="fk_app_grant_app_id"),
        sa.ForeignKeyConstraint(
            ["business_id", "solution_id"],
            ["share.business_id", "share.solution_id"],
            name="fk_app_grant_business_id_solution_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("business_id", "solution_id", "app_id", name="pk_app_grant"),
        sqlite_with_rowid=False,
    )
