"""A broker called as an ASGI application, over real providers with a scripted API and a turned clock."""

import asyncio
from collections.abc import Mapping  # noqa: TC003 - as the other modules do
from pathlib import Path
from typing import Any

from client.driving import Api, FakeTransport, TurnedClock, middle
from fakes import Reply
from multipartner.broker.credentials import Credentials, Known, Wanted, create
from multipartner.broker.readings import Readings
from multipartner.broker.service import Broker, Surroundings
from multipartner.broker.upstreams import Hook, Upstreams
from multipartner.client import Account, Options, RetryPolicy, Secret, TokenProvider
from multipartner.domain.model import Instant
from multipartner.web.observing import Observer, Seen

SOLUTION, OTHER_SOLUTION = "8249170987505988", "8249170987505989"
CUSTOMER, OTHER_CUSTOMER = "2991847208473997", "4089388446014104"
OPTIONS = Options(sweeps=False, uniform=middle, retry=RetryPolicy(attempts=1))


class InProcess:
    """`apis[account]` is what that account's upstream answers; `lines` is what an operator's log would have."""

    def __init__(self, folder: Path, *, accept_query_token: bool = False, wait_s: float = 10.0) -> None:
        self.clock = TurnedClock()
        self.file = folder / "credentials.json"
        self.apis = {"main": Api(), "other": Api()}
        self.transports = {name: FakeTransport(api, self.clock) for name, api in self.apis.items()}
        self.seen: list[Seen] = []
        self.lines: list[tuple[str, str, Mapping[str, object]]] = []
        self.errors: list[str] = []
        self.bearer = self.credential()
        self.credentials = Credentials(self.file)
        accounts = {
            "main": Account("https://graph.example", "5372200989284704", Secret("caller-token-of-main"), version="v25.0"),
            "other": Account("https://graph.example", "26176007736316621", Secret("caller-token-of-other"), version="v99.0"),
        }
        names = {account.id.app_id: name for name, account in accounts.items()}

        def make(account: Account, hook: Hook) -> TokenProvider:
            transport = self.transports[names[account.id.app_id]]
            return TokenProvider(account, OPTIONS, transport=transport, clock=self.clock, hooks=[hook])

        self.upstreams = Upstreams(accounts, make, lambda *line: self.lines.append(line), self.clock.boot)
        around = Surroundings(_no_lifespan, self.errors.append, wait_s, accept_query_token, self.now)
        self.broker = Broker(self.upstreams, self.credentials, Observer(self.seen.append, 0), around, ("v25.0", "v99.0"))
        self.readings = Readings(self.broker, self.upstreams, self.credentials)

    def close(self) -> None:
        self.upstreams.close()

    def now(self) -> Instant:
        return Instant(int(self.clock.wall()), int(self.clock.boot() * 10**9))

    def made(self, account: str = "main", **wanted: Any) -> tuple[Known, str]:
        given = {"name": "test", "account": account, "solutions": ["*"], "businesses": ["*"], **wanted}
        known, text = create(self.file, Wanted(**given), int(self.clock.wall()))
        return known, text.reveal()

    def credential(self, account: str = "main", **wanted: Any) -> str:
        return self.made(account, **wanted)[1]

    async def request(
        self,
        path: str,
        query: str = "",
        headers: list[tuple[bytes, bytes]] | None = None,
        *,
        method: str = "GET",
        body: bytes = b"",
    ) -> Reply:
        listed = [(b"host", b"localhost"), *(headers or [])]
        if body:
            listed.append((b"content-length", str(len(body)).encode()))
        scope = {
            "type": "http",
            "method": method,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": listed,
            "client": ("127.0.0.1", 4711),
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.broker(scope, receive, send)
        return Reply(sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, sent[1]["body"])

    async def aask(self, bearer: str, solution: str = SOLUTION, business: str = CUSTOMER, version: str = "v23.0") -> Reply:
        authorization = (b"authorization", b"Bearer " + bearer.encode("latin-1"))
        return await self.request(f"/{version}/{solution}/access_token", f"business_id={business}", [authorization])

    def ask(self, bearer: str | None = None, solution: str = SOLUTION, business: str = CUSTOMER, version: str = "v23.0") -> Reply:
        return asyncio.run(self.aask(self.bearer if bearer is None else bearer, solution, business, version))


async def _no_lifespan(_receive: Any, _send: Any) -> None:
    """Nothing is opened or closed here."""
