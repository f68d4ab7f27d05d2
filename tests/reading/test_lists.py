"""Lists in pages, over HTTP and on both engines, against what the world has by construction."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from deployment import Blank, Deployment
from fakes import ISSUER, Reply
from issuing.real_engine import RealService
from multipartner.crypto.cursors import LIFETIME_S
from multipartner.operating import Operator
from multipartner.storage.ports import SealedKeyRecord
from reading.crowd import (
    ELSEWHERE,
    HOME,
    LISTS,
    OTHER_USER,
    OWN_WABAS,
    OWNER,
    PARTNER,
    SOLUTIONS,
    USER,
    crowd,
    customer,
    shared_of,
    wabas_of,
)

pytestmark = pytest.mark.both_engines


class Callers(RealService):
    """The service on the crowded world, and callers of its two apps."""

    def __init__(self, deployment: Deployment, runner: asyncio.Runner) -> None:
        deployment.apply(crowd())
        self.deployment = deployment
        self.tokens = {"owner": deployment.caller_token(USER, OWNER), "partner": deployment.caller_token(OTHER_USER, PARTNER)}
        super().__init__(deployment, runner, "", calls_per_hour=100_000, calls_per_business_per_hour=100_000)

    def get(self, path: str, who: str = "owner", **query: str) -> Reply:
        """`path` is below the version; it may be a whole address of a neighbouring page."""
        place, _, given = path.removeprefix(f"{ISSUER}/v23.0/").partition("?")
        asked = "&".join(filter(None, (given, urlencode(query))))
        headers = {"Authorization": f"Bearer {self.tokens.get(who, who)}"}
        return self._runner.run(self.request(f"/v23.0/{place}", asked, headers))

    def page(self, path: str, who: str = "owner", **query: str) -> Any:
        reply = self.get(path, who, **query)
        assert reply.status == 200, reply.body
        return reply.json


@pytest.fixture(scope="module")
def callers(blank: Blank) -> Iterator[Callers]:
    """One for all tests: they read."""
    with blank() as deployment, asyncio.Runner() as runner:
        made = Callers(deployment, runner)
        yield made
        made.close()


def ids(page: Any) -> list[str]:
    return [item["id"] for item in page["data"]]


def walked(callers: Callers, page: Any, towards: str) -> list[Any]:
    """A page, and all that it leads to in one direction."""
    pages = [page]
    while towards in pages[-1].get("paging", {}):
        pages.append(callers.page(pages[-1]["paging"][towards]))
        assert len(pages) < 300
    return pages


@pytest.mark.parametrize("path", LISTS)
def test_pages_are_the_whole_list_once(callers: Callers, path: str) -> None:
    """Following `next` from the first page tells every item once, in order; following `previous` from the last one as well."""
    for limit in (3, 25, 100):
        there = walked(callers, callers.page(path, limit=str(limit)), "next")
        back = walked(callers, there[-1], "previous")

        assert [id_ for page in there for id_ in ids(page)] == LISTS[path], limit
        assert [id_ for page in reversed(back) for id_ in ids(page)] == LISTS[path], limit
        assert all(len(page["data"]) <= limit for page in (*there, *back))


def test_pages_without_a_limit_have_25_items(callers: Callers) -> None:
    """The contract's default is 25 items and its most 100; `first` with `after` and `last` with `before` say the same."""
    path = f"{HOME}/owned_whatsapp_business_accounts"
    page = callers.page(path)
    cursors = page["paging"]["cursors"]

    assert ids(page) == list(OWN_WABAS[:25])
    assert ids(callers.page(path, first="4", after=cursors["before"])) == list(OWN_WABAS[1:5])
    assert ids(callers.page(path, last="4", before=cursors["after"])) == list(OWN_WABAS[20:24])
    assert page["paging"]["next"] == f"{ISSUER}/v23.0/{path}?limit=25&after={cursors['after']}"
    assert "previous" not in page["paging"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.0", "limit"),
        ("limit=+5", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=", "limit"),
        ("limit=2&first=2", "limit"),
        ("last=2", "last"),
        ("first=2&before=x", "first"),
        ("after=x&before=y", "before"),
        ("after=x", "after"),
        ("before=%00", "before"),
        ("find=x", "find"),
        ("fields=name.limit(2)", "fields"),
    ],
)
def test_a_wrong_parameter_of_a_list_is_named(callers: Callers, query: str, parameter: str) -> None:
    """Attacks 1, 10, 37: sizes are whole numbers from 1 to 100 in ASCII, cursors are ours, and what is wrong is named."""
    reply = callers.get(f"{HOME}/owned_whatsapp_business_accounts?{query}")

    assert (reply.status, reply.json["error"]["code"]) == (400, 100)
    assert parameter in reply.json["error"]["message"]


