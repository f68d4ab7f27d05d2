"""What an answer without a token means, and for whom: by is_transient, then code, then status (facts: client-tokens 3.4).

One exception to that order: codes that say "too many calls" are told first, since the contract and the live API send them
with `is_transient` as well, and a retry is then the wrong medicine. The status is the last to be asked: the live API answers
most things with 400 (facts: graph-wire 1.3, A).
"""

import enum
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from multipartner.client.ports import Response
from multipartner.wire.refusals import GraphError
from multipartner.wire.refusals import parse as parse_error


class Kind(enum.Enum):
    """What failed, and so who has to wait."""

    TRANSIENT = "transient"
    """The endpoint: it may work in a moment."""
    THROTTLED = "throttled"
    """The app's quota: nobody of this app asks for a while."""
    CREDENTIAL = "credential"
    """The caller token: nobody asks until it is another one, or a rare probe passes."""
    DENIED = "denied"
    """This tenant, or a permission of the app."""
    NOT_SHARED = "not_shared"
    """This tenant: unknown, or nothing shared (any more)."""
    REFUSED = "refused"
    """The call itself was wrong."""


class Usage(msgspec.Struct, frozen=True):
    """What the usage headers say: whole percent of the app's and of the business's quota, and seconds to wait."""

    app_percent: int = 0
    business_percent: int = 0
    regain_s: float = 0.0


class Failure(msgspec.Struct, frozen=True):
    """One failed attempt. Holds no body, no address and no token; `detail` is of our own words."""

    kind: Kind
    status: int = 0
    code: int | None = None
    subcode: int | None = None
    fbtrace_id: str | None = None
    is_transient: bool | None = None
    detail: str = ""
    retry_after_s: float = 0.0
    of_business: bool = False
    """Throttled: the quota is that of one business alone."""


_THROTTLED: Final = frozenset({4, 17, 32, 613, 80007, 80008, 130429})
_CREDENTIAL: Final = frozenset({102, 104, 190})
_UNSHARED_STATUS: Final = frozenset({404, 422})
_LONGEST_WAIT_S: Final = 3600.0


def classify(response: Response) -> Failure:
    """Say what an answer that carries no token means."""
    error = parse_error(response.body)
    usage = usage_of(response.headers)
    kind = _kind(response.status, error)
    wait_s = max(_retry_after(response.headers), usage.regain_s)
    of_business = kind is Kind.THROTTLED and usage.app_percent < 100 <= usage.business_percent
    if error is None:
        detail = "a 200 without a token" if response.status == 200 else "no Graph API error in the body"
        return Failure(kind, response.status, detail=detail, retry_after_s=wait_s, of_business=of_business)
    trace_id = error.fbtrace_id[:64] if error.fbtrace_id else None
    return Failure(kind, response.status, error.code, error.error_subcode, trace_id, error.is_transient, "", wait_s, of_business)


def _kind(status: int, error: GraphError | None) -> Kind:
    if error is not None and status != 200:
        told = _kind_of_code(error, status)
        if told is not None:
            return told
    if status == 429:
        return Kind.THROTTLED
    if status == 401:
        return Kind.CREDENTIAL
    if status == 403:
        return Kind.DENIED
    if status in _UNSHARED_STATUS:
        return Kind.NOT_SHARED
    # 3xx: redirects are never followed, and a proxy that sends them may stop doing so.
    return Kind.REFUSED if status in range(400, 500) and status != 408 else Kind.TRANSIENT


def _kind_of_code(error: GraphError, status: int) -> Kind | None:
    code = error.code
    if code in _THROTTLED:
        return Kind.THROTTLED
    if error.is_transient or code in (1, 2):
        return Kind.TRANSIENT
    if code in _CREDENTIAL or (code == 0 and status == 401):
        return Kind.CREDENTIAL
    if code in (3, 10) or 200 <= code <= 299:
        return Kind.DENIED
    # 100/33 is the live API's one answer for what is not there and for what must not be seen (facts: graph-wire 1.2, A).
    if code == 803 or (code == 100 and error.error_subcode == 33 and status in (400, 404)):
        return Kind.NOT_SHARED
    return Kind.REFUSED if code == 2500 else None


def usage_of(headers: Mapping[str, str]) -> Usage:
    """Read X-App-Usage and X-Business-Use-Case-Usage; what cannot be read counts as nothing."""
    app = _whole(_json(headers.get("x-app-usage")))
    business, regain_minutes = 0, 0.0
    listed = _json(headers.get("x-business-use-case-usage"))
    for entries in listed.values() if isinstance(listed, dict) else ():
        for entry in entries if isinstance(entries, list) else ():
            business = max(business, _whole(entry))
            minutes = entry.get("estimated_time_to_regain_access") if isinstance(entry, dict) else None
            if isinstance(minutes, int | float) and minutes > regain_minutes:
                regain_minutes = float(minutes)
    return Usage(app, business, min(regain_minutes * 60, _LONGEST_WAIT_S))


def date_of(headers: Mapping[str, str]) -> float | None:
    """Read the `Date` header as Unix seconds."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _whole(counts: object) -> int:
    names = ("call_count", "total_cputime", "total_time")
    values = [counts.get(name) for name in names] if isinstance(counts, dict) else []
    return min(max((int(value) for value in values if isinstance(value, int | float)), default=0), 1000)


def _json(text: str | None) -> Any:  # noqa: ANN401 - other people's JSON
    try:
        return msgspec.json.decode(text) if text else None
    except msgspec.DecodeError:
        return None


def _retry_after(headers: Mapping[str, str]) -> float:
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT_S)
    at_s, now_s = date_of({"date": text}), date_of(headers)
    return min(max(at_s - now_s, 0.0), _LONGEST_WAIT_S) if at_s is not None and now_s is not None else 0.0
