"""A solution's life over HTTP, on the service as `serve` builds it and on both engines."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from deployment import ACT, DemoDeployment
from goldenfile import golden_of
from multipartner.domain.model import AppId, Permission
from multipartner.domain.reasons import Reason
from multipartner.partnering.lives import suspend_app
from multipartner.wire import refusals
from serving import OWNER_APP, OWNER_USER, PARTNER_APP, SHARING, SOLUTION, STRANGER_APP, run
from solutions.companies import FORM, JSON, PROPOSAL, Companies, Reply
from solutions.refusals import REACHED_BY_SOLUTIONS

pytestmark = pytest.mark.both_engines


@pytest.fixture
def companies(demo: DemoDeployment) -> Iterator[Companies]:
    with calling(demo) as made:
        yield made


@pytest.fixture(scope="module")
def refused_companies(modules_demo: DemoDeployment) -> Iterator[Companies]:
    """One service for all whose calls are refused, and so change nothing that another test looks at."""
    with calling(modules_demo) as made:
        yield made


@contextmanager
def calling(demo: DemoDeployment) -> Iterator[Companies]:
    with asyncio.Runner() as runner, closing(Companies(demo, runner, failures_per_hour=10_000)) as made:
        yield made


def code_of(reply: Reply) -> tuple[int, int]:
    return reply.status, reply.json["error"]["code"]


def test_two_companies_make_and_end_a_solution(companies: Companies) -> None:
    """Invited, accepted, asked to end, declined, asked again, agreed: each answer is the contract's, and each status is told."""
    made = companies.create()
    assert companies.status(made) == ("INITIATED", "PENDING_ACTIVATION")

    accepted = companies.call("partner", "POST", f"{made}/accept", {"partner_app_id": PARTNER_APP}).json
    assert (accepted["solution_id"], accepted["partner_status"], accepted["success"]) == (made, "ACCEPTED", True)
    assert companies.status(made) == ("ACTIVE", "NONE")

    sent = companies.call("owner", "POST", f"{made}/send_deactivation_request", {"reason": "moving on"}).json
    assert (sent["success"], len(sent["request_id"])) == (True, 23)
    assert companies.status(made) == ("ACTIVE", "PENDING_DEACTIVATION")

    declined = companies.call("partner", "POST", f"{made}/reject_deactivation_request", {"reject_deactivation_request": True})
    assert declined.json == {
        "id": made,
        "name": "Orders and replies",
        "status": "ACTIVE",
        "status_for_pending_request": "NONE",
    }
    companies.call("owner", "POST", f"{made}/send_deactivation_request")
    ended = companies.call("partner", "POST", f"{made}/accept_deactivation_request", {}, "fields=status")
    assert ended.json == {"id": made, "status": "DEACTIVATED"}


def test_tokens_of_a_solution_die_with_the_partners_agreement(companies: Companies) -> None:
    """Attack 41: the partner's agreement ends issuance and every token of the solution; asking alone ends none."""
    held = companies.call("owner", "GET", f"{SOLUTION}/access_token", query=f"business_id={SHARING}")
    token = held.json["access_token"]
    companies.call("owner", "POST", f"{SOLUTION}/send_deactivation_request")
    assert companies.call(token, "GET", SOLUTION).status == 200

    assert companies.call("partner", "POST", f"{SOLUTION}/accept_deactivation_request").status == 200

    assert code_of(companies.call(token, "GET", SOLUTION)) == (401, 190)
    again = companies.call("owner", "GET", f"{SOLUTION}/access_token", query=f"business_id={SHARING}")
    assert code_of(again) == (422, 100)


