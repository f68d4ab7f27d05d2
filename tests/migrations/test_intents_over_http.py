"""Migration intents over HTTP, on the service as `serve` builds it and on both engines."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from cli.command_line import in_process
from deployment import ACT, DemoDeployment
from migrations.customers import APP, BOOKS, EVENTS, NEW, OLD, OLIVA, SHOP, YOGAS_WABA
from multipartner.domain.consent import Consent
from multipartner.domain.migration import IntentId
from multipartner.domain.model import ALL_PERMISSIONS, AppId, BusinessId, WabaId
from multipartner.operating import Operator, open_operator
from multipartner.partnering.acting import ChangeRefused
from multipartner.partnering.lives import deactivate_solution, revoke_share
from multipartner.partnering.migrations import accept_intent
from multipartner.partnering.shares import make_share
from serving import OWNER_APP, PARTNER_APP
from solutions.companies import FORM, Companies, Reply

pytestmark = pytest.mark.both_engines

SET = f"{SHOP}/set_solution_migration_intent"
IN_CONTRACTS_FORM = {"solution_id": OLD, "target_solution_id": NEW, "migration_intent": "INITIATE_MIGRATION"}


@pytest.fixture
def companies(demo: DemoDeployment) -> Iterator[Companies]:
    with asyncio.Runner() as runner:
        made = Companies(demo, runner, failures_per_hour=10_000, calls_per_hour=100_000, calls_per_business_per_hour=100_000)
        yield made
        made.close()


def code_of(reply: Reply) -> tuple[int, int]:
    return reply.status, reply.json["error"]["code"]


def token_of(companies: Companies, who: str, solution: str, business: str = BOOKS) -> Reply:
    return companies.call(who, "GET", f"{solution}/access_token", query=f"business_id={business}")


def asked(companies: Companies, **more: str) -> str:
    answered = companies.call("partner", "POST", SET, {"solution_id": NEW, **more})
    assert answered.status == 200, answered.body
    return str(answered.json["id"])


def accept(demo: DemoDeployment, intent: str) -> None:
    demo.operate(lambda o: accept_intent(o.store, ACT, BOOKS, IntentId(intent), ALL_PERMISSIONS))


def test_a_waba_moves_between_two_solutions(companies: Companies, demo: DemoDeployment) -> None:
    """Attacks 38, 41, 44: asked, consented, confirmed: with the consent the old tokens are dead, and each solution's new tokens
    hold what is shared with it now, no more.
    """  # noqa: D205 - one thought
    old = {who: token_of(companies, who, OLD).json["access_token"] for who in ("owner", "partner")}
    before = token_of(companies, "partner", NEW)
    assert code_of(before) == (422, 100)
    answered = companies.call("partner", "POST", SET, IN_CONTRACTS_FORM).json
    intent = answered["migration_intent_id"]
    assert answered == {"id": intent, "success": True, "migration_intent_id": intent, "status": "PENDING"}
    assert companies.call("partner", "GET", intent).json == {"id": intent, "status": "INITIATED"}
    assert companies.call(old["owner"], "GET", OLD).status == 200

    accept(demo, intent)

    assert companies.call("partner", "GET", intent, query="fields=status").json == {"id": intent, "status": "ACCEPTED"}
    for token in old.values():
        assert code_of(companies.call(token, "GET", OLD)) == (401, 190)
    for who, solution, wabas in (("owner", OLD, [EVENTS]), ("partner", NEW, [SHOP]), ("stranger", NEW, [SHOP])):
        assert reach_of(token_of(companies, who, solution)) == wabas
    confirmed = companies.call("partner", "POST", SET, IN_CONTRACTS_FORM | {"migration_intent": "CONFIRM_MIGRATION"})
    assert (confirmed.status, confirmed.json["status"]) == (200, "APPROVED")
    assert companies.call("partner", "GET", intent).json["status"] == "COMPLETED"


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))


def reach_of(given: Reply) -> list[str]:
    assert given.status == 200, given.body
    claims = claims_of(given.json["access_token"])
    return sorted({waba for detail in claims["authorization_details"] for waba in detail["waba_ids"]})


def test_a_revoked_share_that_is_made_again_revives_no_token(companies: Companies, demo: DemoDeployment) -> None:
    """Attacks 44, 48: tokens from before a withdrawal stay dead when the customer shares the very same again."""
    token = token_of(companies, "owner", OLD).json["access_token"]
    demo.operate(lambda o: revoke_share(o.store, ACT, BOOKS, OLD))
    assert code_of(companies.call(token, "GET", OLD)) == (401, 190)
    demo.operate(lambda o: make_share(o.store, ACT, Consent(BOOKS, OLD, frozenset({SHOP, EVENTS}), ALL_PERMISSIONS)))

    assert code_of(companies.call(token, "GET", OLD)) == (401, 190)
    assert reach_of(token_of(companies, "owner", OLD)) == sorted([SHOP, EVENTS])


REACH = (
    "SELECT s.business_id, s.solution_id, w.waba_id FROM share_waba w "
    "JOIN share s ON s.business_id = w.business_id AND s.solution_id = w.solution_id "
    "JOIN solution o ON o.id = s.solution_id WHERE s.status = 'ACTIVE' AND o.status = 'ACTIVE'"
)
MEANWHILE: dict[str, Callable[[Operator], Awaitable[object]]] = {
    "the customer withdraws": lambda o: revoke_share(o.store, ACT, BOOKS, OLD),
    "the customer shares less": lambda o: make_share(o.store, ACT, Consent(BOOKS, OLD, frozenset({SHOP}), ALL_PERMISSIONS)),
    "the customer shares elsewhere": lambda o: make_share(
        o.store, ACT, Consent(BOOKS, NEW, frozenset({EVENTS}), ALL_PERMISSIONS)
    ),
    "the new solution ends": lambda o: deactivate_solution(o.store, ACT, NEW),
    "the old solution ends": lambda o: deactivate_solution(o.store, ACT, OLD),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_whatever_races_with_a_consent_no_token_reaches_more_than_there_is(
    companies: Companies, demo: DemoDeployment, meanwhile: str
) -> None:
    """Attacks 41, 45, 46: while a consent races with another change, over two connections, both solutions' apps ask for tokens
    all the time; once both changes are answered, a token that still verifies reaches exactly what is shared then.
    """  # noqa: D205 - one thought
    intent = IntentId(asked(companies))
    sides = (("owner", OLD), ("partner", OLD), ("partner", NEW), ("stranger", NEW))

    async def racing() -> list[Reply]:
        async with open_operator(demo.settings()) as here, open_operator(demo.settings()) as there:
            changes = asyncio.gather(
                accept_intent(here.store, ACT, BOOKS, intent, ALL_PERMISSIONS),
                MEANWHILE[meanwhile](there),
                return_exceptions=True,
            )
            given: list[Reply] = []
            while not changes.done():
                for who, solution in sides:
                    headers = {"Authorization": f"Bearer {companies.tokens[who]}"}
                    given.append(
                        await companies.request(f"/v23.0/{solution}/access_token", f"business_id={BOOKS}", headers, method="GET")
                    )
                await asyncio.sleep(0)
            refused = [told for told in await changes if told is not None and isinstance(told, BaseException)]
            assert [error for error in refused if not isinstance(error, ChangeRefused)] == []
            return [reply for reply in given if reply.status == 200]

    given = companies.run(racing())
    given += [reply for reply in (token_of(companies, *side) for side in sides) if reply.status == 200]
    rows = demo.rows(REACH)
    shared = {one: sorted(waba for business, of, waba in rows if (business, of) == (BOOKS, one)) for one in (OLD, NEW)}

    for reply in {reply.json["access_token"]: reply for reply in given}.values():
        token = reply.json["access_token"]
        status = companies.call(token, "GET", "me").status
        solution = next(one for one in (OLD, NEW) if one == claims_of(token)["solution_id"])
        assert status == 401 or (status, reach_of(reply)) == (200, shared[solution])


def test_both_request_forms_mean_the_same(companies: Companies) -> None:
    """The guides' body, the contract's, a form and query parameters set the same intent, and both names of it are answered."""
    forms: tuple[dict[str, Any], ...] = (
        {"body": {"solution_id": NEW}},
        {"body": IN_CONTRACTS_FORM | {"migration_reason": "better"}},
        {"body": urlencode(IN_CONTRACTS_FORM).encode(), "kind": FORM},
        {"query": f"solution_id={NEW}"},
    )
    answers = [companies.call("partner", "POST", SET, **sent).json for sent in forms]

    assert {answer["id"] for answer in answers} == {answer["migration_intent_id"] for answer in answers}
    assert len({answer["id"] for answer in answers}) == 1


def test_an_intent_is_read_with_the_guides_fields(companies: Companies) -> None:
    """`fields` may name the contract's members and the guides'; others are 422, and what is no list of names is 400."""
    intent = asked(companies)
    told = companies.call("partner", "GET", intent, query="fields=solution,status,destination_waba")

    assert told.json == {
        "id": intent,
        "solution": {"id": NEW, "name": "Quillmark with Parcelbee"},
        "status": "INITIATED",
        "destination_waba": {"id": SHOP},
    }
    for name in ("name", "owner_app", "business"):
        assert code_of(companies.call("partner", "GET", intent, query=f"fields={name}")) == (422, 100)
    assert code_of(companies.call("partner", "GET", intent, query="fields=id,,status")) == (400, 100)


def test_a_scheduled_intent_tells_its_time(companies: Companies, demo: DemoDeployment) -> None:
    """SCHEDULE_MIGRATION is answered with its time, replaces an earlier one, and without a time is refused."""
    scheduled = IN_CONTRACTS_FORM | {"migration_intent": "SCHEDULE_MIGRATION"}
    assert code_of(companies.call("partner", "POST", SET, scheduled)) == (400, 100)
    intents = set()
    for year in ("9000", "9001"):
        at = {"scheduled_migration_time": f"{year}-01-31T10:00:00Z"}
        answered = companies.call("partner", "POST", SET, scheduled | at).json
        assert (answered["status"], answered["estimated_completion_time"]) == ("SCHEDULED", f"{year}-01-31T10:00:00Z")
        intents.add(answered["id"])
    assert intents == {asked(companies)}
    companies.close()
    assert [event["kind"] for event in demo.events()][-3:-1] == ["migration.set", "migration.scheduled"]


def test_an_app_takes_its_request_back(companies: Companies) -> None:
    """CANCEL_MIGRATION ends an own intent that waits, by either solution's id; one that there is not is 404, twice is 422."""
    cancel = {"migration_intent": "CANCEL_MIGRATION"}
    assert code_of(companies.call("partner", "POST", SET, cancel | {"solution_id": OLD})) == (404, 100)
    for solution in (OLD, NEW):
        intent = asked(companies)
        answered = companies.call("partner", "POST", SET, cancel | {"solution_id": solution})
        assert (answered.json["id"], answered.json["status"]) == (intent, "REJECTED")
    assert code_of(companies.call("partner", "POST", SET, cancel | {"solution_id": NEW})) == (422, 100)
    confirm = {"migration_intent": "CONFIRM_MIGRATION", "solution_id": NEW}
    assert code_of(companies.call("partner", "POST", SET, confirm)) == (422, 100)


