"""Whose token it is, and on whose behalf it is fetched.

A key carries everything that decides whose token an answer holds: with less, two apps that ask for one customer at the same
moment could be handed the same token (facts: client-tokens, finding 7).
"""

import hashlib
import hmac
import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from multipartner.domain.model import Secret

__all__ = ["Account", "AccountId", "Secret", "TokenKey"]

_ID: Final = re.compile("[0-9]{1,32}")
_VERSION: Final = re.compile(r"v[0-9]{1,3}\.[0-9]{1,3}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,4096}")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class AccountId(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """All of a key but the tenant: scheme, host and port, API version, app, and a fingerprint of the caller token."""

    origin: str
    version: str
    app_id: str
    caller: str


class TokenKey(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """One customer's token for one app in one solution. Made by `Account.key` or `TokenProvider.key`."""

    account: AccountId
    solution_id: str
    business_id: str

    def canonical(self) -> bytes:
        """Return all parts, each with its length before it, so that no two keys have the same bytes."""
        account = self.account
        parts = (account.origin, account.version, account.app_id, account.caller, self.solution_id, self.business_id)
        return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)


class Account:
    """An app's way to the API: where it is, which version is asked for, and the caller token of its system user.

    `origin` is `https://host[:port]`; plain http is taken for this machine only, or for a unix socket's name.
    With `app_secret` every call carries `appsecret_proof`. Raises ValueError, or TypeError for a secret given as plain text, with
    the name of what is wrong, never its value.
    """

    __slots__ = ("_app_secret", "_caller_token", "id")

    def __init__(
        self, origin: str, app_id: str, caller_token: Secret, *, version: str = "v23.0", app_secret: Secret | None = None
    ) -> None:
        _check_is_secret("caller_token", caller_token)
        if app_secret is not None:
            _check_is_secret("app_secret", app_secret)
        if not _is(_ID, app_id):
            raise ValueError("app_id must be 1 to 32 digits")
        if not _is(_VERSION, version):
            raise ValueError("version must look like v23.0")
        if not _is(_TOKEN, caller_token.reveal()):
            raise ValueError("caller_token must be 1 to 4,096 printable ASCII characters without a space")
        if app_secret is not None and not _is(_TOKEN, app_secret.reveal()):
            raise ValueError("app_secret must be 1 to 4,096 printable ASCII characters without a space")
        self.id = AccountId(_checked(origin), version, app_id, fingerprint(caller_token.reveal()))
        self._caller_token = caller_token
        self._app_secret = app_secret

    def key(self, solution_id: str, business_id: str) -> TokenKey:
        """Name a tenant's token. Raises ValueError for what is not digits."""
        for name, value in (("solution_id", solution_id), ("business_id", business_id)):
            if not _is(_ID, value):
                raise ValueError(f"{name} must be 1 to 32 digits")
        return TokenKey(self.id, solution_id, business_id)

    def authorization(self) -> str:
        """Return the `Authorization` header of a call for a token."""
        return f"Bearer {self._caller_token.reveal()}"

    def proof(self, token: Secret | None = None) -> str | None:
        """Return `appsecret_proof` (facts: graph-wire 3, B) of the caller token or of another; None without an app secret."""
        if self._app_secret is None:
            return None
        text = (token or self._caller_token).reveal()
        return hmac.new(self._app_secret.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        return f"<Account app {self.id.app_id} at {self.id.origin}>"


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _check_is_secret(name: str, given: object) -> None:
    if not isinstance(given, Secret):
        raise TypeError(f"{name} must be a Secret, as in Secret(text): a plain text shows up in logs and traces")


def fingerprint(text: str) -> str:
    """Return what tells two tokens apart in a log or key, and tells nothing of either: 64 bits of SHA-256, in hex."""
    return hashlib.sha256(b"multipartner token fingerprint\0" + text.encode()).hexdigest()[:16]


def _checked(origin: str) -> str:
    parts = urlsplit(origin)
    if parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise ValueError("origin must be https://host[:port] and nothing more")
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("origin must be https://host[:port]")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("origin must be https: a token sent over plain http to another machine can be read on the way")
    return f"{parts.scheme}://{parts.netloc.lower()}"