@pytest.mark.parametrize("form", ["json", "form", "multipart"])
def test_bodies_come_in_three_forms(companies: Companies, form: str) -> None:
    """JSON, a form and multipart/form-data say the same."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in PROPOSAL.items()}
    if form == "json":
        body, kind = json.dumps(PROPOSAL).encode(), JSON
    elif form == "form":
        body, kind = urlencode(texts).encode(), FORM
    else:
        parts = "".join(
            f'--cut\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in texts.items()
        )
        body, kind = f"{parts}--cut--\r\n".encode(), "multipart/form-data; boundary=cut"

    made = companies.call("owner", "POST", f"{OWNER_APP}/whatsapp_business_solution", body, kind=kind)

    assert made.status == 200, made.body
    node = companies.call("partner", "GET", made.json["solution_id"], query="fields=name,owner_app,owner_permissions,partners")
    assert node.json["name"] == "Orders and replies"
    assert node.json["owner_app"] == {"id": OWNER_APP, "name": "Brightline Connect"}
    assert "MESSAGING" in node.json["owner_permissions"]
    assert node.json["partners"]["data"][0]["partner_app"]["id"] == PARTNER_APP
    assert node.json["partners"]["data"][0]["status"] == "NOTIFICATION_SENT"


PARTS = (
    b'Content-Disposition: form-data; name="f"; filename="x"',
    b"Content-Disposition: form-data; name=\"f\"; filename*=utf-8''x",
    b"Content-Disposition: form-data",
    b"Content-Disposition: form-data; name*=utf-8''f",
    b'Content-Disposition: form-data; name="f"; name="g"',
    b'Content-Disposition: form-data; name="f"\r\nContent-Disposition: form-data; name="g"',
    b'Content-Disposition: attachment; name="f"',
    b"X: y",
)
"""Headers of a part that is a file, or of which two readers may take two names."""


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", JSON),
        (b"[]", JSON),
        (b'{"a": NaN}', JSON),
        (b'{"partner_app_id": "1", "partner_app_id": "2"}', JSON),
        (b'{"solution_name": "\\ud800x"}', JSON),
        (b"[" * 60_000, JSON),
        (b"a" * 70_000, FORM),
        (b"solution_name=%ff%fe", FORM),
        (b"partner_app_id=1&partner_app_id=2", FORM),
        (b"&".join(b"a%d=1" % n for n in range(60)), FORM),
        (b"solution_name=x", "text/plain"),
        (b"x", ""),
        (b"--cut\r\n", "multipart/form-data; boundary=cut"),
        (b"nothing", "multipart/form-data"),
        *((b"--c\r\n%b\r\n\r\n1\r\n--c--\r\n" % part, "multipart/form-data; boundary=c") for part in PARTS),
    ],
)
def test_a_body_that_can_be_read_in_two_ways_is_refused(refused_companies: Companies, body: bytes, kind: str) -> None:
    """Attacks 6, 10, 55: broken, doubled, too large or nameless bodies are malformed, whatever the operation."""
    answered = refused_companies.call("owner", "POST", f"{OWNER_APP}/whatsapp_business_solution", body, kind=kind)

    # A body that could be read would be told which parameter is missing, with the same code.
    told = {refusals.ROWS[reason].message for reason in (Reason.MALFORMED_BODY, Reason.REPEATED_PARAMETER)}
    assert code_of(answered) == (400, 100)
    assert answered.json["error"]["message"] in told


@pytest.mark.parametrize(
    ("changed", "parameter"),
    [
        ({"partner_app_id": None}, "partner_app_id"),
        ({"partner_app_id": 26176007736316621}, "partner_app_id"),
        ({"partner_app_id": "٣"}, "partner_app_id"),
        ({"owner_permissions": "MESSAGING"}, "owner_permissions"),
        ({"owner_permissions": ["MANAGE"]}, "owner_permissions"),
        ({"partner_permissions": ["MESSAGING", "MESSAGING"]}, "partner_permissions"),
        ({"solution_name": "x"}, "solution_name"),
        ({"solution_name": ["Orders"]}, "solution_name"),
    ],
)
def test_a_wrong_parameter_is_named(refused_companies: Companies, changed: dict[str, Any], parameter: str) -> None:
    """A missing or malformed parameter is named in the message, with its shape."""
    body = {name: value for name, value in (PROPOSAL | changed).items() if value is not None}
    answered = refused_companies.call("owner", "POST", f"{OWNER_APP}/whatsapp_business_solution", body)

    assert code_of(answered) == (400, 100)
    assert parameter in answered.json["error"]["message"]


def test_fields_of_ours_cannot_be_assigned(companies: Companies) -> None:
    """Attack 40: status, id and owner in a body change nothing."""
    body = PROPOSAL | {"status": "ACTIVE", "id": "1", "owner_app": STRANGER_APP, "owner_app_id": STRANGER_APP}
    made = companies.call("owner", "POST", f"{OWNER_APP}/whatsapp_business_solution", body).json["solution_id"]

    node = companies.call("owner", "GET", made, query="fields=status,owner_app").json
    assert (node["status"], node["owner_app"]["id"], node["id"]) == ("INITIATED", OWNER_APP, made)


@pytest.mark.parametrize(
    ("who", "path", "body", "told"),
    [
        ("stranger", "{app}/whatsapp_business_solution", PROPOSAL, (403, 200)),
        ("stranger", "{made}/accept", None, (403, 200)),
        ("stranger", "{made}/reject", None, (403, 200)),
        ("stranger", "{made}/send_deactivation_request", None, (403, 200)),
        ("owner", "{made}/accept", None, (403, 200)),
        ("owner", "{made}/accept", {"partner_app_id": PARTNER_APP}, (403, 200)),
        ("partner", "{made}/send_deactivation_request", None, (403, 200)),
        ("partner", "{made}/accept_deactivation_request", None, (422, 100)),
        ("partner", "{made}/reject_deactivation_request", {"reject_deactivation_request": False}, (400, 100)),
        ("partner", "{made}/reject", {"request_type": "PARTNERSHIP_REQUEST"}, (400, 100)),
        ("partner", "{made}/reject", {"request_type": "OTHER"}, (400, 100)),
        ("owner", "{made}/reject", {"request_type": "PARTNERSHIP_REQUEST", "partner_app_id": STRANGER_APP}, (404, 100)),
        ("partner", "999999999999999/accept", None, (404, 803)),
        ("partner", "x/accept", None, (400, 100)),
        ("", "{made}/accept", None, (401, 190)),
    ],
)
def test_what_is_not_ones_own_is_refused(
    refused_companies: Companies, who: str, path: str, body: Any, told: tuple[int, int]
) -> None:
    """Attacks 30, 39, 45: strangers, the wrong side, the wrong time and malformed requests are refused and change nothing."""
    made = refused_companies.create()
    answered = refused_companies.call(who, "POST", path.format(app=OWNER_APP, made=made), body)

    assert code_of(answered) == told
    assert refused_companies.status(made) == ("INITIATED", "PENDING_ACTIVATION")


def test_a_stranger_reads_no_solution(companies: Companies) -> None:
    """Attack 30: an app that is no party is told 403 for a solution that exists and 404 for one that does not."""
    assert code_of(companies.call("stranger", "GET", SOLUTION)) == (403, 200)
    assert code_of(companies.call("stranger", "GET", f"{SOLUTION}/partners")) == (403, 200)
    assert code_of(companies.call("owner", "GET", "999999999999999")) == (404, 803)


def test_a_granular_token_sees_its_solution_and_changes_nothing(companies: Companies) -> None:
    """Attacks 17, 32, 38: a granular token reads the solution it is for, no other one, and makes no move."""
    given = companies.call("owner", "GET", f"{SOLUTION}/access_token", query=f"business_id={SHARING}").json["access_token"]
    other = companies.create()

    assert companies.call(given, "GET", SOLUTION).json["id"] == SOLUTION
    assert code_of(companies.call(given, "GET", other)) == (404, 803)
    for path in (f"{SOLUTION}/send_deactivation_request", f"{other}/reject"):
        assert code_of(companies.call(given, "POST", path)) == (403, 10)
    assert code_of(companies.call(given, "POST", f"{OWNER_APP}/whatsapp_business_solution", PROPOSAL)) == (403, 10)
    assert code_of(companies.call(given[:-1], "GET", SOLUTION)) == (401, 190)


def test_an_app_token_reads_and_changes_nothing(companies: Companies, demo: DemoDeployment) -> None:
    """An app's id and secret read its solutions; another app's and an unknown one's are one 401; changes need a caller."""
    secret = demo.secrets[AppId(OWNER_APP)].reveal()

    assert companies.call(f"{OWNER_APP}|{secret}", "GET", SOLUTION).json["id"] == SOLUTION
    assert code_of(companies.call(f"{STRANGER_APP}|{secret}", "GET", SOLUTION)) == (401, 190)
    assert code_of(companies.call(f"999999999999999|{secret}", "GET", SOLUTION)) == (401, 190)
    odd = urlencode({"access_token": "\0|x"}).encode()
    assert code_of(companies.call("", "POST", f"{SOLUTION}/accept", odd, kind=FORM)) == (401, 190)
    assert code_of(companies.call(f"{OWNER_APP}|{secret}", "POST", f"{SOLUTION}/send_deactivation_request")) == (403, 10)


