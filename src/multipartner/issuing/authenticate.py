"""Station 2: who asks? The raw token and proof are used up here."""

import functools
import hashlib
import hmac
import os
from collections.abc import Collection
from typing import Protocol

import msgspec

from multipartner.crypto.credentials import IDENTIFIER_CHARS, CredentialType, MacKey, identifier_of, mac_matches, proof_matches
from multipartner.crypto.sealing import MasterKeys, SealBroken
from multipartner.domain.model import Caller, CredentialId, Instant, Secret
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.cache import BoundedCache, SingleFlight
from multipartner.storage.ports import CallerRecord, Reader, StorageUnavailable

BEARER = b"Bearer " + CredentialType.CALLER.value.encode() + b"_"
"""How the Authorization of every caller token begins; the identifier follows, up to `IDENTIFIER_END`."""

IDENTIFIER_END = len(BEARER) + IDENTIFIER_CHARS

_IDENTIFIER = slice(IDENTIFIER_END - IDENTIFIER_CHARS - len(b"Bearer "), IDENTIFIER_END - len(b"Bearer "))

_NO_KEY = MacKey("none", bytes(32))
_NO_MAC = bytes(32)
KNOWN_CALLERS = 20_000


def unsealed(master: MasterKeys, sealed: bytes, *row: str) -> bytes:
    """Open a sealed value of the store; one that does not open is a fault of the store. Raises StorageUnavailable."""
    try:
        return master.open(sealed, *row)
    except SealBroken as error:
        raise StorageUnavailable(str(error)) from error


class Known(msgspec.Struct, gc=False):
    """A caller whose record is in memory. `proven` is a keyed fingerprint of the token that last proved to be its own."""

    record: CallerRecord
    proven: bytes = b""
    touched: bool = False
    alive: bool = False

    @property
    def caller(self) -> Caller:
        """Who it is."""
        return self.record.caller


class Presenting(Protocol):
    """What station 2 takes from a request."""

    @property
    def bearer(self) -> Secret | None:
        """The caller token's text."""
        ...

    @property
    def proof(self) -> Secret | None:
        """`appsecret_proof`."""
        ...

    @property
    def query_token(self) -> bool:
        """Whether the token came in the query."""
        ...

    @property
    def now(self) -> Instant:
        """When it came."""
        ...


class MacKeys:
    """The keys under which fingerprints of credentials are made, opened once."""

    def __init__(self, reader: Reader, master: MasterKeys) -> None:
        self._reader = reader
        self._master = master
        self._keys: dict[str, MacKey] = {}

    async def get(self, key_id: str) -> MacKey:
        """Raises StorageUnavailable when no such key can be had."""
        key = self._keys.get(key_id)
        if key is None:
            for record in await self._reader.sealed_keys():
                if record.purpose == "mac":
                    self._keys[record.id] = MacKey(record.id, unsealed(self._master, record.sealed, "sealed_key", record.id))
            key = self._keys.get(key_id)
            if key is None:
                raise StorageUnavailable("a credential names a fingerprint key that is not there")
        return key