REFUSED: tuple[tuple[str, str, Any, tuple[int, int]], ...] = (
    ("", SET, {"solution_id": NEW}, (401, 190)),
    ("stranger", SET, {"solution_id": NEW}, (404, 803)),
    ("owner", SET, {"solution_id": NEW}, (403, 200)),
    ("partner", SET, {}, (400, 100)),
    ("partner", SET, {"solution_id": 19510788341329023}, (400, 100)),
    ("partner", SET, {"solution_id": NEW, "target_solution_id": "x"}, (400, 100)),
    ("partner", SET, {"solution_id": NEW, "migration_intent": "MIGRATE"}, (400, 100)),
    ("partner", SET, {"solution_id": NEW, "migration_intent": None, "migration_reason": "x" * 501}, (400, 100)),
    ("partner", SET, {"solution_id": NEW, "scheduled_migration_time": "tomorrow"}, (400, 100)),
    ("partner", SET, {"solution_id": NEW, "migration_intent": "SCHEDULE_MIGRATION"}, (400, 100)),
    ("partner", "999999999999999/set_solution_migration_intent", {"solution_id": NEW}, (404, 803)),
    ("partner", SET, {"solution_id": "999999999999999"}, (404, 803)),
    ("partner", SET, {"solution_id": OLD}, (422, 100)),
)


