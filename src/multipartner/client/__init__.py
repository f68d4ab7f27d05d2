"""Fresh granular tokens for a partner's backend: see `TokenProvider`. Needs nothing of the server."""

from multipartner.client.errors import (
    CallRefused,
    CredentialRejected,
    LifetimeTooShort,
    ProviderClosed,
    TenantDenied,
    TenantNotShared,
    Throttled,
    TokenUnavailable,
    UpstreamTransient,
    WaitTimedOut,
    WrongAccount,
)
from multipartner.client.gates import RetryPolicy
from multipartner.client.keys import Account, Secret, TokenKey
from multipartner.client.policy import RefreshPolicy
from multipartner.client.provider import Options, TokenProvider
from multipartner.client.telling import EVENTS, Explanation, Health
from multipartner.client.tokens import AccessToken
from multipartner.client.transport import HttpTransport

__all__ = [
    "EVENTS",
    "AccessToken",
    "Account",
    "CallRefused",
    "CredentialRejected",
    "Explanation",
    "Health",
    "HttpTransport",
    "LifetimeTooShort",
    "Options",
    "ProviderClosed",
    "RefreshPolicy",
    "RetryPolicy",
    "Secret",
    "TenantDenied",
    "TenantNotShared",
    "Throttled",
    "TokenKey",
    "TokenProvider",
    "TokenUnavailable",
    "UpstreamTransient",
    "WaitTimedOut",
    "WrongAccount",
]
