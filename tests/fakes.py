"""A store and a trail in memory that keep the ports' promises, and a service around them whose clock the test turns."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from multipartner.crypto.credentials import CredentialType, MacKey, mac_of, new_app_secret, new_credential, new_generation
from multipartner.crypto.sealing import MasterKeys
from multipartner.crypto.signing import new_private_key
from multipartner.domain.events import Event, RefusalRecord
from multipartner.domain.lifetime import Lifetime
from multipartner.domain.model import (
    ALL_PERMISSIONS,
    AppId,
    BusinessId,
    Caller,
    CredentialId,
    Facts,
    Generations,
    Instant,
    Permissions,
    Share,
    Solution,
    SolutionId,
    SolutionStatus,
    SystemUserId,
    Tenant,
    WabaId,
)
from multipartner.issuing.app_tokens import AppTokens
from multipartner.issuing.authenticate import Authenticator, MacKeys
from multipartner.issuing.corridor import Corridor, Stations
from multipartner.issuing.grants import Grants
from multipartner.issuing.inspect_token import Inspector
from multipartner.issuing.introspect import Introspector
from multipartner.issuing.issue import Issuer, Issuing
from multipartner.issuing.keyring import KeyRing
from multipartner.issuing.limits import Limiter
from multipartner.issuing.management import Management
from multipartner.issuing.viewers import Viewers
from multipartner.storage.change_ports import Changes, ChangeStore
from multipartner.storage.ports import (
    AppRecord,
    CallerRecord,
    Change,
    ChangeKind,
    ResourceServerRecord,
    SealedKeyRecord,
    SigningKeyRecord,
    StorageUnavailable,
    TrailUnavailable,
)
from multipartner.web.access_token import AccessToken
from multipartner.web.addresses import Addresses
from multipartner.web.graph import Graph
from multipartner.web.guard import Guard, Route, Surroundings
from multipartner.web.oauth import INTROSPECTION_PATH, JWKS_PATH, Introspection, KeySet
from multipartner.web.observing import Observer, Seen
from multipartner.web.refusing import TurningAway
from multipartner.web.revocation import REVOCATION_PATH, Revocation
from multipartner.wire.answer import render
from multipartner.wire.versions import answering

NOON_S = 1_800_000_000
ISSUER = "https://tokens.example"
VERSIONS = ("v21.0", "v22.0", "v23.0", "v24.0", "v25.0", "v26.0")

OWNER, PARTNER, STRANGER = AppId("510000000000101"), AppId("520000000000102"), AppId("530000000000103")
SOLUTION, OTHER_SOLUTION = SolutionId("6100000000000201"), SolutionId("6200000000000202")
CUSTOMER, SIBLING = BusinessId("71000000000000301"), BusinessId("72000000000000302")
WABA, OTHER_WABA = WabaId("8100000000000401"), WabaId("8200000000000402")


class MemoryStore:
    """All facts in dictionaries. Each change method gives new generations and tells the feed, as the ports promise."""

    def __init__(self) -> None:
        self.master = MasterKeys([bytes(range(32))])
        self.mac_key = MacKey("mac-1", b"m" * 32)
        self.deployment = new_generation()
        self.app_generation: dict[str, str] = {}
        self.suspended: set[str] = set()
        self.secrets: dict[str, str] = {}
        self.solutions: dict[str, Solution] = {}
        self.solution_generation: dict[str, str] = {}
        self.connections: set[tuple[str, str]] = set()
        self.shares: dict[tuple[str, str], Share] = {}
        self.share_generation: dict[tuple[str, str], str] = {}
        self.revoked_grants: set[Tenant] = set()
        self.grant_generation: dict[Tenant, str] = {}
        self.credentials: dict[str, CallerRecord] = {}
        self.keys: list[SigningKeyRecord] = []
        self.servers: dict[str, ResourceServerRecord] = {}
        self.changed_at_s = NOON_S - 100_000
        self.pending: list[Change] = []
        self.reads = 0
        self.broken = ""

    def add_app(self, app_id: AppId) -> None:
        self.app_generation[app_id] = new_generation()
        self.secrets[app_id] = new_app_secret()

    def add_credential(
        self,
        app_id: AppId,
        permissions: Permissions = ALL_PERMISSIONS,
        *,
        expires_at_s: int | None = None,
        proof_required: bool = False,
        calls_per_hour: int = 1_000_000,
        calls_per_business_per_hour: int = 1_000_000,
    ) -> str:
        """Returns the caller token's text."""
        identifier, text = new_credential(CredentialType.CALLER)
        caller = Caller(
            CredentialId(identifier),
            SystemUserId("910000000000501"),
            app_id,
            permissions,
            calls_per_hour,
            calls_per_business_per_hour,
        )
        self.credentials[identifier] = CallerRecord(
            caller,
            mac_of(text, CredentialType.CALLER, self.mac_key),
            self.mac_key.id,
            expires_at_s,
            None,
            proof_required,
            self.master.seal(self.secrets[app_id].encode(), "app", "secret", app_id),
            NOON_S - 1000,
        )
        return text

    def revoke_credential(self, text: str, at_s: int) -> None:
        identifier = text.split("_")[1]
        self.credentials[identifier] = msgspec.structs.replace(self.credentials[identifier], revoked_at_s=at_s)
        self.tell(ChangeKind.CREDENTIAL, identifier)

    def add_solution(
        self,
        solution_id: SolutionId,
        owner: AppId,
        partner: AppId,
        *,
        owner_messaging: bool = True,
        partner_messaging: bool = False,
    ) -> None:
        self.solutions[solution_id] = Solution(
            solution_id, SolutionStatus.ACTIVE, owner, partner, owner_messaging, partner_messaging
        )
        self.solution_generation[solution_id] = new_generation()

    def set_status(self, solution_id: SolutionId, status: SolutionStatus) -> None:
        self.solutions[solution_id] = msgspec.structs.replace(self.solutions[solution_id], status=status)
        self.solution_generation[solution_id] = new_generation()
        self.tell(ChangeKind.SOLUTION, solution_id)

    def connect(self, app_id: AppId, business_id: BusinessId) -> None:
        self.connections.add((app_id, business_id))
        self.tell(ChangeKind.CONNECTION, app_id, business_id)

    def share(
        self,
        solution_id: SolutionId,
        business_id: BusinessId,
        wabas: tuple[WabaId, ...] = (WABA,),
        permissions: Permissions = ALL_PERMISSIONS,
    ) -> None:
        solution = self.solutions[solution_id]
        self.shares[solution_id, business_id] = Share(active=True, permissions=permissions, waba_ids=wabas)
        self.share_generation[solution_id, business_id] = new_generation()
        for app_id in (solution.owner_app_id, solution.partner_app_id):
            self.grant_generation.setdefault(Tenant(app_id, solution_id, business_id), new_generation())
            self.connections.add((app_id, business_id))
        self.tell(ChangeKind.SHARE, solution_id, business_id)

    def withdraw(self, solution_id: SolutionId, business_id: BusinessId) -> None:
        share = self.shares[solution_id, business_id]
        self.shares[solution_id, business_id] = msgspec.structs.replace(share, active=False)
        self.share_generation[solution_id, business_id] = new_generation()
        self.tell(ChangeKind.SHARE, solution_id, business_id)

    def set_grant(self, tenant: Tenant, *, active: bool) -> None:
        (self.revoked_grants.discard if active else self.revoked_grants.add)(tenant)
        self.grant_generation[tenant] = new_generation()
        self.tell(ChangeKind.SHARE, tenant.solution_id, tenant.business_id)

    def suspend(self, app_id: AppId, *, suspended: bool) -> None:
        (self.suspended.add if suspended else self.suspended.discard)(app_id)
        self.app_generation[app_id] = new_generation()
        self.tell(ChangeKind.APP, app_id)

    def add_key(self, signs_from_s: int = 0) -> str:
        kid, private, public = new_private_key()
        sealed = self.master.seal(private, "signing_key", kid)
        self.keys.append(SigningKeyRecord(kid, public, sealed, signs_from_s, signs_from_s, None))
        self.tell(ChangeKind.SIGNING_KEY, kid)
        return kid

    def add_resource_server(self) -> tuple[str, str]:
        identifier, text = new_credential(CredentialType.RESOURCE_SERVER)
        mac = mac_of(text, CredentialType.RESOURCE_SERVER, self.mac_key)
        self.servers[identifier] = ResourceServerRecord(identifier, "messages", mac, self.mac_key.id, None)
        return identifier, text

    def tell(self, kind: ChangeKind, key1: str = "", key2: str = "") -> None:
        self.pending.append(Change(kind, key1, key2))

    # storage.ports.Reader

    async def caller(self, credential_id: CredentialId) -> CallerRecord | None:
        self._read()
        return self.credentials.get(credential_id)

    async def app(self, app_id: AppId) -> AppRecord | None:
        self._read()
        if app_id not in self.secrets:
            return None
        sealed = self.master.seal(self.secrets[app_id].encode(), "app", "secret", app_id)
        return AppRecord(
            app_id, "App", BusinessId("920000000000001"), app_id in self.suspended, False, sealed, 1_000_000, 1_000_000
        )

    async def facts(self, tenant: Tenant) -> Facts:
        self._read()
        await asyncio.sleep(0)
        key = (tenant.solution_id, tenant.business_id)
        return Facts(
            tenant,
            tenant.app_id in self.suspended,
            self.solutions.get(tenant.solution_id),
            (tenant.app_id, tenant.business_id) in self.connections,
            self.shares.get(key),
            tenant in self.grant_generation and tenant not in self.revoked_grants,
            Generations(
                self.deployment,
                self.app_generation.get(tenant.app_id, ""),
                self.solution_generation.get(tenant.solution_id, ""),
                self.share_generation.get(key, ""),
                self.grant_generation.get(tenant, ""),
            ),
            self.changed_at_s,
        )

    async def signing_keys(self) -> Sequence[SigningKeyRecord]:
        self._read()
        return self.keys

    async def sealed_keys(self) -> Sequence[SealedKeyRecord]:
        self._read()
        return [SealedKeyRecord(self.mac_key.id, "mac", self.master.seal(self.mac_key.key, "sealed_key", self.mac_key.id))]

    async def resource_server(self, server_id: str) -> ResourceServerRecord | None:
        self._read()
        return self.servers.get(server_id)

    def poll(self, boot_ns: int) -> Sequence[Change]:
        del boot_ns
        if self.broken:
            raise StorageUnavailable(self.broken)
        told, self.pending = self.pending, []
        return told

    def _read(self) -> None:
        self.reads += 1
        if self.broken:
            raise StorageUnavailable(self.broken)