def test_a_suspended_app_is_out(companies: Companies, demo: DemoDeployment) -> None:
    """Attack 41: once its suspension is acknowledged an app reads nothing and changes nothing."""
    made = companies.create()
    demo.operate(lambda o: suspend_app(o.store, ACT, AppId(PARTNER_APP)))

    assert code_of(companies.call("partner", "POST", f"{made}/accept")) == (403, 200)
    assert code_of(companies.call("partner", "GET", made)) == (403, 200)


def test_a_caller_without_management_is_out(companies: Companies, demo: DemoDeployment) -> None:
    """A caller token without whatsapp_business_management neither reads nor changes solutions."""
    token = demo.caller_token(OWNER_USER, OWNER_APP, frozenset({Permission.MESSAGING}))

    assert code_of(companies.call(token, "GET", SOLUTION)) == (403, 200)
    assert code_of(companies.call(token, "POST", f"{SOLUTION}/send_deactivation_request")) == (403, 200)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", SOLUTION, 405, "GET"),
        ("GET", f"{SOLUTION}/accept", 405, "POST"),
        ("DELETE", f"{OWNER_APP}/whatsapp_business_solution", 405, "POST"),
        ("GET", f"{SOLUTION}/nothing", 404, None),
        ("GET", f"{SOLUTION}/", 404, None),
        ("GET", f"{SOLUTION}%0A", 400, None),
        ("GET", f"{SOLUTION}/accept/x", 404, None),
    ],
)
def test_paths_and_methods_are_those_of_the_document(
    refused_companies: Companies, method: str, path: str, status: int, allow: str | None
) -> None:
    """Attack 8: a path that is none of ours is 404, another method 405 with Allow, an id with a line's end malformed."""
    answered = refused_companies.call("owner", method, path)

    assert (answered.status, answered.headers.get("allow")) == (status, allow)


