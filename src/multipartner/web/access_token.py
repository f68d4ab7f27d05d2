"""The contract's operation (getSolutionAccessToken): stations 1 and 5 around the corridor.

An ASGI callable without a framework on its path: warm, an answer costs less than a hello-world of one.
"""

from collections.abc import Mapping

import msgspec

from multipartner.domain.model import Ask, Instant
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.authenticate import BEARER, IDENTIFIER_END
from multipartner.issuing.cache import BoundedCache
from multipartner.issuing.corridor import Corridor, Outcome, Warm
from multipartner.issuing.limits import Quota
from multipartner.web.asgi import Headers, Receive, Scope, Send, answer
from multipartner.web.framing import BEFORE_METHOD, has_no_body
from multipartner.web.observing import Seen
from multipartner.web.refusing import TurningAway, refuse
from multipartner.wire import headers
from multipartner.wire.ask import Arrival, AskParser, is_plain

ROUTE = "access_token"
_SERVED = (ROUTE, 200, None)

_IDENTIFIER = slice(len(BEARER), IDENTIFIER_END)
_BUSINESS_FROM = len(b"business_id=")


class Prepared(msgspec.Struct, gc=False):
    """A warm answer with the headers that do not change, which many answers share; kept under credential, path and query."""

    warm: Warm
    headers: tuple[tuple[bytes, bytes], ...]
    touched: bool = False
    alive: bool = False


class AccessToken:
    """`GET /{Version}/{Solution-ID}/access_token?business_id=...`."""

    def __init__(self, answering: Mapping[str, str], corridor: Corridor, turn_away: TurningAway, cache_size: int) -> None:
        self._parse = AskParser(answering)
        self._corridor = corridor
        self._turn_away = turn_away
        self._observer = turn_away.observer
        self._counts = turn_away.observer.counts
        self._prepared: BoundedCache[bytes, Prepared] = BoundedCache(cache_size)
        self._version_headers = {v: (b"facebook-api-version", v.encode()) for v in answering.values()}
        self._constant: dict[tuple[str, int], tuple[tuple[bytes, bytes], ...]] = {}

    def again(
        self, scope: Scope, authorization: bytes, address: str, trace_id: bytes, now: Instant
    ) -> tuple[Headers, bytes] | None:
        """All headers and the body of an answer given before, if it is still the answer; None for the long way.

        For a GET without body only. What is kept was asked for with a plain query, so no key of the cache holds a secret.
        """
        query: bytes = scope["query_string"]
        prepared = self._prepared.get(authorization[_IDENTIFIER] + scope["raw_path"] + b"?" + query)
        if prepared is None or not authorization.startswith(BEARER):
            return None
        warm = prepared.warm
        if not self._corridor.again(warm, authorization[7:], address, now):
            return None
        prepared.touched = True
        self._counts[_SERVED] += 1
        if self._observer.wants_success(now.boot_ns):
            self._observer.success(_seen_again(prepared, address, trace_id))
        usage = headers.usage(query[_BUSINESS_FROM:], warm.quota.percents)
        return [(b"x-fb-request-id", trace_id), *prepared.headers, *usage], warm.rendered.body

    async def __call__(self, scope: Scope, receive: Receive, send: Send, arrival: Arrival, named: Mapping[bytes, bytes]) -> None:
        """`named` maps each header's name to its value; the guard has seen to it that Authorization came once."""
        ask = self._parse(scope["raw_path"], scope["query_string"], named.get(b"authorization"), arrival)
        if isinstance(ask, Refusal) and ask.reason in BEFORE_METHOD:
            return await self._turn_away(send, ROUTE, ask, arrival)
        if scope["method"] != "GET":
            return await self._turn_away(send, ROUTE, Refusal(Reason.METHOD_NOT_ALLOWED), arrival, [headers.ALLOW_GET])
        if isinstance(ask, Ask) and b"content-length" in named and not await has_no_body(receive, named[b"content-length"]):
            ask = Refusal(Reason.BODY_ON_GET)
        if isinstance(ask, Refusal):
            return await self._turn_away(send, ROUTE, ask, arrival)
        outcome = await self._corridor(ask)
        more: Headers = [self._version_headers[ask.version]]
        if outcome.quota is not None:
            more += usage_headers(outcome.quota, outcome.retry_after_s)
        if outcome.warm is None:
            return await self._answer_refused(send, ask, outcome, more)
        self._counts[_SERVED] += 1
        body = outcome.warm.rendered.body
        if is_plain(scope["query_string"]):
            key = named[b"authorization"][_IDENTIFIER] + scope["raw_path"] + b"?" + scope["query_string"]
            self._prepared.put(key, Prepared(outcome.warm, self._constant_headers(ask.version, len(body))))
        await answer(send, 200, [(b"x-fb-request-id", ask.trace_id.encode()), *headers.ANSWER, *more], body)
        if self._observer.wants_success(ask.now.boot_ns):
            self._observer.success(_seen(ask, outcome, 200))
        return None

    def _constant_headers(self, version: str, length: int) -> tuple[tuple[bytes, bytes], ...]:
        constant = self._constant.get((version, length))
        if constant is None:
            constant = (*headers.ANSWER, self._version_headers[version], (b"content-length", str(length).encode()))
            # Lengths of bodies lie between some hundred and MAX_TOKEN_BYTES: there are few.
            self._constant[version, length] = constant
        return constant

    def nowhere(self, raw_path: bytes) -> Reason | None:
        """Say why a path leads nowhere, however the rest of the request looks; None when it leads here."""
        refusal = self._parse.bad_path(raw_path)
        return refusal.reason if refusal is not None and refusal.reason in BEFORE_METHOD else None

    async def _answer_refused(self, send: Send, ask: Ask, outcome: Outcome, more: Headers) -> None:
        refusal = outcome.refusal or Refusal(Reason.UNEXPECTED)
        if outcome.retry_after_s:
            more.append((b"retry-after", str(outcome.retry_after_s).encode()))
        status = await refuse(send, refusal.reason, ask.trace_id, more)
        self._counts[ROUTE, status, refusal.reason] += 1
        self._observer.refusal(_seen(ask, outcome, status), ask.now.boot_ns)


def usage_headers(quota: Quota, regain_s: int = 0) -> Headers:
    """`X-App-Usage` and `X-Business-Use-Case-Usage` of a known caller; `regain_s` is 0 unless the limiter refused."""
    app, business = quota.percents
    return [headers.app_usage(app), headers.business_usage(quota.business_id.encode(), business, -(-regain_s // 60))]


def _seen(ask: Ask, outcome: Outcome, status: int) -> Seen:
    refusal, caller = outcome.refusal, outcome.caller
    return Seen(
        ask.trace_id,
        ROUTE,
        status,
        refusal.reason if refusal else None,
        refusal.fact if refusal else "",
        ask.address,
        caller.app_id if caller else "",
        caller.credential_id if caller else "",
        ask.solution_id[:64],
        ask.business_id[:64],
        ask.version,
    )


def _seen_again(prepared: Prepared, address: str, trace_id: bytes) -> Seen:
    tenant, caller = prepared.warm.entry.facts.tenant, prepared.warm.known.caller
    version = dict(prepared.headers)[b"facebook-api-version"].decode()
    return Seen(
        trace_id.decode(),
        ROUTE,
        200,
        address=address,
        app_id=tenant.app_id,
        credential_id=caller.credential_id,
        solution_id=tenant.solution_id,
        business_id=tenant.business_id,
        version=version,
    )
