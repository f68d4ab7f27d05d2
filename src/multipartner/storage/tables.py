"""The schema, once, for SQLite and PostgreSQL.

Ids are text. Times are Unix seconds. A row that a generation stands in has `generation` (64 random bits, base64url)
and `changed_at_s`. Tenant keys are composite, so that a WABA can only be shared by the business that owns it. Tables
with such a key lie in its order (`WITHOUT ROWID` on SQLite): a quarter less file, a cold grant on fewer pages.
Triggers on the fact tables (see `triggers`) feed `change`: a writer that is not ours cannot forget it.
"""

from typing import Final

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

Serial: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A BIGINT that SQLite still numbers by itself."""


def _generation() -> tuple[sa.Column[str], sa.Column[int]]:
    return sa.Column("generation", sa.String(11), nullable=False), sa.Column("changed_at_s", sa.BigInteger, nullable=False)


def _one_of(column: str, *values: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


deployment = sa.Table(
    "deployment",
    metadata,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1", name="single"), primary_key=True),
    *_generation(),
)

business = sa.Table("business", metadata, sa.Column("id", sa.Text, primary_key=True), sa.Column("name", sa.Text, nullable=False))

app = sa.Table(
    "app",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("business_id", sa.Text, sa.ForeignKey("business.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("proof_required", sa.Boolean(name="proof_required"), nullable=False),
    sa.Column("secret_sealed", sa.LargeBinary, nullable=False),
    sa.Column("calls_per_hour", sa.BigInteger),
    sa.Column("calls_per_business_per_hour", sa.BigInteger),
    sa.Column("connected_businesses", sa.BigInteger, nullable=False, server_default="0"),
    *_generation(),
    _one_of("status", "ACTIVE", "SUSPENDED"),
)
"""`calls_per_hour` NULL means 200 for each connected business; `connected_businesses` is kept by a trigger on `connection`."""

system_user = sa.Table(
    "system_user",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("business_id", sa.Text, sa.ForeignKey("business.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
)

credential = sa.Table(
    "credential",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("system_user_id", sa.Text, sa.ForeignKey("system_user.id"), nullable=False),
    sa.Column("app_id", sa.Text, sa.ForeignKey("app.id"), nullable=False),
    sa.Column("permissions", sa.Text, nullable=False),
    sa.Column("mac", sa.LargeBinary, nullable=False),
    sa.Column("mac_key_id", sa.Text, sa.ForeignKey("sealed_key.id"), nullable=False),
    sa.Column("created_at_s", sa.BigInteger, nullable=False),
    sa.Column("expires_at_s", sa.BigInteger),
    sa.Column("revoked_at_s", sa.BigInteger),
    sa.Index(None, "app_id"),
)
"""`permissions`: values of `domain.model.Permission`, sorted, one space between."""

waba = sa.Table(
    "waba",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("business_id", sa.Text, sa.ForeignKey("business.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.UniqueConstraint("business_id", "id"),
)

phone_number = sa.Table(
    "phone_number",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("waba_id", sa.Text, nullable=False),
    sa.Column("business_id", sa.Text, nullable=False),
    sa.Column("display_phone_number", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["business_id", "waba_id"], ["waba.business_id", "waba.id"]),
    sa.Index(None, "business_id", "waba_id"),
)

solution = sa.Table(
    "solution",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("owner_app_id", sa.Text, sa.ForeignKey("app.id"), nullable=False),
    sa.Column("partner_app_id", sa.Text, sa.ForeignKey("app.id"), nullable=False),
    sa.Column("owner_messaging", sa.Boolean(name="owner_messaging"), nullable=False),
    sa.Column("partner_messaging", sa.Boolean(name="partner_messaging"), nullable=False),
    *_generation(),
    _one_of("status", "DRAFT", "INITIATED", "ACTIVE", "PENDING_DEACTIVATION", "REJECTED", "DEACTIVATED"),
    sa.CheckConstraint("owner_app_id <> partner_app_id", name="two_apps"),
    sa.Index(None, "owner_app_id"),
    sa.Index(None, "partner_app_id"),
)

connection = sa.Table(
    "connection",
    metadata,
    sa.Column("app_id", sa.Text, sa.ForeignKey("app.id"), primary_key=True),
    sa.Column("business_id", sa.Text, sa.ForeignKey("business.id"), primary_key=True),
    sa.Column("connected_at_s", sa.BigInteger, nullable=False),
    sa.Index(None, "business_id"),
    sqlite_with_rowid=False,
)

share = sa.Table(
    "share",
    metadata,
    sa.Column("business_id", sa.Text, sa.ForeignKey("business.id"), primary_key=True),
    sa.Column("solution_id", sa.Text, sa.ForeignKey("solution.id"), primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("permissions", sa.Text, nullable=False),
    *_generation(),
    _one_of("status", "ACTIVE", "WITHDRAWN"),
    sa.Index(None, "solution_id"),
    sqlite_with_rowid=False,
)

share_waba = sa.Table(
    "share_waba",
    metadata,
    sa.Column("business_id", sa.Text, primary_key=True),
    sa.Column("solution_id", sa.Text, primary_key=True),
    sa.Column("waba_id", sa.Text, primary_key=True),
    sa.ForeignKeyConstraint(["business_id", "solution_id"], ["share.business_id", "share.solution_id"], ondelete="CASCADE"),
    sa.ForeignKeyConstraint(["business_id", "waba_id"], ["waba.business_id", "waba.id"]),
    sqlite_with_rowid=False,
)

app_grant = sa.Table(
    "app_grant",
    metadata,
    sa.Column("business_id", sa.Text, primary_key=True),
    sa.Column("solution_id", sa.Text, primary_key=True),
    sa.Column("app_id", sa.Text, sa.ForeignKey("app.id"), primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    *_generation(),
    _one_of("status", "ACTIVE", "REVOKED"),
    sa.ForeignKeyConstraint(["business_id", "solution_id"], ["share.business_id", "share.solution_id"], ondelete="CASCADE"),
    sqlite_with_rowid=False,
)
"""The grant: one row per share and app (`grant` is a reserved word); made together with the share."""

migration_intent = sa.Table(
    "migration_intent",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("waba_id", sa.Text, nullable=False),
    sa.Column("business_id", sa.Text, nullable=False),
    sa.Column("app_id", sa.Text, sa.ForeignKey("app.id"), nullable=False),
    sa.Column("source_solution_id", sa.Text, sa.ForeignKey("solution.id"), nullable=False),
    sa.Column("target_solution_id", sa.Text, sa.ForeignKey("solution.id"), nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("set_at_s", sa.BigInteger, nullable=False),
    sa.Column("changed_at_s", sa.BigInteger, nullable=False),
    sa.Column("not_before_s", sa.BigInteger),
    _one_of("status", "INITIATED", "ACCEPTED", "COMPLETED", "REJECTED"),
    sa.CheckConstraint("source_solution_id <> target_solution_id", name="two_solutions"),
    sa.ForeignKeyConstraint(["business_id", "waba_id"], ["waba.business_id", "waba.id"]),
    sa.Index(None, "waba_id", "app_id"),
)
"""`app_id` asked for the move. Of one app and WABA at most one waits for the customer; of those that ended a few are kept."""

_waits = migration_intent.c.status == "INITIATED"
sa.Index(
    "uq_migration_intent_open",
    migration_intent.c.waba_id,
    migration_intent.c.app_id,
    unique=True,
    sqlite_where=_waits,
    postgresql_where=_waits,
)

signing_key = sa.Table(
    "signing_key",
    metadata,
    sa.Column("kid", sa.Text, primary_key=True),
    sa.Column("public_key", sa.LargeBinary, nullable=False),
    sa.Column("private_sealed", sa.LargeBinary, nullable=False),
    sa.Column("published_at_s", sa.BigInteger, nullable=False),
    sa.Column("signs_from_s", sa.BigInteger, nullable=False),
    sa.Column("retired_at_s", sa.BigInteger),
)
"""Ed25519. Signs windows that start in [signs_from_s, retired_at_s); gone from the ring one lifetime after `retired_at_s`."""

sealed_key = sa.Table(
    "sealed_key",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("created_at_s", sa.BigInteger, nullable=False),
    _one_of("purpose", "mac"),
)

resource_server = sa.Table(
    "resource_server",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("mac", sa.LargeBinary, nullable=False),
    sa.Column("mac_key_id", sa.Text, sa.ForeignKey("sealed_key.id"), nullable=False),
    sa.Column("created_at_s", sa.BigInteger, nullable=False),
    sa.Column("revoked_at_s", sa.BigInteger),
)

change = sa.Table(
    "change",
    metadata,
    sa.Column("revision", Serial, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key1", sa.Text, nullable=False),
    sa.Column("key2", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
"""The feed. `kind` and keys: see `ports.Change`. Old rows may be pruned: a reader that finds a gap drops everything."""

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("event", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
"""Trail events of changes, committed with the change itself and then moved to the trail."""


trail_metadata = sa.MetaData(naming_convention=metadata.naming_convention)
"""On SQLite the trail is a file of its own."""

trail_event = sa.Table(
    "trail_event",
    trail_metadata,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("at_s", sa.BigInteger, nullable=False),
    sa.Column("trace_id", sa.Text, nullable=False),
    sa.Column("outbox_id", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Index(None, "trace_id"),
    sa.Index(None, "at_s"),
    sqlite_with_rowid=False,
)
"""`hash` = SHA-256(previous hash, chain, seq, body); `body` is the event's JSON. `outbox_id` makes moving idempotent.
Rows lie in the order of their key, and events of no outbox stand in no index of it: each index costs a token 3 us."""

_moved = trail_event.c.outbox_id.is_not(None)
sa.Index("uq_trail_event_outbox_id", trail_event.c.outbox_id, unique=True, sqlite_where=_moved, postgresql_where=_moved)

refusal = sa.Table(
    "refusal",
    trail_metadata,
    sa.Column("id", Serial, primary_key=True, autoincrement=True),
    sa.Column("trace_id", sa.Text, nullable=False),
    sa.Column("known", sa.Boolean(name="known"), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index(None, "trace_id"),
    sa.Index(None, "known", "id"),
    sqlite_autoincrement=True,
)
"""The last refusals, unchained. `known`: the caller was authenticated; strangers have a share of the room of their own."""
