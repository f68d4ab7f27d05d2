"""The only door a refusal leaves by: reason to response, through the table in `wire.refusals`."""

from collections.abc import Callable

from multipartner.domain.events import RefusalRecord
from multipartner.domain.reasons import Reason, Refusal
from multipartner.web.asgi import Headers, Send, answer
from multipartner.web.observing import Observer, Seen
from multipartner.wire import headers, refusals
from multipartner.wire.ask import Arrival


async def refuse(
    send: Send, reason: Reason, trace_id: str, more: Headers | None = None, *, close: bool = False, parameter: str = ""
) -> int:
    """Print a refusal; returns the status sent. `more` headers come from the route (usage, Allow, version)."""
    listed: Headers = [*headers.ANSWER, (b"x-fb-request-id", trace_id.encode())]
    challenge = headers.challenge(reason)
    if challenge is not None:
        listed.append(challenge)
    if more:
        listed.extend(more)
    if close:
        listed.append(headers.CLOSE)
    status = refusals.ROWS[reason].status
    await answer(send, status, listed, refusals.render(reason, trace_id, parameter))
    return status


class TurningAway:
    """Refuses requests that never became one to an operation; each is counted, shown to operators and kept for `explain`.

    `keep` is the trail's: it neither blocks nor raises.
    """

    def __init__(self, observer: Observer, keep: Callable[[RefusalRecord], None]) -> None:
        self.observer = observer
        self._keep = keep

    async def __call__(
        self,
        send: Send,
        route: str,
        refusal: Refusal,
        arrival: Arrival,
        more: Headers | None = None,
        *,
        close: bool = False,
    ) -> None:
        """Refuse; `close` ends the connection, when nobody can say where its next request begins."""
        status = await refuse(send, refusal.reason, arrival.trace_id, more, close=close, parameter=refusal.parameter)
        self.note(route, status, refusal, arrival)

    def note(self, route: str, status: int, refusal: Refusal, arrival: Arrival) -> None:
        """Do all but the answer, for whoever answers in another form."""
        self.observer.counts[route, status, refusal.reason] += 1
        seen = Seen(arrival.trace_id, route, status, refusal.reason, refusal.fact, arrival.address)
        self.observer.refusal(seen, arrival.now.boot_ns)
        self._keep(RefusalRecord(arrival.trace_id, arrival.now.wall_s, refusal.reason, refusal.fact, arrival.address[:64]))