def test_what_is_not_allowed_sets_nothing(companies: Companies, demo: DemoDeployment) -> None:
    """Attacks 6, 30, 39: strangers, sides of one solution alone and malformed requests are refused and set nothing."""
    for who, path, body, told in REFUSED:
        assert code_of(companies.call(who, "POST", path, body)) == told, (who, path, body)
    assert demo.rows("SELECT id FROM migration_intent") == []


def test_members_that_no_caller_decides_are_ignored(companies: Companies, demo: DemoDeployment) -> None:
    """Attacks 39, 40: status, owner and business that come with a request decide nothing."""
    more = {"status": "ACCEPTED", "app_id": OWNER_APP, "business_id": OLIVA, "id": "123456789012345", "permissions": ["x"]}
    intent = asked(companies, **more)  # type: ignore[arg-type] # one of them is a list

    rows = demo.rows("SELECT id, status, app_id, business_id, waba_id FROM migration_intent")
    assert rows == [(intent, "INITIATED", PARTNER_APP, BOOKS, SHOP)]
    assert intent != "123456789012345"


def test_a_waba_that_is_not_reached_is_told_as_one_that_is_not_there(companies: Companies) -> None:
    """Attack 31: byte for byte but for the trace id, a customer's WABA that the app does not reach is one that does not exist."""
    answers = []
    for who, waba in (("owner", YOGAS_WABA), ("owner", WabaId("999999999999999")), ("stranger", SHOP)):
        for body in ({"solution_id": OLD}, {"solution_id": OLD, "migration_intent": "CANCEL_MIGRATION"}):
            reply = companies.call(who, "POST", f"{waba}/set_solution_migration_intent", body)
            answers.append((reply.status, reply.body.replace(reply.json["error"]["fbtrace_id"].encode(), b"")))

    assert len(set(answers)) == 1


