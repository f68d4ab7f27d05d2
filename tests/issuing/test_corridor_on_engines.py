"""The whole corridor over a real store and trail of either engine: every outcome, what changes do to it, and many at once."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from deployment import ACT, DemoDeployment
from fakes import Reply
from issuing.real_engine import RealService
from multipartner.domain.model import AppId, BusinessId, CredentialId, SolutionId, Tenant
from multipartner.partnering import credentials, lives
from multipartner.storage.audit import verify
from multipartner.storage.trail_reading import find_trace
from serving import OWNER_APP, OWNER_USER, SHARING, SHARING_TOO, SOLUTION

pytestmark = pytest.mark.both_engines

WITHDRAWN, REVOKED_GRANT = "4089388446014104", "9587874657975456"
UNLIMITED = {"calls_per_hour": 1_000_000, "calls_per_business_per_hour": 1_000_000}


@contextmanager
def served(demo: DemoDeployment, **settings: Any) -> Iterator[RealService]:
    with asyncio.Runner() as runner, closing(RealService(demo, runner, "", **UNLIMITED, **settings)) as service:
        yield service


def ask(service: RealService, token: str, business: str = SHARING, solution: str = SOLUTION) -> Reply:
    return service.run(service.token(token, business, solution))


@pytest.mark.parametrize(
    ("business", "solution", "status", "reason"),
    [
        (SHARING, SOLUTION, 200, ""),
        (SHARING, "1" * 16, 404, "solution_unknown"),
        (SHARING, "19510788341329023", 403, "app_not_party"),
        ("1" * 16, SOLUTION, 404, "business_not_connected"),
        (WITHDRAWN, SOLUTION, 422, "nothing_shared"),
        (REVOKED_GRANT, SOLUTION, 403, "grant_revoked"),
    ],
)
def test_each_outcome(demo: DemoDeployment, business: str, solution: str, status: int, reason: str) -> None:
    """Every outcome is the same on both engines, and its trace id leads to the reason or to the event."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)
    with served(demo) as service:
        reply = ask(service, token, business, solution)

    assert reply.status == status, reply.body
    found = find_trace(demo.backend, reply.headers["x-fb-request-id"])
    told = [event.kind.value for event in found] if isinstance(found, list) else found.reason.value
    assert told == (reason or ["token.issued"])


def test_each_end_is_obeyed(demo: DemoDeployment) -> None:
    """Attacks 31, 33: whatever ends access, by whichever verb, the next request that can know of it is refused."""
    token, other = demo.caller_token(OWNER_USER, OWNER_APP), demo.caller_token(OWNER_USER, OWNER_APP)
    app, solution = AppId(OWNER_APP), SolutionId(SOLUTION)
    tenant = Tenant(app, solution, BusinessId(SHARING_TOO))
    credential = CredentialId(token.split("_")[1])
    with served(demo) as service:

        def after(action: Any) -> tuple[int, int]:
            assert demo.operate(action).changed
            return ask(service, token).status, ask(service, token, SHARING_TOO).status

        assert (ask(service, token).status, ask(service, token, SHARING_TOO).status) == (200, 200)
        assert after(lambda o: lives.revoke_share(o.store, ACT, BusinessId(SHARING), solution)) == (422, 200)
        assert after(lambda o: lives.revoke_grant(o.store, ACT, tenant)) == (422, 403)
        assert after(lambda o: lives.restore_grant(o.store, ACT, tenant)) == (422, 200)
        assert after(lambda o: lives.suspend_app(o.store, ACT, app)) == (403, 403)
        assert after(lambda o: lives.resume_app(o.store, ACT, app)) == (422, 200)
        assert after(lambda o: credentials.revoke_credential(o.store, ACT, credential)) == (401, 401)
        assert ask(service, other, SHARING_TOO).status == 200
        assert demo.operate(lambda o: lives.deactivate_solution(o.store, ACT, solution)).changed
        assert ask(service, other, SHARING_TOO).status == 422


def test_many_at_once_are_one_issuance(demo: DemoDeployment) -> None:
    """A hundred calls for one cold grant load it once, issue one token, and leave one event; a hundred for two, two."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)

    with served(demo) as service:

        async def herd() -> list[Reply]:
            return await asyncio.gather(*(service.token(token, (SHARING, SHARING_TOO)[n % 2], SOLUTION) for n in range(100)))

        replies = service.run(herd())

    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 2
    issued = [event for event in demo.events() if event["kind"] == "token.issued"]
    assert Counter(event["business_id"] for event in issued) == {SHARING: 1, SHARING_TOO: 1}
    assert verify(demo.backend).whole


def test_two_services_issue_the_same_bytes(demo: DemoDeployment) -> None:
    """Two processes on one store give the same caller the same token, and each says so in its own chain."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)
    with served(demo) as one, served(demo) as two:
        assert ask(one, token).body == ask(two, token).body

    issued = [event for event in demo.events() if event["kind"] == "token.issued"]
    assert len({event["chain"] for event in issued}) == 2
    assert len({event["jti"] for event in issued}) == 1


def test_changes_race_with_requests(demo: DemoDeployment) -> None:
    """Attack 33: while an operator revokes and restores a grant, no older token is given after a newer one was."""
    token = demo.caller_token(OWNER_USER, OWNER_APP)
    tenant = Tenant(AppId(OWNER_APP), SolutionId(SOLUTION), BusinessId(SHARING_TOO))
    rounds: list[int] = []

    def change() -> None:
        for _ in range(10):
            demo.operate(lambda o: lives.revoke_grant(o.store, ACT, tenant))
            demo.operate(lambda o: lives.restore_grant(o.store, ACT, tenant))
            rounds.append(1)

    bodies: list[bytes] = []
    with served(demo) as service:
        changing = threading.Thread(target=change)
        changing.start()
        while changing.is_alive():
            changing.join(0.002)  # or the operator would hardly have a turn
            reply = ask(service, token, SHARING_TOO)
            assert reply.status in (200, 403), reply.body
            if reply.status == 200 and bodies[-1:] != [reply.body]:
                bodies.append(reply.body)
        changing.join()
        last = ask(service, token, SHARING_TOO)

    assert (last.status, len(rounds)) == (200, 10)
    assert len(set(bodies)) == len(bodies)
    assert verify(demo.backend).whole
