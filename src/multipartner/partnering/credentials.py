"""Caller tokens and resource servers' credentials: made, shown once, revoked. The store keeps a fingerprint only.

App secrets: renewed, shown once. The store keeps them sealed, because proofs are checked with them.
"""

from collections.abc import Sequence

import msgspec

from multipartner.crypto.credentials import CredentialType, MacKey, mac_of, new_app_secret, new_credential
from multipartner.crypto.sealing import MasterKeys
from multipartner.domain.events import EventKind
from multipartner.domain.model import AppId, CredentialId, Permission, Permissions, Secret, SystemUserId, names_of
from multipartner.partnering.acting import Act, ChangeRefused, Outcome, UnknownEntity, outcome
from multipartner.storage.change_ports import Changes, ChangeStore, Credential, Effect, Fingerprint
from multipartner.storage.ports import ResourceServerRecord


class Wanted(msgspec.Struct, frozen=True):
    """A caller token to be made. `expires_at_s` in Unix seconds; None: it does not expire."""

    system_user_id: SystemUserId
    app_id: AppId
    permissions: Permissions
    expires_at_s: int | None = None


class Made(msgspec.Struct, frozen=True):
    """A credential's id, and its text, to be shown once."""

    id: str
    text: Secret


async def create_credential(store: ChangeStore, master: MasterKeys, act: Act, wanted: Wanted) -> Made:
    """Make a caller token for a system user of the business that owns the app. Raises ChangeRefused."""
    if not wanted.permissions:
        raise ChangeRefused("a caller token needs at least one permission")
    if wanted.expires_at_s is not None and wanted.expires_at_s <= act.now_s:
        raise ChangeRefused("the caller token would have expired already")
    identifier, text = new_credential(CredentialType.CALLER)
    async with store.transaction() as changes:
        await _check_owners(changes, wanted)
        credential = Credential(
            id=CredentialId(identifier),
            system_user_id=wanted.system_user_id,
            app_id=wanted.app_id,
            permissions=wanted.permissions,
            created_at_s=act.now_s,
            expires_at_s=wanted.expires_at_s,
        )
        await changes.add_credential(credential, await _fingerprint(changes, master, text, CredentialType.CALLER))
        told = {
            "app_id": wanted.app_id,
            "credential_id": identifier,
            "system_user_id": wanted.system_user_id,
            "permissions": " ".join(sorted(p.value for p in wanted.permissions)),
            "expires_at_s": str(wanted.expires_at_s or "never"),
        }
        await changes.record(act.event(EventKind.CREDENTIAL_CREATED, **told))
    return Made(identifier, Secret(text))


async def revoke_credential(store: ChangeStore, act: Act, credential_id: CredentialId) -> Outcome:
    """End a caller token. Granular tokens that it fetched live to their expiry: they stand for the grant."""
    async with store.transaction() as changes:
        ended = outcome(await changes.revoke_credential(credential_id, act.now_s), f"credential {credential_id}", "revoked")
        if ended.changed:
            await changes.record(act.event(EventKind.CREDENTIAL_REVOKED, credential_id=credential_id))
    return ended


async def revoke_access(store: ChangeStore, act: Act, system_user_id: SystemUserId, app_id: AppId) -> Outcome:
    """End all caller tokens of a system user for an app. What they fetched lives on: it stands for the grant."""
    async with store.transaction() as changes:
        revoked = await changes.revoke_credentials(system_user_id, app_id, act.now_s)
        for credential_id in revoked:
            await changes.record(act.event(EventKind.CREDENTIAL_REVOKED, app_id=app_id, credential_id=credential_id))
    return _told(system_user_id, app_id, len(revoked), "revoked")


async def narrow_access(
    store: ChangeStore, act: Act, system_user_id: SystemUserId, app_id: AppId, permission: Permission
) -> Outcome:
    """Take a permission out of all caller tokens of a system user for an app; one that has no other is revoked."""
    async with store.transaction() as changes:
        narrowed = await changes.narrow_credentials(system_user_id, app_id, permission, act.now_s)
        for one in narrowed:
            kind = EventKind.CREDENTIAL_NARROWED if one.left else EventKind.CREDENTIAL_REVOKED
            told = {"credential_id": one.id} | ({"permissions": " ".join(names_of(one.left))} if one.left else {})
            await changes.record(act.event(kind, app_id=app_id, **told))
    return _told(system_user_id, app_id, len(narrowed), f"left without {permission.value}")


