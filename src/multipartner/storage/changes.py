"""The write side of the facts: the port `change_ports.Changes` over a `Database`. One set of statements for every database."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from multipartner.domain import world as w
from multipartner.domain.events import Event
from multipartner.domain.model import AppId, BusinessId, CredentialId, Permission, SolutionId, SystemUserId, Tenant
from multipartner.storage import tables as t
from multipartner.storage.backend import Database
from multipartner.storage.change_ports import Changes, Credential, Effect, Fingerprint, Mark, Narrowed
from multipartner.storage.migration_changes import IntentRows
from multipartner.storage.ports import ResourceServerRecord, SealedKeyRecord, SigningKeyRecord
from multipartner.storage.rows import permissions
from multipartner.storage.world_rows import mark_columns, permissions_text

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class SqlChangeStore:
    """The port `ChangeStore` over a `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Changes]:
        """See the port."""
        async with self._database.transaction() as connection:
            changes = SqlChanges(connection)
            yield changes
            await self._database.put_events(connection, changes.events)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Changes]:
        """See the port."""
        async with self._database.reading() as connection:
            yield SqlChanges(connection)


class SqlChanges(IntentRows):
    """One transaction. `events`: what was recorded in it, to be stored together at its end."""

    def __init__(self, connection: "AsyncConnection") -> None:
        super().__init__(connection)
        self.events: list[Event] = []

    async def record(self, event: Event) -> None:
        """See the port."""
        self.events.append(event)

    async def set_app_status(self, app_id: AppId, status: w.AppStatus, mark: Mark) -> Effect:
        """See the port."""
        return await self._set(t.app, {"id": app_id}, {"status": status.name}, mark_columns(mark))

    async def deactivate_solution(self, solution_id: SolutionId, mark: Mark) -> Effect:
        """See the port."""
        return await self._set(t.solution, {"id": solution_id}, {"status": "DEACTIVATED"}, mark_columns(mark))

    async def withdraw_share(self, business_id: BusinessId, solution_id: SolutionId, mark: Mark) -> Effect:
        """See the port."""
        key = {"business_id": business_id, "solution_id": solution_id}
        return await self._set(t.share, key, {"status": "WITHDRAWN"}, mark_columns(mark))

    async def set_grant(self, tenant: Tenant, mark: Mark, *, active: bool) -> Effect:
        """See the port."""
        key = {"business_id": tenant.business_id, "solution_id": tenant.solution_id, "app_id": tenant.app_id}
        return await self._set(t.app_grant, key, {"status": "ACTIVE" if active else "REVOKED"}, mark_columns(mark))

    async def owners(self, system_user_id: SystemUserId, app_id: AppId) -> tuple[BusinessId | None, BusinessId | None]:
        """See the port."""
        user = await self._connection.scalar(sa.select(t.system_user.c.business_id).where(t.system_user.c.id == system_user_id))
        app = await self._connection.scalar(sa.select(t.app.c.business_id).where(t.app.c.id == app_id))
        return user, app

    async def renew_app_secret(self, app_id: AppId, secret_sealed: bytes) -> Effect:
        """See the port."""
        renewed = await self._connection.execute(sa.update(t.app).where(t.app.c.id == app_id).values(secret_sealed=secret_sealed))
        return Effect.DONE if renewed.rowcount else Effect.UNKNOWN

    async def add_credential(self, credential: Credential, fingerprint: Fingerprint) -> None:
        """See the port."""
        row = msgspec.structs.asdict(credential) | msgspec.structs.asdict(fingerprint)
        await self._connection.execute(sa.insert(t.credential), row | {"permissions": permissions_text(credential.permissions)})

    async def revoke_credential(self, credential_id: CredentialId, now_s: int) -> Effect:
        """See the port."""
        return await self._end(t.credential, credential_id, now_s)

    async def revoke_credentials(self, system_user_id: SystemUserId, app_id: AppId, now_s: int) -> Sequence[CredentialId]:
        """See the port."""
        held = _held_by(system_user_id, app_id)
        ended = sa.update(t.credential).where(*held).values(revoked_at_s=now_s).returning(t.credential.c.id)
        return sorted(await self._connection.scalars(ended))

    async def narrow_credentials(
        self, system_user_id: SystemUserId, app_id: AppId, permission: Permission, now_s: int
    ) -> Sequence[Narrowed]:
        """See the port."""
        c, held = t.credential.c, _held_by(system_user_id, app_id)
        alone = sa.update(t.credential).where(*held, c.permissions == permission.value).values(revoked_at_s=now_s)
        ended = await self._connection.scalars(alone.returning(c.id))
        # Whole words, whatever others there are: a permission that this version does not know stays where it is.
        left = sa.func.trim(sa.func.replace(sa.literal(" ") + c.permissions + " ", f" {permission.value} ", " "))
        less = sa.update(t.credential).where(*held, c.permissions != left).values(permissions=left)
        narrowed = await self._connection.execute(less.returning(c.id, c.permissions))
        found = [Narrowed(credential_id, frozenset()) for credential_id in ended]
        found += [Narrowed(row.id, permissions(row.permissions)) for row in narrowed]
        return sorted(found, key=lambda changed: changed.id)

    async def credentials(self) -> Sequence[Credential]:
        """See the port."""
        rows = await self._connection.execute(sa.select(*t.credential.c).order_by(t.credential.c.created_at_s, t.credential.c.id))
        return [
            Credential(
                id=row["id"],
                system_user_id=row["system_user_id"],
                app_id=row["app_id"],
                permissions=frozenset(Permission(word) for word in row["permissions"].split()),
                created_at_s=row["created_at_s"],
                expires_at_s=row["expires_at_s"],
                revoked_at_s=row["revoked_at_s"],
            )
            for row in rows.mappings()
        ]

    async def add_resource_server(self, server_id: str, name: str, fingerprint: Fingerprint, now_s: int) -> None:
        """See the port."""
        row = msgspec.structs.asdict(fingerprint) | {"id": server_id, "name": name, "created_at_s": now_s}
        await self._connection.execute(sa.insert(t.resource_server), row)

    async def revoke_resource_server(self, server_id: str, now_s: int) -> Effect:
        """See the port."""
        return await self._end(t.resource_server, server_id, now_s)

    async def resource_servers(self) -> Sequence[ResourceServerRecord]:
        """See the port."""
        c = t.resource_server.c
        rows = await self._connection.execute(
            sa.select(c.id, c.name, c.mac, c.mac_key_id, c.revoked_at_s).order_by(c.created_at_s, c.id)
        )
        return [ResourceServerRecord(*row) for row in rows]

    async def sealed_keys(self) -> Sequence[SealedKeyRecord]:
        """See the port."""
        c = t.sealed_key.c
        rows = await self._connection.execute(sa.select(c.id, c.purpose, c.sealed).order_by(c.created_at_s, c.id))
        return [SealedKeyRecord(*row) for row in rows]

    async def add_sealed_key(self, key: SealedKeyRecord, now_s: int) -> None:
        """See the port."""
        await self._connection.execute(sa.insert(t.sealed_key), msgspec.structs.asdict(key) | {"created_at_s": now_s})

    async def signing_keys(self) -> Sequence[SigningKeyRecord]:
        """See the port."""
        rows = await self._connection.execute(
            sa.select(*t.signing_key.c).order_by(t.signing_key.c.signs_from_s, t.signing_key.c.kid)
        )
        return [SigningKeyRecord(**row) for row in rows.mappings()]

    async def add_signing_key(self, key: SigningKeyRecord) -> None:
        """See the port."""
        await self._connection.execute(sa.insert(t.signing_key), msgspec.structs.asdict(key))

    async def retire_signing_key(self, kid: str, now_s: int) -> Effect:
        """See the port."""
        key, other = t.signing_key.c, t.signing_key.alias("other").c
        another_signs = sa.exists().where(
            other.kid != key.kid,
            other.signs_from_s <= now_s,
            sa.or_(other.retired_at_s.is_(None), other.retired_at_s > now_s),
        )
        retired = await self._connection.execute(
            sa.update(t.signing_key).where(key.kid == kid, key.retired_at_s.is_(None), another_signs).values(retired_at_s=now_s)
        )
        if retired.rowcount:
            return Effect.DONE
        row = (await self._connection.execute(sa.select(key.retired_at_s).where(key.kid == kid))).first()
        if row is None:
            return Effect.UNKNOWN
        return Effect.REFUSED if row.retired_at_s is None else Effect.ALREADY

    async def drop_signing_key(self, kid: str) -> Effect:
        """See the port."""
        dropped = await self._connection.execute(sa.delete(t.signing_key).where(t.signing_key.c.kid == kid))
        return Effect.DONE if dropped.rowcount else Effect.UNKNOWN

    async def deployment(self) -> Mark | None:
        """See the port."""
        row = (await self._connection.execute(sa.select(t.deployment.c.generation, t.deployment.c.changed_at_s))).first()
        return Mark(*row) if row else None

    async def mark_deployment(self, mark: Mark) -> None:
        """See the port."""
        row = mark_columns(mark)
        statement = self._insert(t.deployment).on_conflict_do_update(index_elements=["id"], set_=row)
        await self._connection.execute(statement, {"id": 1} | row)

    async def _set(self, table: sa.Table, key: dict[str, str], wanted: dict[str, str], also: dict[str, Any]) -> Effect:
        """Bring one row into the wanted state, if it is not in it; `also` is written only then."""
        row = [table.c[name] == value for name, value in key.items()]
        other = sa.or_(*(table.c[name] != value for name, value in wanted.items()))
        changed = await self._connection.execute(sa.update(table).where(*row, other).values(wanted | also))
        return await self._effect(changed.rowcount, table, row)

    async def _end(self, table: sa.Table, row_id: str, now_s: int) -> Effect:
        """Set `revoked_at_s` once."""
        row = [table.c.id == row_id]
        changed = await self._connection.execute(
            sa.update(table).where(*row, table.c.revoked_at_s.is_(None)).values(revoked_at_s=now_s)
        )
        return await self._effect(changed.rowcount, table, row)

    async def _effect(self, changed: int, table: sa.Table, row: list[sa.ColumnElement[bool]]) -> Effect:
        if changed:
            return Effect.DONE
        exists = await self._connection.scalar(sa.select(sa.literal(1)).select_from(table).where(*row))
        return Effect.ALREADY if exists else Effect.UNKNOWN


def _held_by(system_user_id: SystemUserId, app_id: AppId) -> tuple[sa.ColumnElement[bool], ...]:
    """Say which caller tokens of a system user for an app still stand."""
    c = t.credential.c
    return c.system_user_id == system_user_id, c.app_id == app_id, c.revoked_at_s.is_(None)
