"""What a caller of the broker is told when there is no token: one row of the contract's table for each way upstream can say no.

A caller is answered for what it did and may do. That upstream does not take the broker's own credential, or calls the broker's
request wrong, is nobody's fault who asks here: they read the transient 500, and the operator reads why (decision record 0024).
"""

import enum
import math
from types import MappingProxyType
from typing import Final

import msgspec

from multipartner.client import (
    CallRefused,
    CredentialRejected,
    LifetimeTooShort,
    TenantDenied,
    TenantNotShared,
    Throttled,
    TokenUnavailable,
    WaitTimedOut,
)
from multipartner.domain.reasons import Reason


class Cause(enum.Enum):
    """Why there is no token, in the operator's words; the value stands in log and metrics."""

    OUT_OF_REACH = "out_of_reach"
    """The caller's token does not name this solution or business: told as if there were no such."""
    UPSTREAM_UNKNOWN = "upstream_unknown"
    UPSTREAM_NOT_SHARED = "upstream_not_shared"
    UPSTREAM_DENIED = "upstream_denied"
    UPSTREAM_LIMITED = "upstream_limited"
    UPSTREAM_CREDENTIAL = "upstream_credential"
    UPSTREAM_REFUSED = "upstream_refused"
    UPSTREAM_AWAY = "upstream_away"
    WAITED_TOO_LONG = "waited_too_long"
    TOO_SHORT = "too_short"
    CREDENTIALS_UNREADABLE = "credentials_unreadable"
    ACCOUNT_GONE = "account_gone"
    """The caller's token is for an account that the configuration does not have any more."""
    STOPPING = "stopping"


SAID: Final = MappingProxyType(
    {
        Cause.OUT_OF_REACH: Reason.SOLUTION_UNKNOWN,
        Cause.UPSTREAM_UNKNOWN: Reason.SOLUTION_UNKNOWN,
        Cause.UPSTREAM_NOT_SHARED: Reason.NOTHING_SHARED,
        Cause.UPSTREAM_DENIED: Reason.GRANT_REVOKED,
        Cause.UPSTREAM_LIMITED: Reason.APP_LIMITED,
        Cause.UPSTREAM_CREDENTIAL: Reason.FACTS_UNAVAILABLE,
        Cause.UPSTREAM_REFUSED: Reason.FACTS_UNAVAILABLE,
        Cause.UPSTREAM_AWAY: Reason.FACTS_UNAVAILABLE,
        Cause.WAITED_TOO_LONG: Reason.FACTS_UNAVAILABLE,
        Cause.TOO_SHORT: Reason.FACTS_UNAVAILABLE,
        Cause.CREDENTIALS_UNREADABLE: Reason.FACTS_UNAVAILABLE,
        Cause.ACCOUNT_GONE: Reason.CALLER_UNKNOWN,
        Cause.STOPPING: Reason.FACTS_UNAVAILABLE,
    }
)
"""Whose row of `wire.refusals.ROWS` is printed."""

_TELLS_WHEN: Final = frozenset({Reason.APP_LIMITED, Reason.FACTS_UNAVAILABLE})
_MOST_S: Final = 3600

_CAUSES: Final = (
    (Throttled, Cause.UPSTREAM_LIMITED),
    (CredentialRejected, Cause.UPSTREAM_CREDENTIAL),
    (TenantDenied, Cause.UPSTREAM_DENIED),
    (CallRefused, Cause.UPSTREAM_REFUSED),
    (WaitTimedOut, Cause.WAITED_TOO_LONG),
    (LifetimeTooShort, Cause.TOO_SHORT),
)


class NoToken(msgspec.Struct, frozen=True):
    """Why there is none. `fact` is for the operator; `retry_after_s` is 0 where waiting is not the answer."""

    cause: Cause
    fact: str = ""
    retry_after_s: int = 0

    @property
    def reason(self) -> Reason:
        """Whose row the caller reads."""
        return SAID[self.cause]


def no_token(error: TokenUnavailable, now_s: float) -> NoToken:
    """Read the client's error. `now_s` is Unix time."""
    cause = _cause(error)
    retry_after_s = 0
    if SAID[cause] in _TELLS_WHEN:
        wait_s = (error.retry_at_s or now_s) - now_s
        retry_after_s = min(max(math.ceil(wait_s), 1), _MOST_S)
    return NoToken(cause, str(error), retry_after_s)


def _cause(error: TokenUnavailable) -> Cause:
    if isinstance(error, TenantNotShared):
        return Cause.UPSTREAM_NOT_SHARED if error.status == 422 else Cause.UPSTREAM_UNKNOWN
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), Cause.UPSTREAM_AWAY)
