"""PostgreSQL beside SQLite, one worker each: warm, minted and cold calls, round trips, disk, what a change takes.

Figures of the processor are of all threads of the worker, and of all processes of the server; wall time on a machine of
two cores, which worker, server and load generator share, says little.
"""

import asyncio
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
from benchmarks.figures import Held, Line, Plan, at_least, in_turn, interval, ratios, spread, sure, thousands
from benchmarks.in_process import App, Message, scope, service_of, status_of
from benchmarks.load import Load, drive, walk
from benchmarks.postgres import Database, postgres, world_on
from benchmarks.round_trips import counted
from benchmarks.rows_sockets import Walker
from benchmarks.serving import Server, ask, running, serve_command
from benchmarks.world import SOLUTION, World, fresh_trail

from multipartner.domain.model import BusinessId, SolutionId
from multipartner.operating import open_operator
from multipartner.partnering.acting import Act
from multipartner.partnering.lives import revoke_share

SHORT = {"token_lifetime_s": 2, "reissue_interval_s": 1}
"""Who comes again after a second finds the facts in memory, and a new window."""

_RETURNING = 20_000
"""More than are answered in a second."""

_ASKED = 200
_FEW, _TIMES = 100, 100
"""Of 100 customers none comes to a new window meanwhile."""

_AT_ONCE = 32
_WAL_SYNCS = "SELECT coalesce(sum(fsyncs), 0)::bigint FROM pg_stat_io WHERE object = 'wal'"
_WAL_BYTES = "SELECT (pg_current_wal_lsn() - '0/0')::bigint"


class Cost(msgspec.Struct, frozen=True):
    """Of one run, for each call: processor time of the worker and of the database, events in the trail; and calls a second."""

    worker_us: float
    database_us: float
    events: float
    per_s: float


class Side:
    """One engine's server."""

    def __init__(self, world: World, trail: Path, server: Server, database: Database | None) -> None:
        self.world = world
        self.server = server
        self.costs: dict[str, list[Cost]] = {}
        self._trail = trail
        self._database = database
        self._walker = Walker(world)

    def warm(self, seconds: float) -> float:
        """Customers whose token is in memory."""
        return self._measure("warm", lambda: self._walker.warm(self.server, seconds))

    def cold(self, seconds: float) -> float:
        """Customers that were never asked for."""
        return self._measure("cold", lambda: self._walker.fresh(self.server, seconds))

    def minted(self, seconds: float) -> float:
        """Customers that were asked for more than a second ago, on a server with `SHORT` windows."""
        told = walk(self.world, 0, _RETURNING)
        return self._measure("minted", lambda: drive(self.server.url, "walk.lua", told, seconds))

    def return_once(self) -> None:
        """Have those asked for who return for `minted`."""
        done = 0
        while done < _RETURNING:
            done += drive(self.server.url, "walk.lua", walk(self.world, done, _RETURNING), 3).requests

    def events(self) -> int:
        """How many the trail has."""
        if self._database is not None:
            return self._database.number("SELECT count(*) FROM trail_event")
        with closing(sqlite3.connect(f"file:{self._trail}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM trail_event").fetchone()[0])

    def _measure(self, kind: str, run: Callable[[], Load]) -> float:
        events, worker, database = self.events(), self.server.cpu_s(), self._database_cpu_s()
        load = run()
        worker, database = self.server.cpu_s() - worker, self._database_cpu_s() - database
        calls = load.requests
        cost = Cost(1e6 * worker / calls, 1e6 * database / calls, (self.events() - events) / calls, load.per_s)
        self.costs.setdefault(kind, []).append(cost)
        return cost.per_s

    def _database_cpu_s(self) -> float:
        return self._database.cpu_s() if self._database is not None else 0.0


def against_sqlite(files: World, plan: Plan) -> list[Line]:
    """The same world twice; the server with PostgreSQL's facts and the one with files are loaded in turn."""
    with postgres() as database, world_on(database, files.shares) as world:
        facts = database.table_bytes(trail=False)
        lines = _sockets(files, world, database, plan)
        lines += [_disk_of_shares(files, facts), *asyncio.run(_trips(world, database))]
        return [*lines, _changes(world, plan)]


