"""The fake token endpoint: it counts, holds answers back until they are released, and fails as it is told.

In process (`Endpoint.fetch`, `afetch`) and on a real socket (`Endpoint.origin`) it is the same endpoint.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from multipartner.testing.torture.adapter import Tenant
from multipartner.testing.torture.answers import Answer, Call, ConnectionCut, Minted, Said
from multipartner.testing.torture.clock import TurnedClock
from multipartner.testing.torture.gates import HELD_FOR_S, Gate

if TYPE_CHECKING:
    from http.server import ThreadingHTTPServer

VERSION: Final = "v23.0"


class Clock(Protocol):
    """What a provider may ask of `endpoint.clock`."""

    def wall(self) -> float:
        """Unix seconds, as this machine believes."""
        ...

    def boot(self) -> float:
        """Seconds since boot: never set, never stepped."""
        ...

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait on a condition that is held. May return early."""
        ...


class Endpoint:
    """The endpoint as one app sees it: all that an adapter needs."""

    version = VERSION

    def __init__(self, upstream: "Upstream", app_id: str) -> None:
        self._upstream = upstream
        self.app_id = app_id
        self.caller_token = f"caller-of-{app_id}"
        self.clock: Clock = upstream.clock

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:port`: `GET {origin}/v23.0/{solution_id}/access_token?business_id=...`, with the caller token."""
        return self._upstream.origin()

    def fetch(self, tenant: Tenant) -> Answer:
        """Ask in process. Raises ConnectionCut."""
        return self._upstream.answer(self.app_id, tenant)

    async def afetch(self, tenant: Tenant) -> Answer:
        """Ask in process, in any event loop. Raises ConnectionCut."""
        return await self._upstream.answer_async(self.app_id, tenant)


class Upstream:
    """The endpoint as the probe sees it. Close it: that releases whoever is still held."""

    def __init__(self, clock: TurnedClock) -> None:
        self.clock = clock
        self.life_s = 3600.0
        self.repeats = False
        self.calls: list[Call] = []
        self._minted: dict[str, Minted] = {}
        self._last: dict[tuple[str, Tenant], str] = {}
        self._failing: list[tuple[Callable[[Call], bool], Said]] = []
        self._gates: list[Gate] = []
        self._changed = threading.Condition()
        self._server: ThreadingHTTPServer | None = None
        _UPSTREAMS.add(self)

    def endpoint(self, app_id: str = "1000000001") -> Endpoint:
        """Return what an app's provider is made with."""
        return Endpoint(self, app_id)

    # what the probe turns

    def hold(self, *, tenant: Tenant | None = None, first: int | None = None) -> Gate:
        """Hold back answers from now on: a tenant's, or all."""
        gate = Gate(lambda call: tenant is None or call.tenant == tenant, first)
        self._gates.append(gate)
        return gate

    @contextmanager
    def failing(self, said: Said, *, tenant: Tenant | None = None) -> Iterator[None]:
        """Answer so, to all or for one tenant, for as long as the block runs."""
        entry = (lambda call: tenant is None or call.tenant == tenant, said)
        self._failing.append(entry)
        try:
            yield
        finally:
            self._failing.remove(entry)

    # what the probe reads

    def arrived(self, count: int, within_s: float) -> bool:
        """Wait until so many calls have come in all."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.calls) >= count, within_s)

    def minted(self, token: str) -> Minted | None:
        """Whose token this is."""
        return self._minted.get(token)

    def right(self, token: str, app_id: str, tenant: Tenant) -> bool:
        """Whether it is that app's token for that tenant, and lives."""
        made = self._minted.get(token)
        return made is not None and made[:2] == (app_id, tenant) and made.expires_at_s > self.clock.true()

    # answering

    def answer(self, app_id: str, tenant: Tenant, connection: int = 0) -> Answer:
        """Count the call, wait at the gates, answer. Raises ConnectionCut."""
        gates, said = self._arrive(Call(app_id, tenant, connection))
        for gate in gates:
            gate.opened.wait(HELD_FOR_S)
        return _sent(said)

    async def answer_async(self, app_id: str, tenant: Tenant) -> Answer:
        """The same without blocking the loop."""
        gates, said = self._arrive(Call(app_id, tenant, 0))
        for gate in gates:
            await gate.passed()
        return _sent(said)

    def _arrive(self, call: Call) -> tuple[list[Gate], Answer | None]:
        """Count, and decide at once: what a gate holds back is an answer that was given when the call came."""
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
            return [gate for gate in self._gates if gate.takes(call)], self._say(call)

    def _say(self, call: Call) -> Answer | None:
        headers = {"date": formatdate(self.clock.true(), usegmt=True), "content-type": "application/json; charset=UTF-8"}
        said = next((said for matches, said in self._failing if matches(call)), None)
        if said is None:
            return Answer(200, headers, self._mint(call))
        if said.status == 0:
            return None
        if said.retry_after_s is not None:
            headers["retry-after"] = str(said.retry_after_s)
        error = {"message": "As the probe told it", "type": "OAuthException", "code": said.code, "fbtrace_id": "torture"}
        return Answer(said.status, headers, msgspec.json.encode({"error": error | {"is_transient": said.is_transient}}))

    def _mint(self, call: Call) -> bytes:
        owner = (call.app_id, call.tenant)
        text = self._last.get(owner) if self.repeats else None
        if text is None:
            text = f"token-{len(self._minted)}-{os.urandom(8).hex()}"
            self._minted[text] = Minted(call.app_id, call.tenant, int(self.clock.true() + self.life_s))
            self._last[owner] = text
        return msgspec.json.encode({"access_token": text, "expires_at": self._minted[text].expires_at_s})

    # on a socket

    def origin(self) -> str:
        """Serve on a free port of the loopback address, and say where."""
        from multipartner.testing.torture.loopback import serve  # noqa: PLC0415 - the other way round it needs this module

        with self._changed:
            if self._server is None:
                self._server = serve(self)
            return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Open all gates and stop serving."""
        for gate in self._gates:
            gate.open()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def renew_in_child(self) -> None:
        """After a fork: another thread of the parent may have held the lock."""
        self._changed = threading.Condition()


def _sent(said: Answer | None) -> Answer:
    if said is None:
        raise ConnectionCut("the endpoint cut the connection, as it was told")
    return said


_UPSTREAMS: "weakref.WeakSet[Upstream]" = weakref.WeakSet()


def _after_in_child() -> None:
    for upstream in list(_UPSTREAMS):
        upstream.renew_in_child()


os.register_at_fork(after_in_child=_after_in_child)
