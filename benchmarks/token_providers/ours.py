"""This project's client under the torture kit, in process and over real sockets."""

from multipartner.client import Account, TokenProvider
from multipartner.client.keys import TokenKey
from multipartner.client.ports import Response, TransportFailed
from multipartner.client.provider import Options
from multipartner.client.tokens import AccessToken
from multipartner.domain.model import Secret
from multipartner.testing.torture import Ability, Adapter, ConnectionCut, Endpoint, Tenant


class InProcess:
    """A transport without a socket."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def fetch(self, _account: Account, key: TokenKey) -> Response:
        try:
            answer = self._endpoint.fetch(Tenant(key.solution_id, key.business_id))
        except ConnectionCut as error:
            raise TransportFailed(str(error)) from None
        return Response(*answer)

    def close(self) -> None:
        """Nothing is open."""

    def abandon(self) -> None:
        """Nothing is open."""


class Asked:
    """What the kit asks of a provider, asked of ours."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider
        self._handed_out: dict[str, AccessToken] = {}

    def get(self, tenant: Tenant) -> str:
        return self._text(self._provider.get(self._provider.key(*tenant)))

    async def aget(self, tenant: Tenant) -> str:
        return self._text(await self._provider.aget(self._provider.key(*tenant)))

    def reject(self, tenant: Tenant, token: str) -> None:
        self._provider.reject(self._handed_out[token], self._provider.key(*tenant))

    def close(self) -> None:
        self._provider.close()

    def _text(self, token: AccessToken) -> str:
        self._handed_out[token.reveal()] = token
        return token.reveal()


class Ours(Adapter):
    """In process."""

    abilities = Ability.SYNC | Ability.ASYNC | Ability.TENANTS | Ability.REJECT | Ability.FORK | Ability.CLOCK
    name = "multipartner"

    def make(self, endpoint: Endpoint) -> Asked:
        account = Account("http://127.0.0.1:1", endpoint.app_id, Secret(endpoint.caller_token))
        return Asked(TokenProvider(account, Options(), transport=InProcess(endpoint), clock=endpoint.clock))


class OursOverHttp(Ours):
    """With its own transport, to a socket."""

    name = "multipartner over HTTP"

    def make(self, endpoint: Endpoint) -> Asked:
        account = Account(endpoint.origin, endpoint.app_id, Secret(endpoint.caller_token))
        return Asked(TokenProvider(account, Options(), clock=endpoint.clock))
