"""For httpx2 and for httpx: `Client(auth=...)` and `AsyncClient(auth=...)`."""

from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any

import httpx2

from multipartner.client.adapters.calls import SUSPECT, Signing, refuses_token
from multipartner.client.keys import TokenKey
from multipartner.client.provider import TokenProvider
from multipartner.client.tokens import AccessToken

if TYPE_CHECKING:
    import httpx


class _Flows:
    """The two flows, of either library: they differ in nothing but their names."""

    def __init__(self, provider: TokenProvider, key: TokenKey, *, proofs: bool = False, min_ttl_s: float = 0.0) -> None:
        self._signing = Signing(provider, key, proofs=proofs, min_ttl_s=min_ttl_s)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:  # noqa: ANN401 - of either library
        token = self._signing.token()
        self._sign(request, token)
        response = yield request
        is_suspect = response.status_code in SUSPECT and refuses_token(response.status_code, response.read())
        if is_suspect and self._signing.rejected(token) and _can_be_sent_again(request):
            self._sign(request, self._signing.token())
            yield request

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401 - of either library
        token = await self._signing.atoken()
        self._sign(request, token)
        response = yield request
        is_suspect = response.status_code in SUSPECT and refuses_token(response.status_code, await response.aread())
        if is_suspect and self._signing.rejected(token) and _can_be_sent_again(request):
            self._sign(request, await self._signing.atoken())
            yield request

    def _sign(self, request: Any, token: AccessToken) -> None:  # noqa: ANN401 - of either library
        request.headers["Authorization"] = token.authorization
        proof = self._signing.proof(token)
        if proof:
            request.url = request.url.copy_merge_params(proof)


class TokenAuth(_Flows, httpx2.Auth):
    """For httpx2: puts one tenant's token into each call."""


def httpx_auth(provider: TokenProvider, key: TokenKey, *, proofs: bool = False, min_ttl_s: float = 0.0) -> "httpx.Auth":
    """Return the same for httpx, which has to be installed."""
    import httpx  # noqa: PLC0415 - only those who use it have it

    class HttpxTokenAuth(_Flows, httpx.Auth):
        """For httpx."""

    return HttpxTokenAuth(provider, key, proofs=proofs, min_ttl_s=min_ttl_s)


def _can_be_sent_again(request: Any) -> bool:  # noqa: ANN401 - of either library
    # A body that is read while it is sent is gone; both libraries keep the others in `_content`, and say so by this error.
    try:
        request.content  # noqa: B018 - it is asked whether it is there
    except RuntimeError:
        return False
    return True


__all__ = ["TokenAuth", "httpx_auth"]