class Authenticator:
    """Checks caller tokens against the credentials in store; keeps records, never tokens."""

    def __init__(self, reader: Reader, master: MasterKeys, mac_keys: MacKeys, *, accept_query_token: bool) -> None:
        self._reader = reader
        self._master = master
        self._mac_keys = mac_keys
        self.accepts_query_token = accept_query_token
        self._known: BoundedCache[CredentialId, Known] = BoundedCache(KNOWN_CALLERS)
        self._loads: SingleFlight[tuple[CredentialId, int], Known | None] = SingleFlight()
        self._epoch = 0
        self._fingerprint = functools.partial(hashlib.blake2b, key=os.urandom(32), digest_size=32)

    async def __call__(self, ask: Presenting) -> Known | Refusal:
        """Say who asks, or refuse. Raises StorageUnavailable."""
        if ask.bearer is None:
            return Refusal(Reason.CALLER_MISSING)
        if ask.query_token and not self.accepts_query_token:
            return Refusal(Reason.CALLER_IN_QUERY)
        token = ask.bearer.reveal()
        known = self._known.get(CredentialId(token[_IDENTIFIER]))
        if known is not None and ask.proof is None and self.again(known, token.encode(), ask.now.wall_s):
            known.touched = True
            return known
        owned = await self._owned(token)
        if isinstance(owned, Refusal):
            return owned
        record = owned.record
        refusal = ended(record, ask.now.wall_s)
        if refusal is None and (ask.proof is not None or record.proof_required):
            refusal = self._check_proof(ask, token, record)
        if refusal is not None:
            return refusal
        owned.proven = self._fingerprint(token.encode()).digest()
        return owned

    async def record_of(self, token: str) -> CallerRecord | None:
        """Find the credential whose token this is, though it may have ended. Raises StorageUnavailable."""
        owned = await self._owned(token)
        return None if isinstance(owned, Refusal) else owned.record

    async def _owned(self, token: str) -> Known | Refusal:
        """Find the credential whose token this is: the same work when there is none of its identifier."""
        identifier = identifier_of(token, CredentialType.CALLER)
        if identifier is None:
            return Refusal(Reason.CALLER_MALFORMED, fact=_kind_of(token))
        known = await self._find(CredentialId(identifier))
        if known is None:
            spend_as_much(token, CredentialType.CALLER)
            return Refusal(Reason.CALLER_UNKNOWN, fact="no credential has this identifier")
        record = known.record
        is_proven = hmac.compare_digest(self._fingerprint(token.encode()).digest(), known.proven)
        if not is_proven and not mac_matches(
            token, CredentialType.CALLER, await self._mac_keys.get(record.mac_key_id), record.mac
        ):
            return Refusal(Reason.CALLER_UNKNOWN, fact="the identifier exists, the secret is another")
        return known

    def again(self, known: Known, token: bytes, wall_s: int) -> bool:
        """Say whether this is the very token that proved to be `known`'s, and still good: the short way.

        Compares a keyed fingerprint (BLAKE2b, this process' random key) instead of the stored HMAC: 1 us less of 7.
        """
        record = known.record
        return (
            hmac.compare_digest(self._fingerprint(token).digest(), known.proven)
            and known.alive
            and not record.proof_required
            and record.revoked_at_s is None
            and (record.expires_at_s is None or wall_s < record.expires_at_s)
        )

    def _check_proof(self, ask: Presenting, token: str, record: CallerRecord) -> Refusal | None:
        if ask.proof is None:
            return Refusal(Reason.PROOF_MISSING, fact=f"app {record.caller.app_id}")
        # Opened for each proof and not kept: 2 us are cheaper than app secrets lying in memory.
        secret = unsealed(self._master, record.app_secret_sealed, "app", "secret", record.caller.app_id).decode()
        if not proof_matches(ask.proof.reveal(), secret, token):
            return Refusal(Reason.PROOF_INVALID, fact=f"app {record.caller.app_id}")
        return None

    async def _find(self, credential_id: CredentialId) -> Known | None:
        known = self._known.get(credential_id)
        if known is not None:
            known.touched = True
            return known
        epoch = self._epoch
        return await self._loads.run((credential_id, epoch), lambda: self._load(credential_id, epoch))

    async def _load(self, credential_id: CredentialId, epoch: int) -> Known | None:
        record = await self._reader.caller(credential_id)
        # Unknown identifiers are not kept: their number is the attacker's choice (attack 53).
        if record is None:
            return None
        known = Known(record)
        if epoch == self._epoch:
            self._known.put(credential_id, known)
        return known

    def forget(self, credential_ids: Collection[str], app_ids: Collection[str]) -> None:
        """Drop the records of these credentials, and of all credentials of these apps."""
        if not credential_ids and not app_ids:
            return
        self._epoch += 1
        for credential_id in credential_ids:
            self._known.drop(CredentialId(credential_id))
        if app_ids:
            self._known.drop_where(lambda _, known: known.caller.app_id in app_ids)

    def forget_all(self) -> None:
        """Drop every record."""
        self._epoch += 1
        self._known.clear()


def ended(record: CallerRecord, wall_s: int) -> Refusal | None:
    """Say why a credential is none any more; None while it is good."""
    credential_id = record.caller.credential_id
    if record.revoked_at_s is not None:
        return Refusal(Reason.CALLER_REVOKED, fact=f"credential {credential_id}, revoked at {record.revoked_at_s}")
    if record.expires_at_s is not None and wall_s >= record.expires_at_s:
        return Refusal(Reason.CALLER_EXPIRED, fact=f"credential {credential_id}, expired at {record.expires_at_s}")
    return None


def spend_as_much(text: str, kind: CredentialType) -> None:
    """Do for an unknown identifier the work that a known one costs.

    A look-up may still be a table read here and a cache hit there. Identifiers have 95 random bits: there is none to find.
    """
    mac_matches(text, kind, _NO_KEY, _NO_MAC)


def _kind_of(token: str) -> str:
    if token.count(".") == 2 and token.startswith("eyJ"):
        return "a JWT: a granular token is no caller token"
    if token.startswith(CredentialType.RESOURCE_SERVER.value + "_"):
        return "a resource server's secret is no caller token"
    return "empty" if not token else "another form"
