"""The one place of the client that opens connections: httpx2, without redirects, with bounds on time and size."""

import codecs
import threading
from typing import Any, Final

import httpx2

from multipartner.client.keys import Account, TokenKey
from multipartner.client.ports import Response, TransportFailed

_MOST_BYTES: Final = 64 * 1024
_HEADERS: Final = frozenset({"date", "retry-after", "x-app-usage", "x-business-use-case-usage"})


class HttpTransport:
    """Fetches tokens over HTTP. Proxies and certificates are taken from the environment, as httpx2 does.

    `connect_s` and `read_s` bound one attempt. `uds` is the path of a unix socket to connect to instead of the account's host.
    """

    def __init__(
        self, *, connect_s: float = 5.0, read_s: float = 10.0, most_connections: int = 16, uds: str | None = None
    ) -> None:
        self._timeout = httpx2.Timeout(read_s, connect=connect_s)
        self._limits = httpx2.Limits(max_connections=most_connections, max_keepalive_connections=most_connections)
        self._uds = uds
        self._client: httpx2.Client | None = None
        self._opening = threading.Lock()
        # What a first call would import in a thread is imported here: a child that is forked meanwhile would wait for ever.
        codecs.lookup("idna")
        self._open()

    def fetch(self, account: Account, key: TokenKey) -> Response:
        """See `ports.Transport` (contract: getSolutionAccessToken)."""
        client = self._client or self._open()
        where = f"{account.id.origin}/{account.id.version}/{key.solution_id}/access_token"
        params = {"business_id": key.business_id}
        proof = account.proof()
        if proof is not None:
            params["appsecret_proof"] = proof
        headers = {"authorization": account.authorization(), "accept": "application/json"}
        try:
            with client.stream("GET", where, params=params, headers=headers) as answer:
                return Response(answer.status_code, _kept(answer.headers), _bounded(answer))
        except httpx2.HTTPError as error:
            # Its text may hold the address with its query; its type says enough.
            raise TransportFailed(type(error).__name__) from None

    def close(self) -> None:
        """See `ports.Transport`."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def abandon(self) -> None:
        """In a forked child: the sockets are the parent's, and closing them politely would end its TLS sessions."""
        self._client = None
        self._opening = threading.Lock()

    def _open(self) -> httpx2.Client:
        # Threads that begin together would each open one, and all but the last be left open.
        with self._opening:
            if self._client is None:
                transport = httpx2.HTTPTransport(uds=self._uds, limits=self._limits) if self._uds else None
                self._client = httpx2.Client(
                    timeout=self._timeout, limits=self._limits, follow_redirects=False, transport=transport
                )
            return self._client


def _kept(headers: Any) -> dict[str, str]:  # noqa: ANN401 - httpx2.Headers
    return {name: value for name, value in headers.items() if name in _HEADERS}


def _bounded(answer: httpx2.Response) -> bytes:
    body = b""
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise TransportFailed("the answer is too large")
    return body
