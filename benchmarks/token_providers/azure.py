"""azure-identity over MSAL: a `ClientSecretCredential` (sync or aio) for each tenant, and a transport that asks the kit.

One credential with a scope for each tenant would do as well, but looks through all of them at each hit.
"""

from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import AsyncHttpTransport, HttpTransport
from azure.core.rest._http_response_impl import HttpResponseImpl
from azure.core.rest._http_response_impl_async import AsyncHttpResponseImpl
from azure.identity import ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from benchmarks.token_providers.each_tenant import EachTenant
from benchmarks.token_providers.travelling import TravellingClock

from multipartner.testing.torture import Ability, Adapter, Answer, ConnectionCut, Endpoint, Tenant

_ISSUER: Final = "https://login.example/00000000-0000-0000-0000-000000000001"
_FOUND: Final = {
    "token_endpoint": f"{_ISSUER}/oauth2/v2.0/token",
    "authorization_endpoint": f"{_ISSUER}/oauth2/v2.0/authorize",
    "issuer": f"{_ISSUER}/v2.0",
}
_SCOPE: Final = "api://granular/.default"


def _body(answer: Answer) -> tuple[int, dict[str, Any]]:
    if answer.status != 200:
        return answer.status, {"error": "access_denied", "error_description": f"HTTP {answer.status}"}
    left_s = int(answer.expires_at_s - parsedate_to_datetime(answer.headers["date"]).timestamp())
    # The vendor's own service names half of a life as the time to refresh.
    return 200, {"access_token": answer.token, "expires_in": left_s, "refresh_in": left_s // 2, "token_type": "Bearer"}


class _Transport(HttpTransport[Any, Any]):  # type: ignore[misc] # the library is not there when types are checked
    def __init__(self, endpoint: Endpoint, tenant: Tenant) -> None:
        self._endpoint, self._tenant = endpoint, tenant

    def open(self) -> None: ...

    def close(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def send(self, request: Any, **_: Any) -> Any:  # noqa: ANN401 - the library's interface
        if request.method == "GET":
            return _made(HttpResponseImpl, request, 200, _FOUND)
        try:
            answer = self._endpoint.fetch(self._tenant)
        except ConnectionCut as error:
            raise ServiceResponseError(str(error)) from None
        return _made(HttpResponseImpl, request, *_body(answer))


class _AsyncTransport(AsyncHttpTransport[Any, Any]):  # type: ignore[misc] # as above
    def __init__(self, endpoint: Endpoint, tenant: Tenant) -> None:
        self._endpoint, self._tenant = endpoint, tenant

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def send(self, request: Any, **_: Any) -> Any:  # noqa: ANN401 - the library's interface
        if request.method == "GET":
            return _made(AsyncHttpResponseImpl, request, 200, _FOUND)
        try:
            answer = await self._endpoint.afetch(self._tenant)
        except ConnectionCut as error:
            raise ServiceResponseError(str(error)) from None
        return _made(AsyncHttpResponseImpl, request, *_body(answer))


def _made(kind: Any, request: Any, status: int, told: dict[str, Any]) -> Any:  # noqa: ANN401 - the library's
    body = msgspec.json.encode(told)
    made = kind(
        request=request,
        internal_response=None,
        status_code=status,
        headers={"content-type": "application/json"},
        reason="",
        content_type="application/json",
        stream_download_generator=None,
    )
    made._content = body  # noqa: SLF001 - there is no other way to give it one
    made._is_closed = made._is_stream_consumed = True  # noqa: SLF001 - as above
    return made


def _credential(kind: Any, endpoint: Endpoint, transport: Any) -> Any:  # noqa: ANN401 - the library's
    # Its own retries sleep on the real clock, for seconds; without them the probes see the cache alone.
    return kind(
        _ISSUER.rpartition("/")[2],
        endpoint.app_id,
        endpoint.caller_token,
        authority="https://login.example",
        disable_instance_discovery=True,
        transport=transport,
        retry_total=0,
    )


class Asked:
    def __init__(self, endpoint: Endpoint) -> None:
        self._sync = EachTenant(lambda tenant: _credential(ClientSecretCredential, endpoint, _Transport(endpoint, tenant)))
        self._async = EachTenant(
            lambda tenant: _credential(AsyncClientSecretCredential, endpoint, _AsyncTransport(endpoint, tenant))
        )

    def get(self, tenant: Tenant) -> str:
        return str(self._sync.of(tenant).get_token(_SCOPE).token)

    async def aget(self, tenant: Tenant) -> str:
        return str((await self._async.of(tenant).get_token(_SCOPE)).token)


class AzureIdentity(Adapter):
    """It has no way to refuse a token without a claims challenge."""

    name = "azure-identity"
    abilities = Ability.SYNC | Ability.ASYNC | Ability.TENANTS | Ability.FORK | Ability.CLOCK
    early_left_s = 1500.0
    clock = TravellingClock

    def make(self, endpoint: Endpoint) -> Asked:
        return Asked(endpoint)
