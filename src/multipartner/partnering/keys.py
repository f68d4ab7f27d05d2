"""The deployment's keys: its beginning, and the ring of signing keys."""

import secrets
from collections.abc import Sequence

import msgspec

from multipartner.crypto.sealing import KEY_BYTES, MasterKeys
from multipartner.crypto.signing import new_private_key
from multipartner.domain.events import EventKind
from multipartner.domain.keyring import PUBLISH_AHEAD_S, signing_kid, state
from multipartner.domain.lifetime import Lifetime
from multipartner.partnering.acting import Act, ChangeRefused, Outcome, UnknownEntity, outcome
from multipartner.partnering.credentials import newest_mac_key
from multipartner.storage.change_ports import Changes, ChangeStore, Effect
from multipartner.storage.ports import SealedKeyRecord, SigningKeyRecord


class KeyState(msgspec.Struct, frozen=True):
    """A key of the ring as an operator sees it (Unix seconds); `state` is published, signing, verifying or gone."""

    kid: str
    state: str
    published_at_s: int
    signs_from_s: int
    retired_at_s: int | None


class Retired(msgspec.Struct, frozen=True):
    """What became of a retirement, and how long the key still matters (Unix seconds, each at the latest).

    `signs_until_s`: the windows that had begun are over. `verifies_until_s`: what it signed for them has expired.
    """

    changed: bool
    text: str
    retired_at_s: int
    signs_until_s: int
    verifies_until_s: int


class Dropped(msgspec.Struct, frozen=True):
    """What became of a drop; `replacement` is the kid of the key made in its place, if one was needed."""

    text: str
    replacement: str | None


async def init_deployment(store: ChangeStore, master: MasterKeys, act: Act) -> str:
    """Make the deployment's row and first keys; returns the kid of the one that signs. Raises ChangeRefused if there is one."""
    async with store.transaction() as changes:
        if await changes.deployment() is not None:
            raise ChangeRefused("the deployment exists already")
        await changes.mark_deployment(act.mark())
        mac_key_id = secrets.token_hex(8)
        sealed = master.seal(secrets.token_bytes(KEY_BYTES), "sealed_key", mac_key_id)
        await changes.add_sealed_key(SealedKeyRecord(mac_key_id, "mac", sealed), act.now_s)
        await changes.record(act.event(EventKind.DEPLOYMENT_CREATED))
        return await _publish(changes, master, act, act.now_s)


async def list_keys(store: ChangeStore, now_s: int, lifetime_s: int) -> Sequence[KeyState]:
    """All keys of the ring, oldest first."""
    async with store.reading() as changes:
        keys = await changes.signing_keys()
    return [
        KeyState(k.kid, state(keys, k.kid, now_s, lifetime_s), k.published_at_s, k.signs_from_s, k.retired_at_s) for k in keys
    ]


async def rotate(store: ChangeStore, master: MasterKeys, act: Act, *, at_once: bool = False) -> tuple[str, int]:
    """Publish a new key that signs windows from when every verifier has fetched it; `at_once` does not wait for them.

    Returns its kid, and from when it signs (Unix seconds). The keys before it go on verifying until they are retired.
    """
    signs_from_s = act.now_s + (0 if at_once else PUBLISH_AHEAD_S)
    async with store.transaction() as changes:
        await newest_mac_key(changes, master)
        return await _publish(changes, master, act, signs_from_s), signs_from_s


async def retire(store: ChangeStore, act: Act, kid: str) -> Outcome:
    """Stop a key from signing windows from now on; what it signed verifies to its expiry.

    Raises ChangeRefused if nobody would be left to sign.
    """
    async with store.transaction() as changes:
        effect = await changes.retire_signing_key(kid, act.now_s)
        if effect is Effect.REFUSED:
            raise ChangeRefused(f"key {kid}: no other key signs now; rotate first, and wait until the new key signs")
        ended = outcome(effect, f"key {kid:.60}", "retired")
        if ended.changed:
            await changes.record(act.event(EventKind.KEY_RETIRED, kid=kid))
    return ended


async def retire_from(store: ChangeStore, act: Act, kid: str, lifetime: Lifetime) -> Retired:
    """As `retire`, and tell how long the key still matters to a deployment whose tokens live so long."""
    ended = await retire(store, act, kid)
    async with store.reading() as changes:
        retired_at_s = next((k.retired_at_s for k in await changes.signing_keys() if k.kid == kid), None)
    since_s = act.now_s if retired_at_s is None else retired_at_s
    return Retired(ended.changed, ended.text, since_s, since_s + lifetime.reissue_s, since_s + lifetime.lifetime_s)


async def drop(store: ChangeStore, master: MasterKeys, act: Act, kid: str) -> Dropped:
    """Delete a compromised key. Every token of the deployment is dead at once, and another key signs at once.

    Offline verifiers obey when they fetch the key set again.
    """
    async with store.transaction() as changes:
        since = {key.kid: key.signs_from_s for key in await changes.signing_keys()}
        if await changes.drop_signing_key(kid) is Effect.UNKNOWN:
            raise UnknownEntity(f"key {kid:.60}: unknown")
        await changes.mark_deployment(act.mark())
        await changes.record(act.event(EventKind.KEY_DROPPED, kid=kid))
        signs = _due(await changes.signing_keys(), act.now_s)
        # It takes over the dropped key's windows, those that run now included: a retired key must not fill in for it.
        replacement = None if signs else await _publish(changes, master, act, since[kid])
    text = f"key {kid}: dropped; every token issued before is dead"
    return Dropped(f"{text}; {replacement} signs in its place" if replacement else text, replacement)


async def _publish(changes: Changes, master: MasterKeys, act: Act, signs_from_s: int) -> str:
    kid, private, public = new_private_key()
    await changes.add_signing_key(
        SigningKeyRecord(
            kid=kid,
            public_key=public,
            private_sealed=master.seal(private, "signing_key", kid),
            published_at_s=act.now_s,
            signs_from_s=signs_from_s,
            retired_at_s=None,
        )
    )
    await changes.record(act.event(EventKind.KEY_PUBLISHED, kid=kid, signs_from_s=str(signs_from_s)))
    return kid


def _due(keys: Sequence[SigningKeyRecord], now_s: int) -> bool:
    """Whether a key that verifiers know signs now. The ring's own rule would in need sign with one that is not due yet."""
    return any(k.signs_from_s <= now_s and (k.retired_at_s is None or now_s < k.retired_at_s) for k in keys)


async def check_keys(store: ChangeStore, master: MasterKeys, now_s: int) -> str:
    """Open every key of the deployment; returns the kid that signs now. Raises SealBroken, ChangeRefused."""
    async with store.reading() as changes:
        signing, sealed = await changes.signing_keys(), await changes.sealed_keys()
    for record in sealed:
        master.open(record.sealed, "sealed_key", record.id)
    for key in signing:
        master.open(key.private_sealed, "signing_key", key.kid)
    kid = signing_kid(signing, now_s)
    if kid is None:
        raise ChangeRefused("no key signs now; run `multipartner keys rotate --now`")
    return kid
