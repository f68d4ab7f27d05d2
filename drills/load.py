"""The load: tokens asked for through the proxy and at each replica, introspections, and grants taken away and given back."""

import asyncio
import base64
import contextlib
import json
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

from benchmarks.world import OWNER, SOLUTION, VERSION
from drills.history import Change, Ended, Introspection, Issue, Recorder, Said
from drills.service import PROXY_NAME
from drills.world import World

from multipartner.domain.model import AppId, BusinessId, SolutionId, Tenant
from multipartner.operating import open_store
from multipartner.partnering.acting import Act
from multipartner.partnering.lives import restore_grant, revoke_grant
from multipartner.storage.change_ports import ChangeStore
from multipartner.storage.ports import StorageUnavailable

PATIENCE_S: Final = 3.0
"""What a client waits for an answer."""

_ISSUES_PER_S: Final = 80
_ISSUES_PER_S_AT_EACH: Final = 25
_INTROSPECTIONS_PER_S_AT_EACH: Final = 15
_WRITERS: Final = 3
_PAUSE_S: Final = 0.35
_GIVEN_BACK_AFTER_S: Final = 3.0
_TOKENS_KEPT: Final = 4

Held = tuple[str, str]
"""A token's `jti` and text."""


class Door:
    """Requests to one address over kept-alive connections."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises OSError (TimeoutError included) and EOFError when none came."""
        async with asyncio.timeout(PATIENCE_S):
            while self._idle:
                # One that was closed while it lay idle is no lost request: clients ask again on a new one.
                with contextlib.suppress(ConnectionError, EOFError):
                    return await self._on(self._idle.pop(), request)
            return await self._on(await asyncio.open_connection("127.0.0.1", self._port), request)

    async def _on(self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> tuple[int, bytes]:
        reader, writer = connection
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            body = await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
        except BaseException:
            writer.transport.abort()
            raise
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append(connection)
        return int(head[9:12]), body

    def close(self) -> None:
        """Let go of the connections."""
        for _, writer in self._idle:
            writer.transport.abort()
        self._idle.clear()


class Client:
    """Somebody with a caller token and a resource server's credential, who notes all that is asked and answered."""

    def __init__(self, world: World, record: Recorder) -> None:
        self._record = record
        basic = base64.b64encode(f"{quote(world.server_id)}:{quote(world.server_secret)}".encode()).decode()
        self._caller = f"Host: {PROXY_NAME}\r\nAuthorization: Bearer {world.token}\r\n\r\n"
        self._server = (
            f"Host: {PROXY_NAME}\r\nAuthorization: Basic {basic}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        )

    async def issue(self, door: Door, business: str) -> Held | None:
        """Ask for a token; None without one."""
        request = f"GET /{VERSION}/{SOLUTION}/access_token?business_id={business} HTTP/1.1\r\n{self._caller}".encode()
        sent_s = time.monotonic()
        said, body = await _said(door, request)
        received_s = time.monotonic()
        if said is not Said.GOOD:
            self._record(Issue(door.name, business, sent_s, received_s, said))
            return None
        answer = json.loads(body)
        jti = _jti(answer["access_token"])
        self._record(Issue(door.name, business, sent_s, received_s, said, jti, answer["expires_at"] - time.time()))
        return jti, answer["access_token"]

    async def introspect(self, door: Door, business: str, held: Held) -> Introspection:
        """Ask whether a token is good."""
        form = f"token={held[1]}"
        request = f"POST /oauth/introspect HTTP/1.1\r\nContent-Length: {len(form)}\r\n{self._server}\r\n{form}".encode()
        sent_s = time.monotonic()
        said, body = await _said(door, request)
        if said is Said.GOOD and not json.loads(body)["active"]:
            said = Said.DEAD
        seen = Introspection(door.name, business, sent_s, time.monotonic(), said, held[0])
        self._record(seen)
        return seen


class Load:
    """A bounded load on some businesses, until it is stopped."""

    def __init__(self, world: World, doors: Sequence[Door], record: Recorder, businesses: list[str], *, pace: float = 1) -> None:
        self.client = Client(world, record)
        self.held: dict[str, deque[Held]] = {business: deque(maxlen=_TOKENS_KEPT) for business in businesses}
        self._world = world
        self._proxy, *self._replicas = doors
        self._record = record
        self._businesses = businesses
        self._pace = pace
        self._chance = random.Random(7)  # noqa: S311 - whom to ask for
        self._tasks: set[asyncio.Task[None]] = set()
        self._changes = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        """Load until the block ends; then wait for what was begun."""
        stopping = asyncio.Event()
        flows = [self._flow(_ISSUES_PER_S, stopping, lambda: self._issue(self._proxy))]
        for door in self._replicas:
            flows.append(self._flow(_ISSUES_PER_S_AT_EACH, stopping, lambda door=door: self._issue(door)))  # type: ignore[misc] # bound now
            flows.append(self._flow(_INTROSPECTIONS_PER_S_AT_EACH, stopping, lambda door=door: self._introspect(door)))  # type: ignore[misc] # bound now
        flows += [self._write(self._businesses[place::_WRITERS], stopping) for place in range(_WRITERS)]
        running = [asyncio.create_task(flow) for flow in flows]
        try:
            yield self
        finally:
            stopping.set()
            await asyncio.gather(*running)
            await asyncio.gather(*self._tasks)

    async def _flow(self, per_s: float, stopping: asyncio.Event, act: Callable[[], Awaitable[None]]) -> None:
        """Begin so many a second, whether or not those before have ended: a stalled service is asked on."""
        next_s = time.monotonic()
        while not stopping.is_set():
            next_s += 1 / per_s / self._pace
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))
            self._begin(act())

    def _begin(self, action: Awaitable[None]) -> None:
        task = asyncio.ensure_future(action)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _issue(self, door: Door) -> None:
        business = self._chance.choice(self._businesses)
        held = await self.client.issue(door, business)
        if held and held not in self.held[business]:
            self.held[business].append(held)

    async def _introspect(self, door: Door) -> None:
        business = self._chance.choice(self._businesses)
        if self.held[business]:
            await self.client.introspect(door, business, self._chance.choice(self.held[business]))

    async def _write(self, businesses: list[str], stopping: asyncio.Event) -> None:
        """Take away and give back, one after the other; each writer has a connection of its own."""
        given_back: deque[tuple[float, str]] = deque()
        free = deque(businesses)
        async with open_store(self._world.settings) as store:
            while not stopping.is_set():
                await asyncio.sleep(_PAUSE_S)
                if given_back and given_back[0][0] < time.monotonic():
                    business = given_back.popleft()[1]
                    await self._change(store, business, takes=False)
                    free.append(business)
                elif free and self.held[free[0]]:
                    business = free.popleft()
                    newest = self.held[business][-1]
                    change = await self._change(store, business, takes=True)
                    given_back.append((time.monotonic() + _GIVEN_BACK_AFTER_S, business))
                    if change.ended is Ended.ACKNOWLEDGED:
                        self._ask_everywhere(business, newest)
                else:
                    free.rotate()

    def _ask_everywhere(self, business: str, held: Held) -> None:
        for door in self._replicas:
            self._begin(self.until_dead(door, business, held))

    async def until_dead(self, door: Door, business: str, held: Held) -> None:
        """Ask at once, and again until the token is told dead or two seconds are over."""
        until_s = time.monotonic() + 2
        while time.monotonic() < until_s:
            if (await self.client.introspect(door, business, held)).said is Said.DEAD:
                return
            await asyncio.sleep(0.01)

    async def _change(self, store: ChangeStore, business: str, *, takes: bool) -> Change:
        self._changes += 1
        actor = f"operator:drill-{business}-{self._changes}"
        tenant = Tenant(AppId(OWNER), SolutionId(SOLUTION), BusinessId(business))
        act, change = Act(actor, int(time.time())), revoke_grant if takes else restore_grant
        sent_s, changed = time.monotonic(), True
        try:
            changed = (await change(store, act, tenant)).changed
            ended = Ended.ACKNOWLEDGED
        except StorageUnavailable as error:
            ended = Ended.UNKNOWN if "while committing" in str(error) else Ended.FAILED
        seen = Change(business, sent_s, time.monotonic(), ended, actor, takes, changed)
        self._record(seen)
        return seen


async def _said(door: Door, request: bytes) -> tuple[Said, bytes]:
    try:
        status, body = await door.ask(request)
    except (OSError, EOFError):
        return Said.LOST, b""
    if status == 200:
        return Said.GOOD, body
    return (Said.TRANSIENT if status >= 500 or status == 429 else Said.DEAD), body


def _jti(token: str) -> str:
    payload = token.split(".")[1]
    jti: str = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"]
    return jti
