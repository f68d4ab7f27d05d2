"""The only door a refusal leaves by: reason to response, through the table in `wire.refusals`."""

from multipartner.domain.reasons import Reason
from multipartner.web.asgi import Headers, Send, answer
from multipartner.wire import headers, refusals


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
