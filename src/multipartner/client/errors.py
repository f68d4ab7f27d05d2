"""What a caller gets instead of a token. Every one tells what the API said, and when another try can help."""

from typing import Final

from multipartner.client.failures import Failure, Kind
from multipartner.client.keys import TokenKey


class TokenUnavailable(Exception):  # noqa: N818 - a state, not a bug
    """No token can be handed out now.

    `retry_at_s` is Unix seconds: before it another try gets the same answer without a call; None when no time helps.
    `code`, `subcode`, `fbtrace_id`, `is_transient` and `status` are the API's, None or 0 where it gave none.
    """

    def __init__(self, key: TokenKey, failure: Failure | None, retry_at_s: float | None, text: str = "") -> None:
        self.key = key
        self.failure = failure
        self.retry_at_s = retry_at_s
        told = failure or Failure(Kind.TRANSIENT)
        self.status = told.status
        self.code = told.code
        self.subcode = told.subcode
        self.fbtrace_id = told.fbtrace_id
        self.is_transient = told.is_transient
        super().__init__(f"{text or told.kind.value}: solution {key.solution_id}, business {key.business_id}{_told(told)}")


def _told(failure: Failure) -> str:
    parts = [f"HTTP {failure.status}"] if failure.status else []
    parts += [f"code {failure.code}" + (f"/{failure.subcode}" if failure.subcode else "")] if failure.code is not None else []
    parts += [failure.detail] if failure.detail else []
    parts += [f"fbtrace_id {failure.fbtrace_id}"] if failure.fbtrace_id else []
    return f" ({', '.join(parts)})" if parts else ""


class UpstreamTransient(TokenUnavailable):
    """The API does not answer, or says that it cannot now."""


class WaitTimedOut(UpstreamTransient):
    """The caller's own `timeout_s` ended first; the fetch goes on for whoever asks next."""


class LifetimeTooShort(UpstreamTransient):
    """The newest token that can be had lives shorter than the caller's `min_ttl_s`."""


class Throttled(TokenUnavailable):
    """The app's quota is used up, or that for this business."""


class CredentialRejected(TokenUnavailable):
    """The API does not take the caller token: a person has to look at it. Tokens already fetched are still handed out."""


class TenantDenied(TokenUnavailable):
    """The app may not have a token for this tenant."""


class TenantNotShared(TokenUnavailable):
    """No such solution or business for this app, or the business shares nothing with the solution."""


class CallRefused(TokenUnavailable):
    """The API calls the request itself wrong."""


class ProviderClosed(RuntimeError):  # noqa: N818 - a state
    """`close()` was called."""


class WrongAccount(ValueError):  # noqa: N818 - a verdict
    """The key was made for another account, or before the caller token was changed."""


_ERRORS: Final = {
    Kind.TRANSIENT: UpstreamTransient,
    Kind.THROTTLED: Throttled,
    Kind.CREDENTIAL: CredentialRejected,
    Kind.DENIED: TenantDenied,
    Kind.NOT_SHARED: TenantNotShared,
    Kind.REFUSED: CallRefused,
}


def error_of(key: TokenKey, failure: Failure, retry_at_s: float | None) -> TokenUnavailable:
    """Make the error for a failure: a new one for each caller, since raising writes into it."""
    return _ERRORS[failure.kind](key, failure, retry_at_s)
