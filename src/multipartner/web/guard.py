"""The outermost ASGI application: sees every request first, and lets nothing escape.

It refuses what two HTTP parsers could read in two ways (attack 49), matches raw paths before anything decodes them
(attack 8), and turns an unexpected error into the opaque 500. What the server hides from it is listed in SECURITY.md.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping

import msgspec

from multipartner.domain.model import Instant
from multipartner.domain.reasons import Reason, Refusal
from multipartner.web.access_token import ROUTE, AccessToken
from multipartner.web.addresses import Addresses
from multipartner.web.asgi import Receive, Scope, Send
from multipartner.web.framing import MAX_URL_BYTES, TraceIds, framing_fault, read_clocks
from multipartner.web.graph import Graph
from multipartner.web.refusing import TurningAway
from multipartner.wire.ask import Arrival

_TOKEN_PATH = b"/access_token"
_APP_TOKEN_PATH = b"/oauth/access_token"

Endpoint = Callable[[Scope, Receive, Send, Arrival, Mapping[bytes, bytes]], Awaitable[None]]


class Route(msgspec.Struct, frozen=True):
    """One fixed path besides the contract's: the exact raw path, the methods it is served for, and who answers.

    Without methods the endpoint says itself what it is served for, in its own form.
    """

    path: bytes
    methods: tuple[str, ...]
    endpoint: Endpoint


Lifespan = Callable[[Receive, Send], Awaitable[None]]


class Surroundings(msgspec.Struct, frozen=True):
    """What the guard needs besides the routes. `log_error` is called within the handler, with the trace id."""

    turn_away: TurningAway
    addresses: Addresses
    log_error: Callable[[str], None]
    clock: Callable[[], Instant] = read_clocks


class Guard:
    """The ASGI application of the service."""

    def __init__(
        self, access_token: AccessToken, graph: Graph, routes: tuple[Route, ...], surroundings: Surroundings, lifespan: Lifespan
    ) -> None:
        self._access_token = access_token
        self._graph = graph
        self._routes = {route.path: route for route in routes}
        self._turn_away = surroundings.turn_away
        self._addresses = surroundings.addresses
        self._log_error = surroundings.log_error
        self._clock = surroundings.clock
        self._lifespan = lifespan
        self._trace_ids = TraceIds()

    def served(self) -> Iterator[tuple[str, str]]:
        """Every way in: method and path's template. A path that judges methods itself has `*`."""
        yield "GET", f"/{{Version}}/{{id}}{_TOKEN_PATH.decode()}"
        yield from self._graph.served()
        for path, route in self._routes.items():
            yield from ((method, path.decode()) for method in route.methods or ("*",))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's start and stop."""
        if scope["type"] != "http":
            await self._not_http(scope, receive, send)
            return
        trace_id = self._trace_ids.take()
        listed = scope["headers"]
        named = dict(listed)
        fault = framing_fault(listed, named)
        peer = scope["client"][0] if scope.get("client") else ""
        if b"x-forwarded-for" in named:
            peer = self._addresses.of(peer, [value for name, value in listed if name == b"x-forwarded-for"])
        now = self._clock()
        raw_path = scope["raw_path"]
        try:
            authorization = named.get(b"authorization")
            if authorization is not None and not fault and scope["method"] == "GET" and b"content-length" not in named:
                again = self._access_token.again(scope, authorization, peer, trace_id, now)
                if again is not None:
                    await send({"type": "http.response.start", "status": 200, "headers": again[0]})
                    await send({"type": "http.response.body", "body": again[1]})
                    return
            arrival = Arrival(trace_id.decode(), peer, now)
            if fault or len(raw_path) + len(scope["query_string"]) > MAX_URL_BYTES:
                await self._refuse_early(send, raw_path, arrival, fault)
                return
            route = self._routes.get(raw_path)
            if route is None:
                await self._endpoint(raw_path)(scope, receive, send, arrival, named)
            elif not route.methods or scope["method"] in route.methods:
                await route.endpoint(scope, receive, send, arrival, named)
            else:
                allow = (b"allow", ", ".join(route.methods).encode())
                await self._turn_away(send, ROUTE, Refusal(Reason.METHOD_NOT_ALLOWED), arrival, [allow])
        except Exception:  # noqa: BLE001 - the last one who can; the text goes to the log only
            self._log_error(trace_id.decode())
            # A client that went away, or an answer half sent, cannot be told; the server must not log the text of it.
            with contextlib.suppress(Exception):
                await self._turn_away(send, ROUTE, Refusal(Reason.UNEXPECTED), Arrival(trace_id.decode(), peer, now))

    def _endpoint(self, raw_path: bytes) -> AccessToken | Graph:
        """Who answers where no fixed path does."""
        is_solutions = raw_path.endswith(_TOKEN_PATH) and not raw_path.endswith(_APP_TOKEN_PATH)
        return self._access_token if is_solutions else self._graph

    async def _not_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _refuse_early(self, send: Send, raw_path: bytes, arrival: Arrival, fault: str) -> None:
        reason = Reason.MALFORMED_FRAMING if fault else Reason.URL_TOO_LONG
        if raw_path not in self._routes:
            reason = self._endpoint(raw_path).nowhere(raw_path) or reason
        await self._turn_away(send, ROUTE, Refusal(reason, fact=fault), arrival, close=bool(fault))
