"""`serve` and the shared limits: the start, two services on one server, and what the metrics tell."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from deployment import DemoDeployment
from fakes import NOON_S
from multipartner.domain.model import Instant
from multipartner.starting import StartRefused, check_start
from multipartner.wiring import Service, build_service
from serving import OWNER_APP, OWNER_USER, SHARING, path_of
from shared_limits_server import own_server


async def _ask(service: Service, token: str) -> int:
    path, _, query = path_of(SHARING).partition("?")
    scope = {
        "type": "http",
        "method": "GET",
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"x"), (b"authorization", b"Bearer " + token.encode())],
        "client": ("192.0.2.1", 1),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await service.app(scope, receive, send)
    return int(sent[0]["status"])


def _serving(demo: DemoDeployment, action: Callable[[Service, Service], Awaitable[None]], **settings: object) -> None:
    """Two services on one deployment, as two replicas are."""

    async def run() -> None:
        services = [build_service(demo.settings(**settings), clock=lambda: Instant(NOON_S, 10**15)) for _ in range(2)]
        for service in services:
            await service.open()
        try:
            await action(services[0], services[1])
        finally:
            for service in services:
                await service.close()

    asyncio.run(run())


def test_two_services_on_one_deployment_share_one_limit(demo: DemoDeployment) -> None:
    """Attack 52: replica-hopping is refused, and each worker may use all of the limit, not its part."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)

    async def action(one: Service, two: Service) -> None:
        statuses = [await _ask((one, two)[n % 2], token) for n in range(14)]
        assert statuses == [200] * 10 + [429] * 4
        assert (one.vitals().limits_up, one.vitals().limits_errors) == (True, 0)

    with own_server() as server:
        _serving(demo, action, limits_url=server.url, calls_per_hour=10, workers=4)


def test_metrics_tell_of_a_server_that_is_away(demo: DemoDeployment) -> None:
    """Killed under the services, they serve on, and each says so within its next look at it; readiness lacks nothing."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)

    with own_server() as server:

        async def action(one: Service, two: Service) -> None:
            assert await _ask(one, token) == 200
            server.kill()
            for service in (one, two):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(service._watch_limits(), 0.5)
                assert (service.vitals().limits_errors, service.vitals().failing) == (1, frozenset())
            assert [await _ask(service, token) for service in (one, two)] == [200, 200]

        _serving(demo, action, limits_url=server.url, calls_per_hour=10)


def test_a_server_away_at_the_start_is_a_warning_or_a_stop(demo: DemoDeployment, tmp_path: Path) -> None:
    """With `count` a service starts and says what it lacks in one line; with `refuse` it does not start."""
    url = f"valkey+unix://:very-secret@{tmp_path}/nobody?db=0"
    (warning,) = check_start(demo.settings(limits_url=url))
    with pytest.raises(StartRefused) as refused:
        check_start(demo.settings(limits_url=url, limits_when_away="refuse"))

    for told in (warning, str(refused.value)):
        assert told.startswith("MULTIPARTNER_LIMITS_URL: the server does not answer (ConnectionError")
        assert "\n" not in told
        assert "very-secret" not in told
    with own_server() as server:
        assert check_start(demo.settings(limits_url=server.url)) == ()


def test_two_deployments_on_one_server_do_not_mix(demo: DemoDeployment) -> None:
    """Keys begin with something made from the issuer, so one deployment's calls never count for another's."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)

    async def action(one: Service, _two: Service) -> None:
        assert [await _ask(one, token) for _ in range(3)] == [200, 200, 429]

    with own_server() as server:
        for issuer in ("https://one.example", "https://two.example"):
            _serving(demo, action, limits_url=server.url, calls_per_hour=2, issuer=issuer)


def test_a_server_that_does_not_let_us_in_stops_the_start(demo: DemoDeployment) -> None:
    """A wrong password is no outage: one line, without it, and nothing starts."""
    with own_server("--requirepass", "right") as server, pytest.raises(StartRefused) as refused:
        check_start(demo.settings(limits_url=server.url.replace("unix://", "unix://:wrong-one@")))

    assert str(refused.value).startswith("MULTIPARTNER_LIMITS_URL: ConnectionError: invalid username-password")
    assert "wrong-one" not in str(refused.value)
