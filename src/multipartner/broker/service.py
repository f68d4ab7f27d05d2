"""The broker's ASGI application: the contract's one operation, answered from the token providers.

The same path, the same bodies, the same refusals as the service's own; what only the service knows (usage, trail) is not there.
"""

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from multipartner.broker.answers import Cause, NoToken, no_token
from multipartner.broker.credentials import Credentials, Known
from multipartner.broker.upstreams import Upstreams
from multipartner.client import AccessToken, ProviderClosed, TokenProvider, TokenUnavailable
from multipartner.domain.model import Ask, Instant
from multipartner.domain.reasons import Reason, Refusal
from multipartner.web.asgi import Headers, Receive, Scope, Send, answer
from multipartner.web.framing import BEFORE_METHOD, MAX_URL_BYTES, TraceIds, framing_fault, has_no_body, read_clocks
from multipartner.web.observing import Observer, Seen
from multipartner.web.refusing import refuse
from multipartner.wire import headers
from multipartner.wire.answer import relay
from multipartner.wire.ask import Arrival, AskParser
from multipartner.wire.versions import RELEASED

ROUTE: Final = "access_token"

Lifespan = Callable[[Receive, Send], Awaitable[None]]


class Surroundings(msgspec.Struct, frozen=True):
    """What the application needs besides its parts. `log_error` is called within a handler, with the trace id."""

    lifespan: Lifespan
    log_error: Callable[[str], None]
    wait_s: float = 10.0
    accept_query_token: bool = False
    clock: Callable[[], Instant] = read_clocks


