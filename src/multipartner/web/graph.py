"""All operations but the token's: stations 1 and 5 around `issuing.management`.

The guard hands over what is neither the token operation nor a fixed path. An answer may hold what one viewer alone may see, so
none is kept on its way.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from multipartner.domain.graph import Presented, Viewer
from multipartner.domain.model import Secret
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.introspect import StorageUnavailable
from multipartner.issuing.limits import Quota
from multipartner.issuing.management import Management, TurnedAway
from multipartner.partnering.acting import ChangeRefused
from multipartner.web.access_token import usage_headers
from multipartner.web.asgi import Headers, Receive, Scope, Send, answer, read_body
from multipartner.web.bodies import MAX_BODY_BYTES, BodyRefused, parameters_in
from multipartner.web.framing import BEFORE_METHOD, has_no_body
from multipartner.web.graph_operations import Operation, Operations, Work
from multipartner.web.observing import Seen
from multipartner.web.refusing import TurningAway, refuse
from multipartner.wire import headers
from multipartner.wire.ask import Arrival
from multipartner.wire.graph_ask import (
    CREDENTIALS,
    ParameterRefused,
    Parameters,
    PathParser,
    Place,
    credentials,
    merged,
    query_parameters,
)

ROUTE: Final = "graph"
"""What requests are counted as that lead to no operation."""


class _Read(msgspec.Struct, frozen=True):
    """A request as station 1 leaves it."""

    presented: Presented
    parameters: Parameters
    client: tuple[str, Secret] | None = None


class Graph:
    """`/{Version}/{id}`, `/{Version}/{id}/{edge}`, and the few of other shapes that `wire.graph_ask` knows."""

    def __init__(
        self, answering: Mapping[str, str], operations: Operations, management: Management, turn_away: TurningAway
    ) -> None:
        self._path = PathParser(answering, operations)
        self._operations = operations
        self._management = management
        self._turn_away = turn_away
        self._observer = turn_away.observer

    def served(self) -> Iterator[tuple[str, str]]:
        """See `guard.Guard.served`."""
        for edge, methods in self._operations.items():
            path = f"/{{Version}}{edge}" if edge.startswith("/") else "/{Version}/{id}" + (f"/{edge}" if edge else "")
            yield from ((method, path) for method in methods)

    def nowhere(self, raw_path: bytes) -> Reason | None:
        """Say why a path leads nowhere, however the rest of the request looks; None when it leads here."""
        _, place = self._path(raw_path)
        return place.reason if isinstance(place, Refusal) and place.reason in BEFORE_METHOD else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send, arrival: Arrival, named: Mapping[bytes, bytes]) -> None:
        """Answer one request; `named` maps each header's name to its value."""
        edge, place = self._path(scope["raw_path"])
        if isinstance(place, Refusal) and place.reason in BEFORE_METHOD:
            return await self._turn_away(send, ROUTE, place, arrival)
        methods = self._operations[edge]
        operation = methods.get(scope["method"])
        if operation is None:
            allow = (b"allow", ", ".join(methods).encode())
            return await self._turn_away(send, ROUTE, Refusal(Reason.METHOD_NOT_ALLOWED), arrival, [allow])
        if isinstance(place, Refusal):
            return await self._turn_away(send, operation.id, place, arrival)
        try:
            read = await self._read(scope, receive, operation, place, arrival, named)
        except (ParameterRefused, BodyRefused) as error:
            return await self._turn_away(send, operation.id, error.refusal, arrival, [_version(place)])
        return await self._answer(send, operation, place, read)

    async def _read(
        self, scope: Scope, receive: Receive, operation: Operation, place: Place, arrival: Arrival, named: Mapping[bytes, bytes]
    ) -> _Read:
        known = operation.parameters | CREDENTIALS
        query = query_parameters(scope["query_string"], known)
        found: dict[str, Any] = dict(query)
        if scope["method"] == "POST":
            found = merged(query, await _body_of(receive, named), known)
        elif b"content-length" in named and not await has_no_body(receive, named[b"content-length"]):
            raise BodyRefused("", Reason.BODY_ON_GET)
        bearer, proof, in_query = credentials(found, named.get(b"authorization"), in_query="access_token" in query)
        client = None
        if operation.client is not None:
            # SDKs send their usual token and its proof along; the Graph API does not look at them here either.
            client, bearer, proof, in_query = operation.client(Parameters(found)), None, None, True
        presented = Presented(
            arrival.trace_id,
            operation.id,
            place.version,
            place.node_id,
            bearer,
            proof,
            in_query,
            arrival.address,
            arrival.now,
        )
        return _Read(presented, Parameters(found), client)

    async def _answer(self, send: Send, operation: Operation, place: Place, read: _Read) -> None:
        presented = read.presented
        if read.client is None:
            entered = await self._management.enter(presented)
        else:
            entered = await self._management.enter_client(presented, *read.client)
        if isinstance(entered, TurnedAway):
            more = _usage(entered.quota, entered.retry_after_s)
            return await self._refuse(send, presented, entered.viewer, entered.refusal, more)
        more = _usage(entered.quota, 0)
        work = Work(presented, entered.viewer, read.parameters, place.item)
        try:
            body = await operation.run(work)
        except ParameterRefused as error:
            body = error.refusal
        except ChangeRefused as error:
            body = error.refusal or Refusal(Reason.UNEXPECTED, fact=str(error))
        except StorageUnavailable as error:
            body = Refusal(Reason.FACTS_UNAVAILABLE, fact=str(error))
        if isinstance(body, Refusal):
            return await self._refuse(send, presented, entered.viewer, body, more)
        listed: Headers = [*headers.ANSWER, (b"x-fb-request-id", presented.trace_id.encode()), _version(place), *more]
        await answer(send, 200, listed, body)
        self._observer.counts[operation.id, 200, None] += 1
        if self._observer.wants_success(presented.now.boot_ns):
            self._observer.success(_seen(presented, entered.viewer, 200, None))
        return None

    async def _refuse(self, send: Send, presented: Presented, viewer: Viewer | None, refusal: Refusal, more: Headers) -> None:
        listed: Headers = [(b"facebook-api-version", presented.version.encode()), *more]
        status = await refuse(send, refusal.reason, presented.trace_id, listed, parameter=refusal.parameter)
        self._observer.counts[presented.operation, status, refusal.reason] += 1
        self._observer.refusal(_seen(presented, viewer, status, refusal), presented.now.boot_ns)
        self._management.refused(presented, refusal, viewer)