def _sockets(files: World, world: World, database: Database, plan: Plan) -> list[Line]:
    with fresh_trail(files) as trail, fresh_trail(files) as other:
        with _sides(files, world, database, trail) as sides:
            for side in sides:
                side.warm(1)
                side.costs.clear()
            warm = in_turn(plan.pairs, *(lambda side=side: side.warm(plan.seconds) for side in sides))
            syncs, wal, events = (ask() for ask in _trail_meters(database, sides[1]))
            cold = in_turn(plan.pairs, *(lambda side=side: side.cold(plan.seconds) for side in sides))
            syncs, wal, events = (
                after() - before for after, before in zip(_trail_meters(database, sides[1]), (syncs, wal, events), strict=True)
            )
            backends = database.backends_bytes()
        with _sides(files, world, database, other, **SHORT) as short:
            for side in short:
                side.return_once()
            minted = in_turn(plan.pairs, *(lambda side=side: side.minted(plan.seconds) for side in short))
        every = short[1].events()
        disk = _disk_of_events(trail, database.table_bytes(trail=True) / every, wal / events, events / max(1, syncs))
    for found, one in zip(short, sides, strict=True):
        found.costs |= {kind: one.costs[kind] for kind in ("warm", "cold")}
    return [
        _ratio("warm issuance over sockets, PostgreSQL against SQLite: requests/s", "about 1 (≥ 0.90)", warm, 0.9),
        _ratio("cold calls over sockets, PostgreSQL against SQLite: requests/s", "stated", cold),
        _ratio("calls that mint from known facts, PostgreSQL against SQLite: requests/s", "stated", minted),
        *(_processor(kind, short) for kind in ("warm", "minted", "cold")),
        disk,
        _memory(backends),
    ]


def _trail_meters(database: Database, side: Side) -> tuple[Callable[[], int], ...]:
    return (lambda: database.number(_WAL_SYNCS), lambda: database.number(_WAL_BYTES), side.events)


@contextmanager
def _sides(files: World, world: World, database: Database, trail: Path, **settings: object) -> Iterator[list[Side]]:
    with ExitStack() as held:
        sides = []
        for one, its in ((files, None), (world, database)):
            server = held.enter_context(running(serve_command(one, trail, **settings)))
            assert ask(server, one, one.ids()[-1])[0] == 200
            sides.append(Side(one, trail, server, its))
        yield sides


def _ratio(figure: str, to_hold: str, rates: list[list[float]], least: float | None = None) -> Line:
    on_files, on_server = rates
    found = ratios(on_server, on_files)
    low, high = interval(found)
    return Line(
        figure,
        to_hold,
        f"{spread(found)}; {thousands(on_server)} against {thousands(on_files)} requests/s",
        Held.STATED if least is None else at_least(found, least),
        f"95 % interval of the median {low:.2f} to {high:.2f}; one worker; server, worker and load share the cores",
    )


def _processor(kind: str, sides: list[Side]) -> Line:
    on_files, on_server = (side.costs[kind] for side in sides)
    events = statistics.median(cost.events for cost in on_server)
    if kind != "warm" and events < 0.9:
        raise RuntimeError(f"{kind} calls were answered from memory: {events:.2f} events a call")
    worker = [cost.worker_us for cost in on_server]
    database = [cost.database_us for cost in on_server]
    return Line(
        f"processor time of a {kind} call: on PostgreSQL worker + server; on SQLite worker",
        "stated",
        f"{spread(worker, 0)} + {spread(database, 0)} µs; {spread([cost.worker_us for cost in on_files], 0)} µs",
        Held.STATED,
        f"all threads, over sockets; {events:.2f} events in the trail for each call",
    )


