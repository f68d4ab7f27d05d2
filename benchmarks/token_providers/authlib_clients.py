"""Authlib: its httpx2 clients with `client_credentials`, sync and async, before a transport that asks the kit's endpoint."""

from typing import Any

import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client
from benchmarks.token_providers.each_tenant import EachTenant
from benchmarks.token_providers.travelling import TravellingClock

from multipartner.testing.torture import Ability, Adapter, Answer, ConnectionCut, Endpoint, Tenant

_NONE = {"access_token": "none", "expires_at": 1, "token_type": "Bearer"}


def _response(answer: Answer) -> httpx2.Response:
    if answer.status != 200:
        return httpx2.Response(answer.status, headers=answer.headers, json={"error": "access_denied"})
    told = {"access_token": answer.token, "expires_at": answer.expires_at_s, "token_type": "Bearer"}
    return httpx2.Response(200, json=told)


class _Transport(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    def __init__(self, endpoint: Endpoint, tenant: Tenant) -> None:
        self._endpoint, self._tenant = endpoint, tenant

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return _response(self._endpoint.fetch(self._tenant))
        except ConnectionCut as error:
            raise httpx2.ReadError(str(error), request=request) from None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return _response(await self._endpoint.afetch(self._tenant))
        except ConnectionCut as error:
            raise httpx2.ReadError(str(error), request=request) from None


def _client(kind: Any, endpoint: Endpoint, tenant: Tenant) -> Any:  # noqa: ANN401 - the library's
    return kind(
        endpoint.app_id,
        endpoint.caller_token,
        token_endpoint="https://graph.example/token",  # noqa: S106 - an address
        grant_type="client_credentials",
        token=dict(_NONE),
        transport=_Transport(endpoint, tenant),
    )


class Asked:
    def __init__(self, endpoint: Endpoint) -> None:
        self._sync = EachTenant(lambda tenant: _client(OAuth2Client, endpoint, tenant))
        self._async = EachTenant(lambda tenant: _client(AsyncOAuth2Client, endpoint, tenant))

    def get(self, tenant: Tenant) -> str:
        client = self._sync.of(tenant)
        client.ensure_active_token()
        return str(client.token["access_token"])

    async def aget(self, tenant: Tenant) -> str:
        client = self._async.of(tenant)
        await client.ensure_active_token(client.token)
        return str(client.token["access_token"])

    def close(self) -> None:
        for client in self._sync.all():
            client.close()


class Authlib(Adapter):
    """Its leeway is a minute, and it has no way to refuse a token."""

    name = "Authlib"
    abilities = Ability.SYNC | Ability.ASYNC | Ability.TENANTS | Ability.FORK | Ability.CLOCK
    early_left_s = 50.0
    clock = TravellingClock

    def make(self, endpoint: Endpoint) -> Asked:
        return Asked(endpoint)
