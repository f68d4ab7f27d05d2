"""What a hit costs with many tenants, beside a bare dict and four libraries, and what a tenant costs in memory."""

import asyncio
import gc
import random
import time
import tracemalloc
from collections.abc import Callable, Coroutine, Sequence
from email.utils import formatdate
from functools import partial
from typing import Any, Final

import msgspec
from benchmarks.figures import Line, Plan, at_most, in_turn, ratios, spread, sure
from benchmarks.token_providers.authlib_clients import Authlib
from benchmarks.token_providers.azure import AzureIdentity
from benchmarks.token_providers.botocore_tokens import Botocore
from benchmarks.token_providers.google_auth import GoogleAuth
from benchmarks.token_providers.ours import InProcess

from multipartner.client import Account, Secret, TokenKey, TokenProvider
from multipartner.client.clocks import SystemClock
from multipartner.testing.torture import Adapter, Answer, Endpoint, Tenant, Upstream
from multipartner.testing.torture.clock import SystemTime

BLOCK: Final = 20_000
_THEIR_BLOCK: Final = 1_000
_SOLUTION: Final = "8249170987505988"
_TEXT_BYTES: Final = 200
# Theirs are filled one call after the other, through clients that take half a millisecond and more: not all can have as many.
_FEWER: Final = {"azure-identity": 100, "Authlib": 100}


class Plenty(Endpoint):
    """An endpoint that remembers nothing, so that what is measured is the provider's."""

    def fetch(self, tenant: Tenant) -> Answer:
        now_s = time.time()
        text = tenant.business_id.rjust(_TEXT_BYTES, "x")
        body = msgspec.json.encode({"access_token": text, "expires_at": int(now_s) + 86_400})
        return Answer(200, {"date": formatdate(now_s, usegmt=True)}, body)

    async def afetch(self, tenant: Tenant) -> Answer:
        return self.fetch(tenant)


def _plenty() -> Plenty:
    return Plenty(Upstream(SystemTime()), "1000000001")


def _tenants(count: int) -> list[Tenant]:
    return [Tenant(_SOLUTION, str(3_000_000_000_000_000 + at)) for at in range(count)]


def _ours(count: int) -> tuple[TokenProvider, list[TokenKey]]:
    account = Account("http://127.0.0.1:1", "1000000001", Secret("caller"))
    provider = TokenProvider(account, transport=InProcess(_plenty()))
    keys = [provider.key(*tenant) for tenant in _tenants(count)]
    for key in keys:
        provider.get(key)
    return provider, keys


def _block(keys: Sequence[Any], size: int = BLOCK) -> list[Any]:
    return random.Random(1).choices(keys, k=size)  # noqa: S311 - the same ones each time


def _timed(ask: Callable[[Any], object], keys: Sequence[Any]) -> float:
    gc.collect()
    gc.disable()
    begun = time.thread_time_ns()
    for key in keys:
        ask(key)
    took = time.thread_time_ns() - begun
    gc.enable()
    return took / len(keys)


def _timed_async(
    loop: asyncio.AbstractEventLoop, ask: Callable[[Any], Coroutine[Any, Any, object]], keys: Sequence[Any]
) -> float:
    async def run() -> float:
        gc.collect()
        gc.disable()
        begun = time.thread_time_ns()
        for key in keys:
            await ask(key)
        took = time.thread_time_ns() - begun
        gc.enable()
        return took / len(keys)

    return loop.run_until_complete(run())


def _bare(keys: list[TokenKey]) -> Callable[[TokenKey], object]:
    """The least there is: look up, read the clock, compare."""
    known = {key: (key.business_id.rjust(_TEXT_BYTES, "x"), SystemClock.boot() + 86_400) for key in keys}
    boot = SystemClock.boot

    def ask(key: TokenKey) -> str:
        text, until = known[key]
        if boot() < until:
            return text
        raise KeyError

    return ask


