"""What all adapters share: the headers of one call, and whether an answer refuses the token."""

from typing import Final

from multipartner.client.keys import TokenKey
from multipartner.client.provider import TokenProvider
from multipartner.client.tokens import AccessToken
from multipartner.wire.refusals import parse

SUSPECT: Final = frozenset({400, 401})
"""Only these answers' bodies are read."""

_TOKEN_CODES: Final = frozenset({102, 190})


def refuses_token(status: int, body: bytes) -> bool:
    """Tell whether an answer of a resource server is about the token (facts: graph-wire 1.3: 400 or 401)."""
    if status == 401:
        return True
    error = parse(body) if status == 400 else None
    return error is not None and error.code in _TOKEN_CODES


class Signing:
    """One tenant's calls. With an app secret every call carries `appsecret_proof` of its own token, if `proofs` is on."""

    def __init__(self, provider: TokenProvider, key: TokenKey, *, proofs: bool = False, min_ttl_s: float = 0.0) -> None:
        if proofs and provider.account.proof() is None:
            raise ValueError("proofs need an account with an app_secret")
        self.provider = provider
        self.key = key
        self.min_ttl_s = min_ttl_s
        self._proofs = proofs

    def token(self) -> AccessToken:
        """See `TokenProvider.get`."""
        return self.provider.get(self.key, min_ttl_s=self.min_ttl_s)

    async def atoken(self) -> AccessToken:
        """See `TokenProvider.aget`."""
        return await self.provider.aget(self.key, min_ttl_s=self.min_ttl_s)

    def proof(self, token: AccessToken) -> dict[str, str]:
        """Return the query parameters that go with a token."""
        proof = self.provider.account.proof(token.secret) if self._proofs else None
        return {} if proof is None else {"appsecret_proof": proof}

    def rejected(self, token: AccessToken) -> bool:
        """Tell the provider; returns whether another try has another token."""
        return self.provider.reject(token, self.key)