class Broker:
    """`GET /{Version}/{Solution-ID}/access_token?business_id=...`, in any released version and those of the accounts.

    `counts`: requests by status and cause ("" for a success).
    """

    def __init__(
        self,
        upstreams: Upstreams,
        credentials: Credentials,
        observer: Observer,
        surroundings: Surroundings,
        versions: tuple[str, ...] = (),
    ) -> None:
        self._upstreams = upstreams
        self._credentials = credentials
        self._observer = observer
        self._around = surroundings
        self._parse = AskParser({version: version for version in (*RELEASED, *versions)})
        self._trace_ids = TraceIds()
        self.counts: Counter[tuple[int, str]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's start and stop; lets no exception out."""
        if scope["type"] != "http":
            await self._not_http(scope, receive, send)
            return
        peer = scope["client"][0] if scope.get("client") else ""
        arrival = Arrival(self._trace_ids.take().decode(), peer, self._around.clock())
        try:
            await self._answer(scope, receive, send, arrival)
        except Exception:  # noqa: BLE001 - the last one who can; the text goes to the log only
            self._around.log_error(arrival.trace_id)
            # A client that went away, or an answer half sent, cannot be told; the server must not log the text of it.
            with contextlib.suppress(Exception):
                await self._turn_away(send, Refusal(Reason.UNEXPECTED), arrival)

    async def _not_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._around.lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: Scope, receive: Receive, send: Send, arrival: Arrival) -> None:
        named = dict(scope["headers"])
        fault = framing_fault(scope["headers"], named)
        if fault or len(scope["raw_path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
            early = Refusal(Reason.MALFORMED_FRAMING if fault else Reason.URL_TOO_LONG, fact=fault)
            await self._turn_away(send, self._nowhere(scope["raw_path"]) or early, arrival, close=bool(fault))
            return
        ask = await self._read(scope, receive, named, arrival)
        if isinstance(ask, Refusal):
            more = [headers.ALLOW_GET] if ask.reason is Reason.METHOD_NOT_ALLOWED else []
            await self._turn_away(send, ask, arrival, more)
            return
        known = self._authenticate(ask)
        if isinstance(known, Refusal):
            await self._turn_away(send, known, arrival)
        elif isinstance(known, NoToken):
            await self._refuse(send, ask, None, known, [])
        else:
            await self._serve(send, ask, known)

    def _nowhere(self, raw_path: bytes) -> Refusal | None:
        refusal = self._parse.bad_path(raw_path)
        return refusal if refusal is not None and refusal.reason in BEFORE_METHOD else None

    async def _read(self, scope: Scope, receive: Receive, named: Mapping[bytes, bytes], arrival: Arrival) -> Ask | Refusal:
        ask = self._parse(scope["raw_path"], scope["query_string"], named.get(b"authorization"), arrival)
        if isinstance(ask, Refusal) and ask.reason in BEFORE_METHOD:
            return ask
        if scope["method"] != "GET":
            return Refusal(Reason.METHOD_NOT_ALLOWED)
        if isinstance(ask, Ask) and b"content-length" in named and not await has_no_body(receive, named[b"content-length"]):
            return Refusal(Reason.BODY_ON_GET)
        return ask

    def _authenticate(self, ask: Ask) -> Known | Refusal | NoToken:
        if ask.query_token and not self._around.accept_query_token:
            return Refusal(Reason.CALLER_IN_QUERY)
        known = self._credentials.authenticate(ask.bearer, ask.now.wall_s)
        if known is None:
            return NoToken(Cause.CREDENTIALS_UNREADABLE, retry_after_s=1)
        return Refusal(known) if isinstance(known, Reason) else known

    async def _serve(self, send: Send, ask: Ask, known: Known) -> None:
        provider = self._upstreams.get(known.account)
        if provider is None:
            await self._refuse(send, ask, known, NoToken(Cause.ACCOUNT_GONE, f"account {known.account}"), [])
            return
        more: Headers = [(b"facebook-api-version", provider.account.id.version.encode())]
        token = await self._token(provider, ask, known)
        if isinstance(token, NoToken):
            await self._refuse(send, ask, known, token, more)
            return
        body = relay(token.secret, token.expires_at_s)
        await answer(send, 200, [(b"x-fb-request-id", ask.trace_id.encode()), *headers.ANSWER, *more], body)
        self.counts[200, ""] += 1
        if self._observer.wants_success(ask.now.boot_ns):
            self._observer.success(_seen(ask, known, 200))

    async def _token(self, provider: TokenProvider, ask: Ask, known: Known) -> AccessToken | NoToken:
        if not known.reaches(ask.solution_id, ask.business_id):
            return NoToken(Cause.OUT_OF_REACH)
        try:
            key = provider.key(ask.solution_id, ask.business_id)
        except ValueError as error:
            # Longer than any id there is.
            return NoToken(Cause.UPSTREAM_UNKNOWN, str(error))
        try:
            return await provider.aget(key, timeout_s=self._around.wait_s)
        except TokenUnavailable as error:
            return no_token(error, self._around.clock().wall_s)
        except ProviderClosed:
            return NoToken(Cause.STOPPING, retry_after_s=1)

    async def _refuse(self, send: Send, ask: Ask, known: Known | None, why: NoToken, more: Headers) -> None:
        if why.retry_after_s:
            more.append((b"retry-after", str(why.retry_after_s).encode()))
        status = await refuse(send, why.reason, ask.trace_id, more)
        self.counts[status, why.cause.value] += 1
        fact = f"{why.cause.value}: {why.fact}" if why.fact else why.cause.value
        self._observer.refusal(_seen(ask, known, status, Refusal(why.reason, fact)), ask.now.boot_ns)

    async def _turn_away(
        self, send: Send, refusal: Refusal, arrival: Arrival, more: Headers | None = None, *, close: bool = False
    ) -> None:
        """Refuse what names no tenant, or comes from nobody; `close` when nobody can say where its next request begins."""
        status = await refuse(send, refusal.reason, arrival.trace_id, more, close=close)
        self.counts[status, refusal.reason.value] += 1
        seen = Seen(arrival.trace_id, ROUTE, status, refusal.reason, refusal.fact, arrival.address)
        self._observer.refusal(seen, arrival.now.boot_ns)


def _seen(ask: Ask, known: Known | None, status: int, refusal: Refusal | None = None) -> Seen:
    return Seen(
        ask.trace_id,
        ROUTE,
        status,
        refusal.reason if refusal else None,
        refusal.fact if refusal else "",
        ask.address,
        credential_id=known.id if known else "",
        solution_id=ask.solution_id[:64],
        business_id=ask.business_id[:64],
        version=ask.version,
    )
