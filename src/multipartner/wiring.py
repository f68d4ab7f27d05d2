"""Where concrete classes are named: one process's parts, put together from the settings.

A `Service` belongs to one process: make it after any fork.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from multipartner import keyfile
from multipartner.domain.lifetime import Lifetime
from multipartner.domain.model import Instant
from multipartner.domain.reasons import Reason
from multipartner.issuing.app_tokens import AppTokens
from multipartner.issuing.authenticate import Authenticator, MacKeys
from multipartner.issuing.corridor import Corridor, Stations
from multipartner.issuing.cursors import Cursors
from multipartner.issuing.grants import Grants
from multipartner.issuing.inspect_token import Inspector
from multipartner.issuing.introspect import Introspector
from multipartner.issuing.issue import Issuer, Issuing
from multipartner.issuing.keyring import KeyRing
from multipartner.issuing.management import Management
from multipartner.issuing.reading import Reading
from multipartner.issuing.shared_limits import SharedLimiter
from multipartner.issuing.viewers import Viewers
from multipartner.late_store import LateStore
from multipartner.operating import backend_of
from multipartner.settings import Settings
from multipartner.sharing import limiter_of
from multipartner.starting import StartRefused, open_seals, reader_of
from multipartner.storage.graph_rows import GraphRows
from multipartner.storage.ports import StorageUnavailable, TrailUnavailable
from multipartner.storage.retention import prune
from multipartner.web import docs
from multipartner.web.access_token import AccessToken
from multipartner.web.addresses import Addresses
from multipartner.web.asgi import Receive, Send
from multipartner.web.framing import read_clocks
from multipartner.web.graph import Graph
from multipartner.web.graph_migrations import MigrationLife
from multipartner.web.graph_operations import together
from multipartner.web.graph_reads import Reads
from multipartner.web.graph_solutions import SolutionLife
from multipartner.web.graph_tokens import TokenLife
from multipartner.web.guard import Guard, Route, Surroundings
from multipartner.web.oauth import INTROSPECTION_PATH, JWKS_PATH, METADATA_PATH, Introspection, KeySet, Metadata
from multipartner.web.observing import Log, Observer
from multipartner.web.refusing import TurningAway
from multipartner.web.revocation import REVOCATION_PATH, Revocation
from multipartner.web.vitals import Check, Vitals
from multipartner.wire.answer import render
from multipartner.wire.versions import answering

REPORT_EVERY_S: Final = 1.0
PROBE_EVERY_S: Final = 1.0
RETENTION_EVERY_S: Final = 3600.0
DAY_S: Final = 86_400


def _nothing(_told: object) -> None:
    pass


class Watchers(msgspec.Struct, frozen=True):
    """Who is told what happens: each request worth a line, each unexpected error (by trace id, within its handler), the vitals
    once a second.
    """  # noqa: D205 - one thought

    log: Log = _nothing
    log_error: Callable[[str], None] = _nothing
    report: Callable[[Vitals], None] = _nothing


def issuer_of(settings: Settings) -> Issuer:
    """The names and the lifetime that stand in tokens."""
    lifetime = Lifetime(settings.token_lifetime_s, settings.reissue_s)
    return Issuer(settings.issuer_url, settings.audience or settings.issuer_url, lifetime)


class Service:
    """One process's corridor with its store, trail and keys. `app` is the ASGI application; its lifespan opens and closes all.

    Making one opens the database; raises KeyFileError, StorageUnavailable.
    """

    def __init__(self, settings: Settings, workers: int, watchers: Watchers, clock: Callable[[], Instant]) -> None:
        self._watchers = watchers
        self._clock = clock
        self._backend = backend_of(settings)
        self._retention_days = settings.trail_retention_days
        names = issuer_of(settings)
        self._lifetime = names.lifetime
        self._master = keyfile.read(settings.master_key_file)
        self._reader = reader_of(settings, self._backend, clock)
        self._trail = self._backend.trail(explain_kept=settings.explain_kept)
        mac_keys = MacKeys(self._reader, self._master)
        self._ring = KeyRing(self._reader, self._master, names.lifetime.lifetime_s)
        limiter = self._limiter = limiter_of(settings, workers)
        authenticate = Authenticator(self._reader, self._master, mac_keys, accept_query_token=settings.accept_query_token)
        issue = Issuing(self._ring, self._trail, names, render, remembered=4 * settings.cache_size)
        self._grants = Grants(self._reader, authenticate, self._ring, settings.cache_size)
        stations = Stations(authenticate, limiter, self._grants, issue)
        self._corridor = Corridor(self._reader, self._trail, stations)
        self._observer = Observer(watchers.log, settings.log_successes_per_s)
        introspect = Introspector(self._reader, self._grants, self._ring, mac_keys, names)
        versions = answering(settings.versions)
        self._store = LateStore(self._backend, self._reader.confirmation)
        app_tokens = AppTokens(self._reader, self._master)
        viewers = Viewers(self._reader, self._master, authenticate, introspect, app_tokens)
        inspect = Inspector(self._reader, authenticate, introspect, app_tokens)
        management = Management(self._grants, viewers, limiter, self._trail)
        turn_away = TurningAway(self._observer, self._trail.refused)
        migrations = MigrationLife(self._store)
        reads = Reads(Reading(GraphRows(self._reader)), Cursors(self._reader, self._master), names.issuer, (migrations.read,))
        lives = (reads, SolutionLife(self._store), migrations, TokenLife(self._store, inspect))
        operations = together(*(life.operations() for life in lives))
        graph = Graph(versions, operations, management, turn_away)
        routes = (
            Route(JWKS_PATH.encode(), ("GET",), KeySet(self._grants, self._ring, self._observer)),
            Route(METADATA_PATH.encode(), ("GET",), Metadata(names.issuer, self._observer)),
            Route(INTROSPECTION_PATH.encode(), (), Introspection(introspect, limiter, turn_away)),
            Route(REVOCATION_PATH.encode(), (), Revocation(management, inspect, self._store, turn_away)),
            *docs.routes(names.issuer, settings.versions, self._observer),
        )
        surroundings = Surroundings(turn_away, Addresses(settings.trusted_proxies), watchers.log_error, clock)
        access_token = AccessToken(versions, self._corridor, turn_away, settings.cache_size)
        self.app = Guard(access_token, graph, routes, surroundings, self._lifespan)
        self._open = False
        self._trail_refusals = 0

    async def open(self) -> None:
        """Read the keys and open the trail. Raises StartRefused, StorageUnavailable, TrailUnavailable."""
        await self._reader.open()
        await open_seals(self._reader, self._master)
        await self._ring.load()
        await self._trail.open(self._clock().wall_s)
        if isinstance(self._limiter, SharedLimiter):
            await self._limiter.probe()
        self._open = True
        self._report()

    async def close(self) -> None:
        """Report for the last time, bring the trail to its end, let go of the database. Does not raise; once is enough."""
        if not self._open:
            return
        self._open = False
        self._report()
        await self._store.close()
        await self._trail.close(self._clock().wall_s)
        if isinstance(self._limiter, SharedLimiter):
            await self._limiter.close()
        await self._reader.close()
        self._backend.tidy()

    def vitals(self) -> Vitals:
        """Look at everything that serving needs."""
        now = self._clock()
        counts = self._observer.snapshot()
        link = self._limiter.link if isinstance(self._limiter, SharedLimiter) else None
        failing = self._failing(now, sum(n for key, n in counts.items() if key[2] is Reason.TRAIL_UNAVAILABLE))
        return Vitals(
            counts=counts,
            unlogged=self._observer.unlogged,
            feed_lag_s=self._reader.lag_s(now.boot_ns),
            revocation_lags_s=self._reader.take_lags_s(),
            cached_grants=len(self._grants),
            trail_queue=self._trail.refusals_waiting,
            trail_dropped=self._trail.dropped,
            failing=frozenset(failing),
            limits_up=link.up if link else None,
            limits_errors=link.errors if link else 0,
        )

    def _failing(self, now: Instant, trail_refusals: int) -> Collection[Check]:
        failing = set()
        try:
            self._grants.catch_up(now.boot_ns)
        except StorageUnavailable:
            failing.add(Check.DATABASE)
        try:
            if self._ring.signer(now.wall_s) is None:
                failing.add(Check.SIGNING_KEY)
        except (StorageUnavailable, RuntimeError):
            failing.add(Check.SIGNING_KEY)
        if trail_refusals > self._trail_refusals or not self._trail.is_writable():
            failing.add(Check.TRAIL)
        self._trail_refusals = trail_refusals
        return failing

    def _report(self) -> None:
        self._watchers.report(self.vitals())

    async def _report_often(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            with contextlib.suppress(StorageUnavailable):
                await self._ring.load()
            self._report()

    async def _watch_limits(self) -> None:
        """See once a second whether the shared limits are there: a request never has to find out that they are back."""
        while isinstance(self._limiter, SharedLimiter):
            await self._limiter.probe()
            await asyncio.sleep(PROBE_EVERY_S)

    async def _keep_retention(self) -> None:
        """Once an hour take out of the trail what is older than the setting says; every worker may, the first one finds work."""
        days = self._retention_days
        while days is not None:
            now_s = self._clock().wall_s
            with contextlib.suppress(TrailUnavailable):
                await asyncio.to_thread(
                    prune, self._backend, before_s=now_s - days * DAY_S, at_s=now_s, actor="service:retention"
                )
            await asyncio.sleep(RETENTION_EVERY_S)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.open()
        except (StartRefused, StorageUnavailable, TrailUnavailable) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        tasks = [asyncio.create_task(work) for work in (self._report_often(), self._keep_retention(), self._watch_limits())]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in tasks:
            task.cancel()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})


def build_service(
    settings: Settings, *, workers: int = 1, watchers: Watchers | None = None, clock: Callable[[], Instant] = read_clocks
) -> Service:
    """Put one process's service together. Raises KeyFileError, StorageUnavailable."""
    return Service(settings, workers, watchers or Watchers(), clock)


def build_app(settings: Settings, *, workers: int = 1, log: Log = _nothing) -> Guard:
    """The ASGI application alone, for whoever brings a server; it needs its lifespan. Raises as `build_service`."""
    return build_service(settings, workers=workers, watchers=Watchers(log=log)).app