def _disk_of_events(trail: Path, bytes_: float, wal: float, together: float) -> Line:
    with closing(sqlite3.connect(trail)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        events, body = connection.execute("SELECT count(*), avg(length(body)) FROM trail_event").fetchone()
    return Line(
        "disk of a trail event, its indexes included: PostgreSQL, SQLite",
        "stated",
        f"{bytes_:,.0f} bytes, {trail.stat().st_size / events:,.0f} bytes",
        Held.STATED,
        f"{body:.0f} bytes of it are its text; PostgreSQL writes {wal:,.0f} bytes of log for it,"
        f" {together:.0f} events between two `fsync` at {_AT_ONCE} calls at once",
    )


def _disk_of_shares(files: World, facts: int) -> Line:
    on_files = (files.directory / "facts.db").stat().st_size
    return Line(
        "disk of a share (customer, WABA, two connections, share, two grants), indexes included: PostgreSQL, SQLite",
        "stated",
        f"{facts / files.shares:,.0f} bytes, {on_files / files.shares:,.0f} bytes",
        Held.STATED,
        f"{files.shares:,} shares, loaded in the order of their keys: nothing is bloated yet",
    )


def _memory(backends: list[int]) -> Line:
    return Line(
        "memory of the server for a connection that reads",
        "stated",
        f"{spread([held / 2**20 for held in backends], 1)} MiB",
        Held.STATED,
        f"{len(backends)} connections of one worker, what they share left out; three more do feed, trail and refusals",
    )


async def _trips(world: World, database: Database) -> list[Line]:
    """In process through the door that counts. First cold calls, then the same ones in the next window, then warm ones."""
    async with counted(database) as (url, counts):
        own = msgspec.structs.replace(world, url=url)
        ids = iter(reversed(own.ids()))
        async with service_of(own, Path("unused"), **SHORT) as app:
            # Statements are prepared once for each connection.
            await _all_answered(app, [_scope(own, next(ids)) for _ in range(_AT_ONCE * 4)], _AT_ONCE)
            some = [_scope(own, next(ids)) for _ in range(_ASKED)]
            cold = await _trips_of(app, some, counts)
            await asyncio.sleep(1.1)
            minted = await _trips_of(app, some, counts)
            many = await _trips_of(app, [_scope(own, next(ids)) for _ in range(_AT_ONCE * 10)], counts, _AT_ONCE)
        async with service_of(own, Path("unused")) as app:
            some = [_scope(own, business) for business in own.ids()[:_FEW]]
            await _all_answered(app, some)
            warm = await _trips_of(app, some * _TIMES, counts)
    return [
        Line(
            "round trips to PostgreSQL for the facts of a cold grant",
            "1",
            f"{cold['multipartner reader'] / _ASKED:.2f}",
            sure(held=cold["multipartner reader"] == _ASKED),
            f"and {cold['multipartner trail'] / _ASKED:.2f} for its event when it comes alone,"
            f" {many['multipartner trail'] / (_AT_ONCE * 10):.2f} when {_AT_ONCE} come at once;"
            f" minted from known facts: {minted['multipartner reader'] / _ASKED:.2f}"
            f" and {minted['multipartner trail'] / _ASKED:.2f}",
        ),
        Line(
            "round trips to PostgreSQL for warm issuance",
            "0",
            f"{warm['multipartner reader'] + warm['multipartner trail']} in {_TIMES * _FEW:,} calls",
            sure(held=warm["multipartner reader"] + warm["multipartner trail"] == 0),
            f"the feed's own confirmations meanwhile, four a second: {warm['multipartner feed']}",
        ),
    ]


async def _trips_of(app: App, requests: list[Message], counts: Counter[str], at_once: int = 1) -> Counter[str]:
    before = counts.copy()
    await _all_answered(app, requests, at_once)
    return counts - before


async def _all_answered(app: App, requests: list[Message], at_once: int = 1) -> None:
    for at in range(0, len(requests), at_once):
        some = await asyncio.gather(*(status_of(app, dict(request)) for request in requests[at : at + at_once]))
        assert set(some) == {200}


def _scope(world: World, business: str) -> Message:
    return scope(*world.target(business), world.token)


def _changes(world: World, plan: Plan) -> Line:
    """One operator, one withdrawal after the other, nobody else writing."""
    took_ms = asyncio.run(_withdrawn_ms(world, plan.tries))
    return Line(
        "a withdrawn share acknowledged on PostgreSQL, one after the other",
        "stated",
        f"{spread(took_ms, 1)} ms",
        Held.STATED,
        f"wall time, {plan.tries} of {world.shares:,} shares; a writer holds the writers' lock for about as long",
    )


async def _withdrawn_ms(world: World, tries: int) -> list[float]:
    took_ms = []
    async with open_operator(world.settings(Path("unused"))) as operator:
        for business in world.ids()[:tries]:
            begun = time.perf_counter()
            act = Act("operator:bench", int(time.time()))
            ended = await revoke_share(operator.store, act, BusinessId(business), SolutionId(SOLUTION))
            took_ms.append(1e3 * (time.perf_counter() - begun))
            assert ended.changed
    return took_ms
