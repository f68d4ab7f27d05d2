"""What the operators' verbs ask of a store that changes, in their words. Every promise holds for every backend."""

import enum
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from multipartner.domain import world as w
from multipartner.domain.events import Event
from multipartner.domain.graph import SolutionNode
from multipartner.domain.lifecycle import Step
from multipartner.domain.model import (
    AppId,
    BusinessId,
    CredentialId,
    Permission,
    Permissions,
    SolutionId,
    SystemUserId,
    Tenant,
)
from multipartner.storage.migration_ports import MigrationChanges
from multipartner.storage.ports import ResourceServerRecord, SealedKeyRecord, SigningKeyRecord


class Effect(enum.Enum):
    """What became of a change that names a row."""

    DONE = "done"
    ALREADY = "already"
    """The row was in the wanted state; nothing was changed."""
    UNKNOWN = "unknown"
    """There is no such row."""
    REFUSED = "refused"
    """A condition that the change has does not hold; nothing was changed."""


class Mark(msgspec.Struct, frozen=True):
    """The new generation of a row, and when it came (Unix seconds): what bears the old one is dead."""

    generation: str
    changed_at_s: int


class Credential(msgspec.Struct, frozen=True):
    """A caller token's row, without what it is checked by. Times are Unix seconds."""

    id: CredentialId
    system_user_id: SystemUserId
    app_id: AppId
    permissions: Permissions
    created_at_s: int
    expires_at_s: int | None = None
    revoked_at_s: int | None = None


class Narrowed(msgspec.Struct, frozen=True):
    """A caller token that lost a permission, and what it has left; with nothing left it is revoked."""

    id: CredentialId
    left: Permissions


class Fingerprint(msgspec.Struct, frozen=True):
    """The HMAC that a credential is checked by, and which key made it."""

    mac: bytes
    mac_key_id: str


class WorldChanges(Protocol):
    """Declared entities. Callers give only rows that are new or differ: a row that is given is written."""

    async def world(self, named: w.World | None = None) -> w.World:
        """Read all that is declared, in normal form; with `named` only the entities that it names (by id), and their owners.

        With `named` there are no connections: ask `connections_of`.
        """
        ...

    async def connections_of(self, businesses: Sequence[BusinessId]) -> frozenset[w.Connection]:
        """All connections of these businesses, implied by a share or not."""
        ...

    async def put_businesses(self, businesses: Sequence[w.Business]) -> None:
        """Write id and name; WABAs are written by `put_wabas`."""
        ...

    async def put_wabas(self, wabas: Sequence[tuple[BusinessId, w.Waba]]) -> None:
        """Write WABAs with all their phone numbers."""
        ...

    async def put_system_users(self, users: Sequence[w.SystemUser]) -> None:
        """Write system users."""
        ...

    async def add_app(self, app: w.App, secret_sealed: bytes, mark: Mark) -> None:
        """Add a new app."""
        ...

    async def change_app(self, app: w.App, mark: Mark | None) -> None:
        """Write an app's declared fields; a mark gives it a new generation. The secret stays."""
        ...

    async def add_solution(self, solution: w.Solution, mark: Mark) -> None:
        """Add a new solution."""
        ...

    async def change_solution(self, solution: w.Solution, mark: Mark | None) -> None:
        """Write name, status and who may message; its apps stay. A mark gives it a new generation."""
        ...

    async def connect(self, connections: Sequence[w.Connection], now_s: int) -> None:
        """Make connections; those that are there already stay as they are."""
        ...

    async def add_share(self, share: w.Share, mark: Mark, grants: Mapping[AppId, Mark]) -> None:
        """Add a share with its WABAs, and a grant for each of the solution's apps."""
        ...

    async def change_share(self, share: w.Share, mark: Mark) -> None:
        """Write status, permissions and WABAs, with a new generation. Grants are changed by `set_grant`."""
        ...


class LifeChanges(Protocol):
    """One row at a time, each by one conditional statement."""

    async def set_app_status(self, app_id: AppId, status: w.AppStatus, mark: Mark) -> Effect:
        """Suspend or resume an app."""
        ...

    async def deactivate_solution(self, solution_id: SolutionId, mark: Mark) -> Effect:
        """Deactivate a solution."""
        ...

    async def withdraw_share(self, business_id: BusinessId, solution_id: SolutionId, mark: Mark) -> Effect:
        """Withdraw a share; its connections, WABAs and grants stay."""
        ...

    async def set_grant(self, tenant: Tenant, mark: Mark, *, active: bool) -> Effect:
        """Revoke or restore one app's grant."""
        ...