def test_an_unknown_field_is_refused_before_anything_changes(companies: Companies) -> None:
    """`fields` with a name that a solution does not have is 422, and the move that came with it is not made."""
    companies.call("owner", "POST", f"{SOLUTION}/send_deactivation_request")
    answered = companies.call("partner", "POST", f"{SOLUTION}/accept_deactivation_request", query="fields=secret")

    assert code_of(answered) == (422, 100)
    assert companies.status(SOLUTION) == ("ACTIVE", "PENDING_DEACTIVATION")


def test_a_token_in_the_body_is_a_credential(companies: Companies) -> None:
    """A caller token may come as the body's access_token, as SDKs send it; together with a header it is refused."""
    made = companies.create()
    body = urlencode({"access_token": companies.tokens["partner"]}).encode()

    assert code_of(companies.call("partner", "POST", f"{made}/accept", body, kind=FORM)) == (400, 100)
    assert companies.call("", "POST", f"{made}/accept", body, kind=FORM).status == 200


def test_a_change_is_in_the_trail_with_its_request(companies: Companies, demo: DemoDeployment) -> None:
    """A move over HTTP is an event with the credential that made it and the trace id of the answer."""
    made = companies.create()
    answered = companies.call("partner", "POST", f"{made}/accept")
    companies.close()

    (event,) = [event for event in demo.events() if event["kind"] == "solution.accepted"]
    assert (event["solution_id"], event["app_id"]) == (made, PARTNER_APP)
    assert event["actor"].startswith("credential:")
    assert event["trace_id"] == answered.headers["x-fb-request-id"]


@pytest.mark.parametrize("reason", list(REACHED_BY_SOLUTIONS), ids=lambda reason: reason.value)
def test_each_refusal_of_solutions_answers_as_its_golden_file(refused_companies: Companies, reason: Reason) -> None:
    """A request that meets a reason is answered as its golden file says; a parameter that is meant is named beside."""
    meet, parameter = REACHED_BY_SOLUTIONS[reason]
    reply = meet(refused_companies)

    golden = golden_of(reason)
    trace_id = reply.json["error"]["fbtrace_id"]
    assert (reply.status, reply.headers.get("www-authenticate")) == (golden["status"], golden["www-authenticate"])
    assert reply.body == refusals.render(reason, trace_id, parameter)
    assert parameter in reply.json["error"]["message"]


def test_explain_tells_of_moves_and_of_their_refusals(companies: Companies, demo: DemoDeployment) -> None:
    """`explain` with an answer's trace id names the operation that was refused, or the change that was made."""
    made = companies.create()
    refused = companies.call("owner", "POST", f"{made}/accept").json["error"]["fbtrace_id"]
    accepted = companies.call("partner", "POST", f"{made}/accept").headers["x-fb-request-id"]
    companies.close()

    told = run("explain", refused, *demo.arguments).stdout
    assert "not_this_sides" in told
    assert "acceptWhatsAppBusinessSolution" in told
    assert made in told
    changed = json.loads(run("explain", accepted, *demo.arguments, "--json").stdout)
    assert (changed["outcome"], changed["events"][0]["kind"]) == ("changed", "solution.accepted")