async def _body_of(receive: Receive, named: Mapping[bytes, bytes]) -> dict[str, Any]:
    if named.get(b"content-length", b"0") == b"0":
        return {}
    body = await read_body(receive, MAX_BODY_BYTES)
    if body is None:
        raise BodyRefused(f"the body has more than {MAX_BODY_BYTES} bytes")
    return parameters_in(named.get(b"content-type", b""), body)


def _version(place: Place) -> tuple[bytes, bytes]:
    return b"facebook-api-version", place.version.encode()


def _usage(quota: Quota | None, retry_after_s: int) -> Headers:
    listed: Headers = usage_headers(quota, retry_after_s) if quota is not None else []
    return [*listed, (b"retry-after", str(retry_after_s).encode())] if retry_after_s else listed


def _seen(presented: Presented, viewer: Viewer | None, status: int, refusal: Refusal | None) -> Seen:
    return Seen(
        presented.trace_id,
        presented.operation,
        status,
        refusal.reason if refusal else None,
        refusal.fact if refusal else "",
        presented.address,
        viewer.app_id if viewer else "",
        viewer.credential_id if viewer else "",
        viewer.tenant.solution_id if viewer and viewer.tenant else "",
        viewer.tenant.business_id if viewer and viewer.tenant else "",
        presented.version,
    )