class MemoryTrail:
    """Keeps events in a list; `broken` makes it refuse as a full disk would."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.refusals: list[RefusalRecord] = []
        self.broken = ""
        self.gate: asyncio.Event | None = None

    async def record(self, event: Event) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.broken:
            raise TrailUnavailable(self.broken)
        self.events.append(event)

    def refused(self, record: RefusalRecord) -> None:
        self.refusals.append(record)


class Unwritable:
    """A store for changes that is away."""

    def transaction(self) -> AbstractAsyncContextManager[Changes]:
        raise StorageUnavailable("nothing can be written in memory")

    def reading(self) -> AbstractAsyncContextManager[Changes]:
        raise StorageUnavailable("nothing can be read in memory")


UNWRITABLE: ChangeStore = Unwritable()


class Reply(msgspec.Struct):
    """One HTTP answer, in process."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class InProcess:
    """The whole service over a memory store, called as an ASGI application; the test turns its clock."""

    def __init__(
        self, store: MemoryStore, *, lifetime: Lifetime | None = None, failures_per_hour: int = 1000, **options: Any
    ) -> None:
        self.store = store
        self.trail = MemoryTrail()
        self.now = Instant(NOON_S, 10**15)
        self.seen: list[Seen] = []
        self.errors: list[str] = []
        lifetime = lifetime or Lifetime()
        mac_keys = MacKeys(store, store.master)
        names = Issuer(ISSUER, ISSUER, lifetime)
        self.ring = KeyRing(store, store.master, lifetime.lifetime_s)
        self.limiter = options.get("limiter") or Limiter(failures_per_hour, options.get("workers", 1))
        authenticate = Authenticator(store, store.master, mac_keys, accept_query_token=options.get("accept_query_token", False))
        self.grants = Grants(store, authenticate, self.ring, options.get("cache_size", 1000))
        stations = Stations(authenticate, self.limiter, self.grants, Issuing(self.ring, self.trail, names, render))
        self.corridor = Corridor(store, self.trail, stations)
        self.introspector = Introspector(store, self.grants, self.ring, mac_keys, names)
        self.observer = Observer(self.seen.append, 0)
        turn_away = TurningAway(self.observer, self.trail.refused)
        app_tokens = AppTokens(store, store.master)
        viewers = Viewers(store, store.master, authenticate, self.introspector, app_tokens)
        management = Management(self.grants, viewers, self.limiter, self.trail)
        inspector = Inspector(store, authenticate, self.introspector, app_tokens)
        # What companies do with solutions and tokens needs a database: tests/solutions and tests/tokens have it.
        revocation = Revocation(management, inspector, UNWRITABLE, turn_away)
        routes = (
            Route(JWKS_PATH.encode(), ("GET",), KeySet(self.grants, self.ring, self.observer)),
            Route(INTROSPECTION_PATH.encode(), (), Introspection(self.introspector, self.limiter, turn_away)),
            Route(REVOCATION_PATH.encode(), (), revocation),
        )
        surroundings = Surroundings(
            turn_away, Addresses(options.get("trusted_proxies", ())), self.errors.append, lambda: self.now
        )
        access_token = AccessToken(answering(VERSIONS), self.corridor, turn_away, options.get("cache_size", 1000))
        graph = Graph(answering(VERSIONS), {}, management, turn_away)
        self.app = Guard(access_token, graph, routes, surroundings, _no_lifespan)

    def turn(self, seconds: int) -> None:
        """Turn both clocks."""
        self.now = Instant(self.now.wall_s + seconds, self.now.boot_ns + seconds * 10**9)

    async def request(
        self,
        path: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes = b"",
        peer: str = "192.0.2.7",
    ) -> Reply:
        """One request, as a server would hand it over."""
        listed = [(b"host", b"tokens.example")] + [(k.lower().encode(), v.encode("latin-1")) for k, v in (headers or {}).items()]
        if body:
            listed.append((b"content-length", str(len(body)).encode()))
        scope = {
            "type": "http",
            "method": method,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": listed,
            "client": (peer, 4711),
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return Reply(sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, sent[1]["body"])

    async def token(
        self, bearer: str, business_id: str = CUSTOMER, solution_id: str = SOLUTION, *, version: str = "v23.0", more: str = ""
    ) -> Reply:
        """Ask for a granular token."""
        return await self.request(
            f"/{version}/{solution_id}/access_token", f"business_id={business_id}{more}", {"Authorization": f"Bearer {bearer}"}
        )


async def _no_lifespan(_receive: Any, _send: Any) -> None:
    """Nothing is opened or closed in memory."""


def populated_store() -> MemoryStore:
    """Three apps, two solutions, one customer that shares one WABA with the first."""
    store = MemoryStore()
    for app_id in (OWNER, PARTNER, STRANGER):
        store.add_app(app_id)
    store.add_solution(SOLUTION, OWNER, PARTNER)
    store.add_solution(OTHER_SOLUTION, OWNER, STRANGER)
    store.share(SOLUTION, CUSTOMER)
    store.add_key()
    store.pending.clear()
    return store