def test_an_intent_is_told_to_nobody_else(companies: Companies, demo: DemoDeployment) -> None:
    """Attack 31: to any other app an intent is a node that does not exist, byte for byte; the new solution's other side reads it
    once the customer has consented, a granular token reads that of its own share alone, and an app token none: it reads no WABA.
    """  # noqa: D205 - one thought
    intent = asked(companies)

    def told(who: str, node: str) -> tuple[int, bytes]:
        reply = companies.call(who, "GET", node)
        trace_id = reply.json.get("error", {}).get("fbtrace_id", "-")
        return reply.status, reply.body.replace(trace_id.encode(), b"")

    granular = token_of(companies, "partner", OLD).json["access_token"]
    app_token = f"{PARTNER_APP}|{demo.secrets[AppId(PARTNER_APP)].reveal()}"
    for who in ("owner", "stranger", granular, app_token):
        assert told(who, intent) == told(who, "999999999999999")
    accept(demo, intent)
    assert told(app_token, intent) == told(app_token, "999999999999999")
    assert [told(who, intent)[0] for who in ("owner", "stranger")] == [404, 200]
    granular = token_of(companies, "stranger", NEW).json["access_token"]
    assert told(granular, intent)[0] == 200
    yoga = token_of(companies, "stranger", NEW, "9638189932390634").json["access_token"]
    assert told(yoga, intent) == told(yoga, "999999999999999")


def test_changes_need_a_callers_own_token(companies: Companies, demo: DemoDeployment) -> None:
    """Attacks 17, 39: neither a granular token nor an app's secret sets an intent."""
    granular = token_of(companies, "partner", OLD).json["access_token"]
    secret = demo.secrets[AppId(PARTNER_APP)].reveal()

    for token in (granular, f"{PARTNER_APP}|{secret}"):
        assert code_of(companies.call(token, "POST", SET, {"solution_id": NEW})) == (403, 10)


def test_the_trail_and_explain_tell_of_it(companies: Companies, demo: DemoDeployment, capsys: pytest.CaptureFixture[str]) -> None:
    """An intent is an event with its request's trace id; `explain` tells a refusal's fact, and since when a share is gone."""
    answered = companies.call("partner", "POST", SET, {"solution_id": NEW, "migration_reason": "better terms"})
    accept(demo, answered.json["id"])
    second = companies.call("partner", "POST", f"{EVENTS}/set_solution_migration_intent", {"solution_id": NEW})
    accept(demo, second.json["id"])
    gone = token_of(companies, "owner", OLD).json["error"]["fbtrace_id"]
    refused = companies.call("partner", "POST", SET, {"solution_id": NEW}).json["error"]["fbtrace_id"]
    companies.close()
    cli = in_process(capsys, demo)

    told = cli("explain", answered.headers["x-fb-request-id"], "--json").json
    assert told["outcome"] == "changed"
    (event,) = told["events"]
    assert (event["kind"], event["app_id"], event["solution_id"], event["business_id"]) == ("migration.set", APP, NEW, BOOKS)
    assert (event["detail"]["waba_id"], event["detail"]["reason"]) == (SHOP, "better terms")
    why = cli("explain", refused).out
    for word in ("migration_forbids", "setSolutionMigrationIntent", "reaches the WABA through no other solution", SHOP):
        assert word in why
    since = cli("explain", gone, "--json").json
    assert (since["reason"], since["since"]["kind"]) == ("nothing_shared", "share.revoked")
    assert BusinessId(since["business_id"]) == BOOKS