def _filled(adapter: Adapter, count: int, loop: asyncio.AbstractEventLoop, *, sync: bool) -> tuple[Any, list[Tenant]]:
    provider: Any = adapter.make(_plenty())
    tenants = _tenants(count // _FEWER.get(adapter.name, 1))

    async def fill() -> None:
        for tenant in tenants:
            await provider.aget(tenant)

    if sync:
        for tenant in tenants:
            provider.get(tenant)
    else:
        loop.run_until_complete(fill())
    return provider, tenants


def hits(plan: Plan) -> list[Line]:
    """All sides in turn in one process, over random tenants, by the processor time of the thread that asks."""
    count = plan.scale // 10
    loop = asyncio.new_event_loop()
    provider, keys = _ours(count)
    ours = _block(keys)
    sides: dict[str, Callable[[], float]] = {
        "bare": partial(_timed, _bare(keys), ours),
        "sync": partial(_timed, provider.get, ours),
        "async": partial(_timed_async, loop, provider.aget, ours),
    }
    for adapter in (GoogleAuth(), Botocore(), AzureIdentity(), Authlib()):
        made, tenants = _filled(adapter, count, loop, sync=True)
        sides[f"{adapter.name} sync"] = partial(_timed, made.get, _block(tenants, _THEIR_BLOCK))
    for adapter in (AzureIdentity(), Authlib()):
        made, tenants = _filled(adapter, count, loop, sync=False)
        sides[f"{adapter.name} async"] = partial(_timed_async, loop, made.aget, _block(tenants, _THEIR_BLOCK))
    found = dict(zip(sides, in_turn(max(plan.pairs, 5), *sides.values()), strict=True))
    provider.close()
    loop.close()
    return _lines(found, count)


def _lines(found: dict[str, list[float]], count: int) -> list[Line]:
    bare = found.pop("bare")
    lines = []
    for face in ("sync", "async"):
        ours = found.pop(face)
        times = ratios(ours, bare)
        measured = f"{spread(times)}x; {spread(ours, 0)} against {spread(bare, 0)} ns"
        lines.append(Line(_hit(face, count, "a bare look-up and a clock"), "≤ 2.50x its time", measured, at_most(times, 2.5)))
        theirs = {name: values for name, values in found.items() if name.endswith(f" {face}")}
        best = [min(values) for values in zip(*theirs.values(), strict=True)]
        told = ", ".join(f"{name.removesuffix(f' {face}')} {spread(values, 0)}" for name, values in theirs.items())
        note = f"{count // 100:,} tenants in azure-identity and in Authlib"
        lines.append(
            Line(
                _hit(face, count, "libraries"),
                "≤ 1.00x the fastest",
                f"{spread(ours, 0)} ns; {told}",
                at_most(ratios(ours, best), 1.0),
                note,
            )
        )
    return lines


def _hit(face: str, count: int, beside: str) -> str:
    return f"the client's hit ({face}), {count:,} tenants, beside {beside}"


def tenants(plan: Plan) -> list[Line]:
    """Python's own count of what is allocated while a provider is filled; keys and token texts included."""
    count = plan.scale // 10
    loop = asyncio.new_event_loop()
    ours = _allocated(partial(_ours, count)) / count
    theirs = []
    for adapter in (GoogleAuth(), Botocore(), AzureIdentity(), Authlib()):
        each = count // max(_FEWER.get(adapter.name, 1), 10)
        fill = partial(_filled, adapter, each * _FEWER.get(adapter.name, 1), loop, sync=True)
        theirs.append(f"{adapter.name} {_allocated(fill) / each:,.0f}")
    loop.close()
    return [
        Line(
            f"memory of one of {count:,} tenants in the client",
            "≤ 700 bytes beside its key and its token's text",
            f"{ours - _key_and_text():,.0f} bytes ({ours:,.0f} in all)",
            sure(held=ours - _key_and_text() <= 700),
            f"in all, with fewer tenants: {', '.join(theirs)} bytes",
        )
    ]


def _allocated(fill: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    kept = fill()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if isinstance(kept, tuple) and isinstance(kept[0], TokenProvider):
        kept[0].close()
    return size


def _key_and_text() -> float:
    """What a caller has to hold anyway."""

    def fill() -> object:
        account = Account("http://127.0.0.1:1", "1000000001", Secret("caller"))
        return [(account.key(*tenant), tenant.business_id.rjust(_TEXT_BYTES, "x")) for tenant in _tenants(1000)]

    return _allocated(fill) / 1000
