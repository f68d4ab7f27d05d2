"""For aiohttp (3.12 and later): `ClientSession(middlewares=[aiohttp_middleware(provider, key)])`."""

from collections.abc import Awaitable, Callable
from typing import Any

from multipartner.client.adapters.calls import SUSPECT, Signing, refuses_token
from multipartner.client.keys import TokenKey
from multipartner.client.provider import TokenProvider
from multipartner.client.tokens import AccessToken

Handler = Callable[[Any], Awaitable[Any]]


def aiohttp_middleware(
    provider: TokenProvider, key: TokenKey, *, proofs: bool = False, min_ttl_s: float = 0.0
) -> Callable[[Any, Handler], Awaitable[Any]]:
    """Return a client middleware that puts one tenant's token into each call."""
    signing = Signing(provider, key, proofs=proofs, min_ttl_s=min_ttl_s)

    async def middleware(request: Any, handler: Handler) -> Any:  # noqa: ANN401 - aiohttp.ClientRequest and ClientResponse
        token = await signing.atoken()
        _sign(signing, request, token)
        response = await handler(request)
        is_suspect = response.status in SUSPECT and refuses_token(response.status, await response.read())
        if is_suspect and signing.rejected(token) and _can_be_sent_again(request):
            response.release()
            _sign(signing, request, await signing.atoken())
            return await handler(request)
        return response

    return middleware


def _sign(signing: Signing, request: Any, token: AccessToken) -> None:  # noqa: ANN401 - aiohttp.ClientRequest
    request.headers["Authorization"] = token.authorization
    proof = signing.proof(token)
    if proof:
        request.url = request.url.update_query(proof)


def _can_be_sent_again(request: Any) -> bool:  # noqa: ANN401 - aiohttp.ClientRequest
    body = request.body
    return not body or getattr(body, "autoclose", True)
