"""For requests: `session.auth = RequestsTokenAuth(provider, key)`. Needs no import of it: any callable will do."""

from typing import Any

from multipartner.client.adapters.calls import SUSPECT, Signing, refuses_token
from multipartner.client.keys import TokenKey
from multipartner.client.provider import TokenProvider
from multipartner.client.tokens import AccessToken


class RequestsTokenAuth:
    """Puts one tenant's token into each call (`requests.auth.AuthBase` by behaviour)."""

    def __init__(self, provider: TokenProvider, key: TokenKey, *, proofs: bool = False, min_ttl_s: float = 0.0) -> None:
        self._signing = Signing(provider, key, proofs=proofs, min_ttl_s=min_ttl_s)

    def __call__(self, request: Any) -> Any:  # noqa: ANN401 - requests.PreparedRequest
        """Sign a prepared request, and look at its answer."""
        token = self._signing.token()
        self._sign(request, token)

        def look(response: Any, **options: Any) -> Any:  # noqa: ANN401 - requests.Response, and what it was sent with
            return self._again(response, token, options)

        request.register_hook("response", look)
        return request

    def _sign(self, request: Any, token: AccessToken) -> None:  # noqa: ANN401 - requests.PreparedRequest
        request.headers["Authorization"] = token.authorization
        proof = self._signing.proof(token)
        if proof:
            request.prepare_url(request.url, proof)

    def _again(self, response: Any, token: AccessToken, options: dict[str, Any]) -> Any:  # noqa: ANN401 - as above
        if response.status_code not in SUSPECT or not refuses_token(response.status_code, response.content):
            return response
        is_news = self._signing.rejected(token)
        body = response.request.body
        if not is_news or not (body is None or isinstance(body, str | bytes)):
            return response
        # What was answered is read: the connection is free for the second try.
        response.close()
        again = response.request.copy()
        again.hooks = {"response": []}
        again.url = _without_proof(again.url)
        self._sign(again, self._signing.token())
        second = response.connection.send(again, **options)
        second.history.append(response)
        second.request = again
        return second


def _without_proof(url: str) -> str:
    address, _, query = url.partition("?")
    kept = "&".join(part for part in query.split("&") if not part.startswith("appsecret_proof="))
    return f"{address}?{kept}" if kept else address