def test_a_cursor_is_good_for_its_list_and_its_viewer_alone(callers: Callers) -> None:
    """Attack 37: a cursor used by another app, with another token's kind, on another list or filter, or edited, is 400."""
    path = f"{OWNER}/whatsapp_business_solutions"
    cursor = callers.page(path, limit="2")["paging"]["cursors"]["after"]
    granular = callers.page(f"{SOLUTIONS[0]}/access_token?business_id={customer(10)}")["access_token"]
    waba = shared_of(10)[0]
    its = callers.page(f"{waba}/solutions", granular)["paging"]["cursors"]["after"]

    assert ids(callers.page(path, after=cursor, limit="1", fields="name")) == [SOLUTIONS[2]]
    for where, who, given in (
        (f"{PARTNER}/whatsapp_business_solutions", "partner", cursor),
        (f"{path}?role=OWNER", "owner", cursor),
        (f"{HOME}/connected_client_businesses", "owner", cursor),
        (f"{OWN_WABAS[0]}/phone_numbers", "owner", cursor),
        (f"{waba}/solutions", "owner", its),
        (f"{waba}/solutions", "partner", its),
        (f"{waba}/phone_numbers", granular, its),
        (path, "owner", cursor[:-1]),
        (path, "owner", ("B" if cursor[0] == "A" else "A") + cursor[1:]),
    ):
        reply = callers.get(where, who, after=given)
        assert (reply.status, reply.json["error"]["code"]) == (400, 100), where
        assert "after" in reply.json["error"]["message"]


def test_a_cursor_ends_after_a_day_and_with_a_newer_key(callers: Callers) -> None:
    """Attack 37: a cursor that is a day old, or from before the deployment's sealed key was renewed, is 400."""
    path = f"{OWNER}/whatsapp_business_solutions"
    old = callers.page(path, limit="2")["paging"]["cursors"]["after"]
    callers.turn(LIFETIME_S)
    callers.run(asyncio.sleep(0))
    assert callers.get(path, after=old).status == 400

    cursor = callers.page(path, limit="2")["paging"]["cursors"]["after"]
    assert callers.get(path, after=cursor).status == 200
    callers.deployment.operate(_renew)
    assert callers.get(path, after=cursor).status == 400
    assert callers.get(path, after=callers.page(path, limit="2")["paging"]["cursors"]["after"]).status == 200


async def _renew(operator: Operator) -> None:
    sealed = operator.master.seal(b"n" * 32, "sealed_key", "newer")
    async with operator.store.transaction() as changes:
        await changes.add_sealed_key(SealedKeyRecord("newer", "mac", sealed), 1_790_000_000)


def test_shared_accounts_are_found_by_partner_and_by_id(callers: Callers) -> None:
    """A guide's way to find what a webhook told of: by the other partner's app or business; and one account by its id."""
    path = f"{HOME}/client_whatsapp_business_accounts"

    def by_partners(*partners: str) -> list[str]:
        filtering = json.dumps([{"field": "partners", "operator": "ALL", "value": partners}])
        return [
            id_ for page in walked(callers, callers.page(path, limit="100", filtering=filtering), "next") for id_ in ids(page)
        ]

    assert by_partners(PARTNER) == by_partners(ELSEWHERE, OWNER) == by_partners() == LISTS[path]
    assert by_partners(PARTNER, customer(1)) == []
    assert ids(callers.page(path, find=shared_of(10)[0], fields="on_behalf_of_business_info{id}")) == [shared_of(10)[0]]
    for hidden in (wabas_of(10)[-1], shared_of(30)[0], OWN_WABAS[0], customer(10), "1"):
        assert callers.page(path, find=hidden) == {"data": []}
    assert callers.page(f"{customer(10)}/owned_whatsapp_business_accounts", find=wabas_of(10)[-1]) == {"data": []}


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("client_whatsapp_business_accounts", 'filtering=[{"field":"partners","operator":"ANY","value":["1"]}]', 422),
        ("client_whatsapp_business_accounts", 'filtering=[{"field":"name","operator":"ALL","value":["1"]}]', 422),
        ("client_whatsapp_business_accounts", 'filtering=[{"field":"partners","operator":"ALL","value":["x"]}]', 400),
        ("client_whatsapp_business_accounts", 'filtering=[{"field":"partners","operator":"ALL","value":"1"}]', 400),
        ("client_whatsapp_business_accounts", 'filtering={"field":"partners"}', 400),
        ("client_whatsapp_business_accounts", "filtering=[[[", 400),
        ("client_whatsapp_business_accounts", "business_type=STANDARD", 422),
        ("owned_whatsapp_business_accounts", "business_type=SMB", 422),
        ("owned_whatsapp_business_accounts", "fields=country", 422),
    ],
)
def test_what_is_not_known_narrows_nothing(callers: Callers, path: str, query: str, status: int) -> None:
    """A filter, kind or field that the facts do not have is refused: never ignored, which would tell more than was asked for."""
    assert callers.get(f"{HOME}/{path}?{query}").status == status
