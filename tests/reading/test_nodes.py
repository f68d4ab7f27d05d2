"""Single nodes and `/me`, over HTTP and on both engines: what is told, how soon a change is obeyed, and when nothing is told."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from deployment import ACT, DemoDeployment
from multipartner.domain.model import AppId, BusinessId, SolutionId, Tenant
from multipartner.operating import Operator
from multipartner.partnering.lives import deactivate_solution, revoke_grant, revoke_share, suspend_app
from serving import OWNER_APP, OWNER_USER, SHARING, SOLUTION
from solutions.companies import Companies, Reply

WABA, NUMBER = "3736568475388304", "479674803286150"

TENANT = Tenant(AppId(OWNER_APP), SolutionId(SOLUTION), BusinessId(SHARING))

CHANGES: dict[str, Callable[[Operator], Awaitable[object]]] = {
    "share withdrawn": lambda o: revoke_share(o.store, ACT, TENANT.business_id, TENANT.solution_id),
    "grant revoked": lambda o: revoke_grant(o.store, ACT, TENANT),
    "solution ended": lambda o: deactivate_solution(o.store, ACT, TENANT.solution_id),
    "app suspended": lambda o: suspend_app(o.store, ACT, TENANT.app_id),
}


@pytest.fixture
def companies(demo: DemoDeployment) -> Iterator[Companies]:
    with asyncio.Runner() as runner:
        made = Companies(demo, runner, failures_per_hour=10_000)
        yield made
        made.close()


def granular_of(companies: Companies) -> str:
    given = companies.call("owner", "GET", f"{SOLUTION}/access_token", query=f"business_id={SHARING}")
    return str(given.json["access_token"])


@pytest.mark.both_engines
def test_each_kind_tells_its_fields(companies: Companies) -> None:
    """Business, app, WABA, phone number and system user tell what is known of them, and nested nodes what is asked of these."""

    def told(path: str, fields: str = "") -> object:
        return companies.call("owner", "GET", path, query=f"fields={fields}" if fields else "").json

    assert told(SHARING) == {"id": SHARING, "name": "Harbour Books"}
    assert told(OWNER_APP, "name") == {"id": OWNER_APP, "name": "Brightline Connect"}
    assert told(NUMBER) == {"id": NUMBER, "display_phone_number": "+1 206-555-0142", "status": "LINKED"}
    assert told(NUMBER, "status") == {"id": NUMBER, "status": "LINKED"}
    assert told(OWNER_USER) == told("me") == {"id": OWNER_USER, "name": "Brightline token service"}
    owner = {"id": SHARING, "name": "Harbour Books"}
    assert told(WABA, "name,on_behalf_of_business_info") == {
        "id": WABA,
        "name": "Harbour Books",
        "on_behalf_of_business_info": owner,
    }
    assert told(SOLUTION, "partners{partner_app{name},status},owner_app{id}") == {
        "id": SOLUTION,
        "partners": {
            "data": [
                {
                    "id": f"{SOLUTION}26176007736316621",
                    "partner_app": {"id": "26176007736316621", "name": "Parcelbee Notifications"},
                    "status": "ACCEPTED",
                }
            ]
        },
        "owner_app": {"id": OWNER_APP},
    }


@pytest.mark.both_engines
def test_me_is_whom_a_token_speaks_for(companies: Companies) -> None:
    """A granular token's `/me` tells its customer; a caller token has none; without a version the oldest served one answers."""
    granular = granular_of(companies)

    assert companies.call(granular, "GET", "me", query="fields=client_business_id").json == {
        "id": f"{SHARING}.{OWNER_APP}",
        "client_business_id": SHARING,
    }
    assert companies.call("owner", "GET", "me", query="fields=client_business_id").status == 422
    bearer = {"Authorization": f"Bearer {granular}"}
    unversioned = companies.run(companies.request("/me", "fields=client_business_id", bearer))
    assert unversioned.json["client_business_id"] == SHARING
    assert unversioned.headers["facebook-api-version"] == "v21.0"
    assert [_status(companies, path) for path in ("/v99.0/me", "/x/me", "/me/", "/v23.0/me/me")] == [404] * 4


def _status(companies: Companies, path: str) -> int:
    reply: Reply = companies.run(companies.request(path, "", {"Authorization": f"Bearer {companies.tokens['owner']}"}))
    return reply.status


@pytest.mark.both_engines
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_taken_back_is_gone_with_the_next_request(companies: Companies, demo: DemoDeployment, change: str) -> None:
    """Attack 41: once it is acknowledged, a withdrawal, revocation, end or suspension ends reading: by node, list and token."""
    granular = granular_of(companies)
    lists = ("869452005598175/client_whatsapp_business_accounts", f"{SHARING}/owned_whatsapp_business_accounts")
    assert all(WABA in companies.call("owner", "GET", path).body.decode() for path in (*lists, WABA))

    demo.operate(CHANGES[change])

    for path in (WABA, NUMBER, f"{WABA}/phone_numbers", f"{WABA}/solutions", *lists):
        assert WABA not in companies.call("owner", "GET", path).body.decode(), path
        assert companies.call(granular, "GET", path).status == 401
    assert companies.call(granular, "GET", "me").status == 401
    assert companies.call("owner", "GET", WABA).status == (403 if change == "app suspended" else 404)


def test_without_a_feed_nothing_is_told(companies: Companies, demo: DemoDeployment) -> None:
    """A read whose facts cannot be trusted is the transient 500: the feed was not confirmed within `stale_for_s`."""
    assert companies.call("owner", "GET", WABA).status == 200
    demo.database.rename(demo.directory / "elsewhere.db")
    companies.turn(5)

    for path in (WABA, "me", f"{WABA}/phone_numbers"):
        reply = companies.call("owner", "GET", path)
        assert (reply.status, reply.json["error"]["is_transient"]) == (500, True)


def test_a_read_opens_no_writing_side(companies: Companies) -> None:
    """Reading goes over the connection that serves: the store for changes stays closed until the first change."""
    for path in (SOLUTION, f"{SOLUTION}/partners", WABA, f"{WABA}/phone_numbers", "me"):
        assert companies.call("owner", "GET", path).status == 200

    assert companies.service._store._database is None
