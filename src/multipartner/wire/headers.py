"""Response headers of the contract's operation (facts: graph-wire 2), prepared so that an answer only picks them.

Shapes are ASGI's: lists of (name, value) in bytes, names in lower case.
"""

import functools

from multipartner.domain.reasons import Reason
from multipartner.wire.refusals import ROWS

Header = tuple[bytes, bytes]

# The operation is a GET, so caches on the way would keep a token unless told not to (attack 54).
UNCACHED: tuple[Header, ...] = (
    (b"cache-control", b"private, no-cache, no-store, must-revalidate"),
    (b"pragma", b"no-cache"),
    (b"expires", b"Sat, 01 Jan 2000 00:00:00 GMT"),
    (b"vary", b"Authorization"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)

JSON: Header = (b"content-type", b"application/json; charset=UTF-8")
"""Two popular clients fail on any other type (facts: graph-wire, finding 6)."""

ANSWER: tuple[Header, ...] = (JSON, *UNCACHED)

ALLOW_GET: Header = (b"allow", b"GET")
CLOSE: Header = (b"connection", b"close")

_CHALLENGES = {
    Reason.CALLER_MISSING: b'Bearer realm="graph"',
    Reason.CALLER_REVOKED: b'Bearer realm="graph", error="invalid_token", error_description="The access token was revoked"',
    Reason.CALLER_EXPIRED: b'Bearer realm="graph", error="invalid_token", error_description="The access token has expired"',
}
_CHALLENGE = b'Bearer realm="graph", error="invalid_token", error_description="Invalid OAuth access token"'


def challenge(reason: Reason) -> Header | None:
    """RFC 6750 section 3: a challenge on each 401, without an error code when no credential came."""
    return (b"www-authenticate", _CHALLENGES.get(reason, _CHALLENGE)) if ROWS[reason].status == 401 else None


_APP_USAGE: tuple[Header, ...] = tuple(
    (b"x-app-usage", b'{"call_count":%d,"total_cputime":0,"total_time":0}' % percent) for percent in range(101)
)


def app_usage(percent: int) -> Header:
    """`X-App-Usage`: calls of the hour in whole percent of the app's limit, at most 100."""
    return _APP_USAGE[min(percent, 100)]


def business_usage(business_id: bytes, percent: int, regain_minutes: int) -> Header:
    """`X-Business-Use-Case-Usage` for one business: percent of its limit, minutes until calls are possible again."""
    return b"x-business-use-case-usage", b'{"' + business_id + _after_business(min(percent, 100), regain_minutes)


@functools.lru_cache(maxsize=8192)
def _after_business(percent: int, regain_minutes: int) -> bytes:
    return (
        f'":[{{"type":"whatsapp_business_management","call_count":{percent},"total_cputime":0,'
        f'"total_time":0,"estimated_time_to_regain_access":{regain_minutes}}}]}}'
    ).encode()


_AFTER_BUSINESS = tuple(_after_business(percent, 0) for percent in range(101))


def usage(business_id: bytes, percents: tuple[int, int]) -> tuple[Header, Header]:
    """Both headers for a caller that was not refused: whole percent of the app's limit, and of its limit for this business."""
    app, business = percents
    if app > 100 or business > 100:
        return app_usage(app), business_usage(business_id, business, 0)
    return _APP_USAGE[app], (b"x-business-use-case-usage", b'{"' + business_id + _AFTER_BUSINESS[business])
