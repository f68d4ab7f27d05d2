"""What the corridor and the operators ask of a store, in their words. Every promise holds for every backend."""

import enum
from collections.abc import Sequence
from typing import Protocol

import msgspec

from multipartner.domain.events import Event, RefusalRecord
from multipartner.domain.model import AppId, BusinessId, Caller, CredentialId, Facts, Tenant


class StorageUnavailable(Exception):  # noqa: N818 - says a state
    """The store cannot answer now: nothing was changed, and a later try may work. The text holds no secret."""


class TrailUnavailable(Exception):  # noqa: N818 - says a state
    """The trail cannot be written now: what it should have recorded must not happen."""


class SharedCountsUnavailable(Exception):  # noqa: N818 - says a state
    """The counts of all hosts cannot be had now; whether what was asked for was counted is not known. No secret in it."""


class ChangeKind(enum.Enum):
    """What changed; in brackets the keys of the `Change`."""

    DEPLOYMENT = "deployment"
    """()"""
    APP = "app"
    """(app_id)"""
    CREDENTIAL = "credential"
    """(credential_id)"""
    SOLUTION = "solution"
    """(solution_id)"""
    CONNECTION = "connection"
    """(app_id, business_id)"""
    SHARE = "share"
    """(solution_id, business_id): the share, its WABAs or its grants"""
    SIGNING_KEY = "signing_key"
    """(kid)"""
    RESOURCE_SERVER = "resource_server"
    """(id)"""
    EVERYTHING = "everything"
    """(): more changed than can be told apart; drop every cache"""


class Change(msgspec.Struct, frozen=True):
    """One change of the facts, as the feed tells it."""

    kind: ChangeKind
    key1: str = ""
    key2: str = ""


class CallerRecord(msgspec.Struct, frozen=True, gc=False):
    """A credential as stored: enough to check a token by, nothing to forge one with. Times in Unix seconds."""

    caller: Caller
    mac: bytes
    mac_key_id: str
    expires_at_s: int | None
    revoked_at_s: int | None
    proof_required: bool
    app_secret_sealed: bytes
    created_at_s: int


class AppRecord(msgspec.Struct, frozen=True, gc=False):
    """An app as stored, with the limits in force."""

    app_id: AppId
    name: str
    business_id: BusinessId
    suspended: bool
    proof_required: bool
    secret_sealed: bytes
    calls_per_hour: int
    calls_per_business_per_hour: int


class ResourceServerRecord(msgspec.Struct, frozen=True):
    """A resource server's credential as stored."""

    id: str
    name: str
    mac: bytes
    mac_key_id: str
    revoked_at_s: int | None


class SigningKeyRecord(msgspec.Struct, frozen=True):
    """An Ed25519 key of the ring (Unix seconds); see `storage.tables.signing_key`."""

    kid: str
    public_key: bytes
    private_sealed: bytes
    published_at_s: int
    signs_from_s: int
    retired_at_s: int | None


class SealedKeyRecord(msgspec.Struct, frozen=True):
    """A symmetric key sealed under the master key."""

    id: str
    purpose: str
    sealed: bytes


class CallerReader(Protocol):
    """Station 2's one question."""

    async def caller(self, credential_id: CredentialId) -> CallerRecord | None:
        """None when there is no such credential or its app is gone. Raises StorageUnavailable."""
        ...


class AppReader(Protocol):
    """Who an app is, for those who come with its secret or with a token for it."""

    async def app(self, app_id: AppId) -> AppRecord | None:
        """None when there is no such app. Raises StorageUnavailable."""
        ...


class FactsReader(Protocol):
    """Station 3's one question."""

    async def facts(self, tenant: Tenant) -> Facts:
        """Read all facts of one tenant in one statement, so that they belong together. Raises StorageUnavailable."""
        ...


class KeyReader(Protocol):
    """What signing, checking and verifying need; small sets, read whole."""

    async def signing_keys(self) -> Sequence[SigningKeyRecord]:
        """All keys of the ring, oldest `signs_from_s` first. Raises StorageUnavailable."""
        ...

    async def sealed_keys(self) -> Sequence[SealedKeyRecord]:
        """All sealed keys, oldest first; the last one of a purpose is the one to use for new values."""
        ...

    async def resource_server(self, server_id: str) -> ResourceServerRecord | None:
        """None when unknown. Raises StorageUnavailable."""
        ...


class ChangeFeed(Protocol):
    """Tells a cache what to drop."""

    def poll(self, boot_ns: int) -> Sequence[Change]:
        """Changes acknowledged before this call and not told yet; usually none. Called first thing on every request.

        Raises StorageUnavailable when the feed was not confirmed within `stale_for_s` of `boot_ns`: a cache must not
        answer then.
        """
        ...


class Reader(CallerReader, AppReader, FactsReader, KeyReader, ChangeFeed, Protocol):
    """The read side of one process."""


class Trail(Protocol):
    """The audit trail of one process."""

    async def record(self, event: Event) -> None:
        """Return once the event is durable. Raises TrailUnavailable if it cannot be; then it must be as if not asked."""
        ...

    def refused(self, record: RefusalRecord) -> None:
        """Keep a refusal, best effort: never blocks, never raises, counts what it drops."""
        ...


class SharedCounts(Protocol):
    """Counts that all processes of a deployment share: entries under a key, each forgotten `window_s` after it was taken.

    Every method raises SharedCountsUnavailable, and returns or raises within a fraction of a second.
    """

    async def take(self, key: str, entries: int, limit: int, window_s: int) -> bool:
        """Count so many entries at once, if there are then no more than `limit` in the window; otherwise none."""
        ...

    async def look(self, key: str, limit: int, window_s: int) -> tuple[int, float]:
        """Entries in the window, at most `limit`, and the seconds until the oldest of them leaves it."""
        ...

    async def probe(self) -> None:
        """Return if entries can be counted."""
        ...

    async def close(self) -> None:
        """Let go of the server. Does not raise."""
        ...
