"""What a stranger can make the service spend: work, memory, and knowledge. On the real store, in process."""

import asyncio
import re
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from deployment import DemoDeployment
from fakes import NOON_S
from multipartner.crypto.credentials import CredentialType, new_credential
from multipartner.domain.model import Instant, SolutionStatus
from multipartner.storage.sqlite import SqliteReader
from multipartner.storage.tables import change, metadata, trail_metadata
from multipartner.storage.trail import SqliteTrail
from multipartner.wiring import Service, build_service

BOOT_NS = 10**15


async def _serving(
    demo: DemoDeployment,
    action: Callable[[Service, Callable[[str, str, str], Awaitable[bytes]]], Awaitable[None]],
    **settings: object,
) -> None:
    """Open a service on the demo's files with a clock that stands, and hand over a way to ask it."""
    service = build_service(demo.settings(**settings), clock=lambda: Instant(NOON_S, BOOT_NS))
    await service.open()

    async def ask(token: str, solution_id: str, business_id: str, peer: str = "192.0.2.1") -> bytes:
        scope = {
            "type": "http",
            "method": "GET",
            "raw_path": f"/v23.0/{solution_id}/access_token".encode(),
            "query_string": f"business_id={business_id}".encode(),
            "headers": [(b"host", b"x"), (b"authorization", b"Bearer " + token.encode())],
            "client": (peer, 1),
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        await service.app(scope, receive, send)
        return b"%d %s" % (sent[0]["status"], sent[1]["body"])

    try:
        await action(service, ask)
    finally:
        await service.close()


def _owner(demo: DemoDeployment) -> tuple[str, str, str]:
    """(caller token, solution, business) of the first active solution and a customer that shares with it."""
    world = demo.world
    active = {s.id: s for s in world.solutions if s.status is SolutionStatus.ACTIVE}
    share = next(s for s in world.shares if s.solution in active and s.business == "2991847208473997")
    solution = active[share.solution]
    user = next(u for u in world.system_users if u.business == next(a for a in world.apps if a.id == solution.owner.app).business)
    return demo.caller_token(user.id, solution.owner.app), solution.id, share.business


def test_a_failed_authentication_is_cheap(demo: DemoDeployment) -> None:
    """Attack 16: a wrong secret costs far less than 1 ms of processor: no password hash is on the way."""
    token, solution, business = _owner(demo)
    wrong = [new_credential(CredentialType.CALLER)[1] for _ in range(500)]

    async def scenario(_service: Service, ask: Callable[..., Awaitable[bytes]]) -> None:
        begun = time.process_time()
        for text in wrong:
            assert (await ask(text, solution, business)).startswith(b"401")
        assert (time.process_time() - begun) / len(wrong) < 0.001
        assert (await ask(token, solution, business, "192.0.2.2")).startswith(b"200")

    asyncio.run(_serving(demo, scenario))


def test_time_does_not_tell_which_customers_exist(demo: DemoDeployment) -> None:
    """Attack 31: a business that exists elsewhere is refused as fast as one that does not, within the run's own noise."""
    token, solution, _ = _owner(demo)
    connected = {c.business for c in demo.world.connections} | {s.business for s in demo.world.shares}
    exists = next(b.id for b in demo.world.businesses if b.id not in connected)
    invented = exists[:-1] + str((int(exists[-1]) + 1) % 10)

    async def scenario(_service: Service, ask: Callable[..., Awaitable[bytes]]) -> None:
        taken: dict[str, list[int]] = {exists: [], invented: []}
        bodies = {business: re.sub(rb'"fbtrace_id":"[^"]+"', b"", await ask(token, solution, business)) for business in taken}
        for _ in range(3000):
            for business, samples in taken.items():
                begun = time.perf_counter_ns()
                await ask(token, solution, business)
                samples.append(time.perf_counter_ns() - begun)
        one, two = (statistics.median(samples) for samples in taken.values())
        spread = statistics.median(abs(sample - one) for sample in taken[exists])

        assert len(set(bodies.values())) == 1
        assert bodies[exists].startswith(b"404")
        assert abs(one - two) <= max(2 * spread, 0.05 * one)

    asyncio.run(_serving(demo, scenario, calls_per_hour=1_000_000, calls_per_business_per_hour=1_000_000))


def test_ids_of_an_attackers_choice_take_no_room(demo: DemoDeployment) -> None:
    """Attack 53: tens of thousands of invented ids, tokens and addresses leave caches empty and memory where it was."""
    token, solution, business = _owner(demo)

    async def scenario(service: Service, ask: Callable[..., Awaitable[bytes]]) -> None:
        async def flood(count: int) -> None:
            for n in range(count):
                kind = n % 3
                if kind == 0:
                    await ask(token, solution, str(10**14 + n * 7919))
                elif kind == 1:
                    await ask(token, str(10**14 + n * 7919), business)
                else:
                    await ask(
                        f"mpc_{n:016d}_{'A' * 43}_00000000", solution, business, f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
                    )

        await ask(token, solution, business)
        await flood(6000)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        await flood(12_000)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()

        assert service.vitals().cached_grants == 1
        assert len(service.vitals().counts) < 10
        # Counters per address and per (app, business) are bounded at 100,000 keys of some 700 bytes each; nothing else may grow.
        assert grown < 12_000 * 1000

    asyncio.run(_serving(demo, scenario, calls_per_hour=10_000_000))


def test_warm_means_no_statement_at_all(demo: DemoDeployment) -> None:
    """A warm issuance reads no table and writes none: the store is not even asked."""
    token, solution, business = _owner(demo)

    async def scenario(service: Service, ask: Callable[..., Awaitable[bytes]]) -> None:
        first = await ask(token, solution, business)
        statements: list[str] = []
        assert isinstance(service._reader, SqliteReader)
        assert isinstance(service._trail, SqliteTrail)
        service._reader._connection.set_trace_callback(statements.append)
        for _ in range(100):
            assert await ask(token, solution, business) == first

        assert statements == []
        assert service._trail.waiting == 0

    asyncio.run(_serving(demo, scenario))


@pytest.mark.both_engines
def test_warm_waits_for_no_table(demo: DemoDeployment) -> None:
    """A warm issuance is answered while every table is locked for readers and writers alike: it needs none."""
    token, solution, business = _owner(demo)

    async def scenario(_service: Service, ask: Callable[..., Awaitable[bytes]]) -> None:
        first = await ask(token, solution, business)
        async with AsyncExitStack() as held:
            if demo.url:
                tables = {table.name for table in (*metadata.sorted_tables, *trail_metadata.sorted_tables)} - {change.name}
                other = await asyncpg.connect(demo.url)
                held.push_async_callback(other.close)
                names = ", ".join(f'"{name}"' for name in sorted(tables))
                await other.execute(f"BEGIN; LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
            else:
                held.enter_context(demo.writing())
            for _ in range(100):
                assert await ask(token, solution, business) == first

    asyncio.run(_serving(demo, scenario))