class SolutionChanges(Protocol):
    """What two companies do with a solution."""

    async def solution_node(self, solution_id: SolutionId) -> SolutionNode | None:
        """Read a solution with its apps; None when there is none."""
        ...

    async def app_active(self, app_id: AppId) -> bool | None:
        """Whether an app is not suspended; None when there is none."""
        ...

    async def invitations(self, owner_app_id: AppId) -> int:
        """How many of its solutions wait for their partner's answer."""
        ...

    async def is_free(self, some_id: str) -> bool:
        """Whether nothing of any kind has this id."""
        ...

    async def take_step(self, solution_id: SolutionId, app_id: AppId, step: Step, mark: Mark) -> bool:
        """Take a step if the solution stands where it leads from, the app is on its side and not suspended: one statement."""
        ...


class AccessChanges(Protocol):
    """Credentials and keys."""

    async def owners(self, system_user_id: SystemUserId, app_id: AppId) -> tuple[BusinessId | None, BusinessId | None]:
        """Whose the system user and the app are; None for one that does not exist."""
        ...

    async def renew_app_secret(self, app_id: AppId, secret_sealed: bytes) -> Effect:
        """Write another secret for an app; its generation stays, for no token rests on the secret."""
        ...

    async def add_credential(self, credential: Credential, fingerprint: Fingerprint) -> None:
        """Add a caller token's row."""
        ...

    async def revoke_credential(self, credential_id: CredentialId, now_s: int) -> Effect:
        """Revoke a caller token."""
        ...

    async def revoke_credentials(self, system_user_id: SystemUserId, app_id: AppId, now_s: int) -> Sequence[CredentialId]:
        """Revoke all caller tokens of a system user for an app; returns those that were not revoked yet."""
        ...

    async def narrow_credentials(
        self, system_user_id: SystemUserId, app_id: AppId, permission: Permission, now_s: int
    ) -> Sequence[Narrowed]:
        """Take a permission out of all caller tokens of a system user for an app that have it and are not revoked."""
        ...

    async def credentials(self) -> Sequence[Credential]:
        """All caller tokens, oldest first."""
        ...

    async def add_resource_server(self, server_id: str, name: str, fingerprint: Fingerprint, now_s: int) -> None:
        """Add a resource server."""
        ...

    async def revoke_resource_server(self, server_id: str, now_s: int) -> Effect:
        """Revoke a resource server's credential."""
        ...

    async def resource_servers(self) -> Sequence[ResourceServerRecord]:
        """All resource servers, oldest first."""
        ...

    async def sealed_keys(self) -> Sequence[SealedKeyRecord]:
        """All sealed keys, oldest first."""
        ...

    async def add_sealed_key(self, key: SealedKeyRecord, now_s: int) -> None:
        """Add a sealed key."""
        ...

    async def signing_keys(self) -> Sequence[SigningKeyRecord]:
        """All keys of the ring, oldest `signs_from_s` first."""
        ...

    async def add_signing_key(self, key: SigningKeyRecord) -> None:
        """Add a key to the ring."""
        ...

    async def retire_signing_key(self, kid: str, now_s: int) -> Effect:
        """Stop a key from signing windows from now on; REFUSED when no other key of the ring signs now."""
        ...

    async def drop_signing_key(self, kid: str) -> Effect:
        """Delete a key of the ring."""
        ...

    async def deployment(self) -> Mark | None:
        """Read the deployment's mark; None before `init`."""
        ...

    async def mark_deployment(self, mark: Mark) -> None:
        """Make the deployment's row, or give it a new generation: no token issued before is good any more."""
        ...


class Changes(WorldChanges, LifeChanges, SolutionChanges, MigrationChanges, AccessChanges, Protocol):
    """One transaction. It sees all of itself and is seen by nobody before its end."""

    async def record(self, event: Event) -> None:
        """Say in the trail what was done; durable together with it."""
        ...


class ChangeStore(Protocol):
    """Where changes are made, one transaction at a time."""

    def transaction(self) -> AbstractAsyncContextManager[Changes]:
        """Begin alone (nobody else changes anything meanwhile), commit at the end, undo everything on an exception.

        When it has ended well, every worker of this host obeys the change from its next request on.
        Raises StorageUnavailable.
        """
        ...

    def reading(self) -> AbstractAsyncContextManager[Changes]:
        """See one moment of it all without keeping anybody waiting; only what reads may be called. Raises StorageUnavailable."""
        ...