def _told(system_user_id: SystemUserId, app_id: AppId, changed: int, done: str) -> Outcome:
    what = f"caller tokens of system user {system_user_id} for app {app_id}"
    return Outcome(bool(changed), f"{what}: {f'{changed} {done}' if changed else 'nothing to change'}")


async def list_credentials(store: ChangeStore) -> Sequence[Credential]:
    """All caller tokens ever made, oldest first."""
    async with store.reading() as changes:
        return await changes.credentials()


async def renew_app_secret(store: ChangeStore, master: MasterKeys, act: Act, app_id: AppId) -> Secret:
    """Give an app a new secret; returns it, to be shown once. Proofs made with the old one are refused from now on.

    Tokens live on: none rests on the secret. Raises UnknownEntity, SealBroken.
    """
    secret = new_app_secret()
    async with store.transaction() as changes:
        # Sealed under another deployment's master key, the secret could never be read again.
        await newest_mac_key(changes, master)
        if await changes.renew_app_secret(app_id, master.seal(secret.encode(), "app", "secret", app_id)) is Effect.UNKNOWN:
            raise UnknownEntity(f"app {app_id}: unknown")
        await changes.record(act.event(EventKind.APP_SECRET_RENEWED, app_id=app_id))
    return Secret(secret)


async def create_resource_server(store: ChangeStore, master: MasterKeys, act: Act, name: str) -> Made:
    """Register a resource server: its credential lets it introspect tokens. Raises ChangeRefused."""
    if not 1 <= len(name) <= 75 or not name.isprintable():
        raise ChangeRefused("a resource server's name has 1 to 75 printable characters")
    identifier, text = new_credential(CredentialType.RESOURCE_SERVER)
    async with store.transaction() as changes:
        fingerprint = await _fingerprint(changes, master, text, CredentialType.RESOURCE_SERVER)
        await changes.add_resource_server(identifier, name, fingerprint, act.now_s)
        await changes.record(act.event(EventKind.RESOURCE_SERVER_CREATED, resource_server_id=identifier, name=name))
    return Made(identifier, Secret(text))


async def revoke_resource_server(store: ChangeStore, act: Act, server_id: str) -> Outcome:
    """End a resource server's credential."""
    async with store.transaction() as changes:
        ended = outcome(await changes.revoke_resource_server(server_id, act.now_s), f"resource server {server_id}", "revoked")
        if ended.changed:
            await changes.record(act.event(EventKind.RESOURCE_SERVER_REVOKED, resource_server_id=server_id))
    return ended


async def list_resource_servers(store: ChangeStore) -> Sequence[ResourceServerRecord]:
    """All resource servers ever registered, oldest first."""
    async with store.reading() as changes:
        return await changes.resource_servers()


async def _check_owners(changes: Changes, wanted: Wanted) -> None:
    of_user, of_app = await changes.owners(wanted.system_user_id, wanted.app_id)
    if of_user is None:
        raise UnknownEntity(f"system user {wanted.system_user_id}: unknown")
    if of_app is None:
        raise UnknownEntity(f"app {wanted.app_id}: unknown")
    if of_user != of_app:
        raise ChangeRefused(
            f"system user {wanted.system_user_id} is of business {of_user}, app {wanted.app_id} of business {of_app}"
        )


async def _fingerprint(changes: Changes, master: MasterKeys, text: str, kind: CredentialType) -> Fingerprint:
    key = await newest_mac_key(changes, master)
    return Fingerprint(mac_of(text, kind, key), key.id)


async def newest_mac_key(changes: Changes, master: MasterKeys) -> MacKey:
    """Open the key for new fingerprints; whoever seals anything opens it first, to see that this is the deployment's master key.

    Raises SealBroken, ChangeRefused.
    """
    newest = [key for key in await changes.sealed_keys() if key.purpose == "mac"]
    if not newest:
        raise ChangeRefused("the deployment has no key for fingerprints: run `multipartner init`")
    sealed = newest[-1]
    return MacKey(sealed.id, master.open(sealed.sealed, "sealed_key", sealed.id))
