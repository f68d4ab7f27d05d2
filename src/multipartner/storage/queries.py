"""What the read side asks, once, for every database. `rows` turns the answers into the domain's values."""

from typing import Final

import sqlalchemy as sa

from multipartner.storage.tables import (
    app,
    app_grant,
    change,
    connection,
    credential,
    deployment,
    outbox,
    resource_server,
    sealed_key,
    share,
    share_waba,
    signing_key,
    solution,
)

_app_id = sa.bindparam("app_id", type_=sa.Text)
_solution_id = sa.bindparam("solution_id", type_=sa.Text)
_business_id = sa.bindparam("business_id", type_=sa.Text)

CALLER: Final = (
    sa.select(
        credential.c.id,
        credential.c.system_user_id,
        credential.c.app_id,
        credential.c.permissions,
        credential.c.mac,
        credential.c.mac_key_id,
        credential.c.expires_at_s,
        credential.c.revoked_at_s,
        credential.c.created_at_s,
        app.c.proof_required,
        app.c.secret_sealed,
        app.c.calls_per_hour,
        app.c.calls_per_business_per_hour,
        app.c.connected_businesses,
    )
    .join(app, app.c.id == credential.c.app_id)
    .where(credential.c.id == sa.bindparam("credential_id", type_=sa.Text))
)

APP: Final = sa.select(
    app.c.id,
    app.c.name,
    app.c.business_id,
    app.c.status,
    app.c.proof_required,
    app.c.secret_sealed,
    app.c.calls_per_hour,
    app.c.calls_per_business_per_hour,
    app.c.connected_businesses,
).where(app.c.id == _app_id)

_shared_wabas = (
    sa.select(sa.func.aggregate_strings(share_waba.c.waba_id, " "))
    .where(share_waba.c.business_id == _business_id, share_waba.c.solution_id == _solution_id)
    .scalar_subquery()
)

_OF_SOLUTION: Final = (
    deployment.c.generation,
    deployment.c.changed_at_s,
    app.c.status,
    app.c.generation,
    app.c.changed_at_s,
    solution.c.status,
    solution.c.owner_app_id,
    solution.c.partner_app_id,
    solution.c.owner_messaging,
    solution.c.partner_messaging,
    solution.c.generation,
    solution.c.changed_at_s,
)
_OF_CUSTOMER: Final = (
    connection.c.app_id,
    share.c.status,
    share.c.permissions,
    share.c.generation,
    share.c.changed_at_s,
    _shared_wabas,
    app_grant.c.status,
    app_grant.c.generation,
    app_grant.c.changed_at_s,
)


def _with_customer(tables: sa.FromClause) -> sa.FromClause:
    return (
        tables.outerjoin(connection, sa.and_(connection.c.app_id == _app_id, connection.c.business_id == _business_id))
        .outerjoin(share, sa.and_(share.c.business_id == _business_id, share.c.solution_id == _solution_id))
        .outerjoin(
            app_grant,
            sa.and_(
                app_grant.c.business_id == _business_id,
                app_grant.c.solution_id == _solution_id,
                app_grant.c.app_id == _app_id,
            ),
        )
    )


_everything = _with_customer(deployment.outerjoin(app, app.c.id == _app_id).outerjoin(solution, solution.c.id == _solution_id))

FACTS: Final = sa.select(*_OF_SOLUTION, *_OF_CUSTOMER).select_from(_everything)
"""One statement, so that all facts are of one moment. No row: the database has no deployment yet."""

OF_SOLUTION_COLUMNS: Final = len(_OF_SOLUTION)
"""So many of the first columns of `FACTS` are the same for all customers of an app and a solution."""

_revision = sa.select(sa.func.max(change.c.revision)).scalar_subquery()

FACTS_AND_REVISION: Final = sa.select(_revision, *_OF_SOLUTION, *_OF_CUSTOMER).select_from(_everything)
"""`FACTS` behind the newest revision of that moment (NULL: nothing ever changed)."""

CUSTOMER_AND_REVISION: Final = sa.select(_revision, *_OF_CUSTOMER).select_from(_with_customer(deployment))
"""The other columns of `FACTS`, behind the newest revision. Where it is the same, the first ones are the same as well."""

SIGNING_KEYS: Final = sa.select(
    signing_key.c.kid,
    signing_key.c.public_key,
    signing_key.c.private_sealed,
    signing_key.c.published_at_s,
    signing_key.c.signs_from_s,
    signing_key.c.retired_at_s,
).order_by(signing_key.c.signs_from_s, signing_key.c.kid)

SEALED_KEYS: Final = sa.select(sealed_key.c.id, sealed_key.c.purpose, sealed_key.c.sealed).order_by(
    sealed_key.c.created_at_s, sealed_key.c.id
)

RESOURCE_SERVER: Final = sa.select(
    resource_server.c.id,
    resource_server.c.name,
    resource_server.c.mac,
    resource_server.c.mac_key_id,
    resource_server.c.revoked_at_s,
).where(resource_server.c.id == sa.bindparam("server_id", type_=sa.Text))

CHANGES_FROM: Final = (
    sa.select(change.c.revision, change.c.kind, change.c.key1, change.c.key2)
    .where(change.c.revision >= sa.bindparam("revision", type_=sa.BigInteger))
    .order_by(change.c.revision)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
"""From the last row known, which is asked for again: if it is gone or another, the feed was pruned or the database replaced."""

NEWEST_CHANGE: Final = (
    sa.select(change.c.revision, change.c.kind, change.c.key1, change.c.key2).order_by(change.c.revision.desc()).limit(1)
)

OUTBOX: Final = sa.select(outbox.c.id, outbox.c.event).order_by(outbox.c.id).limit(sa.bindparam("most", type_=sa.Integer))

_standby = sa.func.pg_is_in_recovery().label("standby")
_server = sa.select(_standby).subquery("server")
_timeline = sa.func.left(sa.func.pg_walfile_name(sa.func.pg_current_wal_lsn()), 8)
_newest_server = sa.select(
    _standby,
    sa.func.pg_postmaster_start_time().label("started"),
    # Eight hexadecimal digits that grow with every promotion. Asking a standby for them is an error.
    sa.case((sa.func.pg_is_in_recovery(), ""), else_=_timeline).label("timeline"),
).subquery("server")
_news = CHANGES_FROM.subquery("news")
_newest = NEWEST_CHANGE.subquery("newest")

POSTGRES_CHANGES: Final = (
    sa.select(_server.c.standby, _news.c.revision, _news.c.kind, _news.c.key1, _news.c.key2)
    .select_from(_server.outerjoin(_news, sa.true()))
    .order_by(_news.c.revision)
)
"""CHANGES_FROM, and whether the server may speak for the deployment: a standby does not know what was acknowledged since.
At least one row; its revision is NULL when there is no change.
"""

POSTGRES_NEWEST: Final = sa.select(
    _newest_server.c.standby,
    _newest_server.c.started,
    _newest_server.c.timeline,
    _newest.c.revision,
    _newest.c.kind,
    _newest.c.key1,
    _newest.c.key2,
).select_from(_newest_server.outerjoin(_newest, sa.true()))
"""NEWEST_CHANGE, and which server this is. One row."""

POSTGRES_SERVER: Final = sa.select(
    sa.func.pg_postmaster_start_time(), sa.func.set_config("default_transaction_read_only", "on", sa.false())
)
"""Which server this is; from here on the session writes nothing."""
