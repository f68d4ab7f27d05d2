"""RFC 7009: an app ends a token that is for it, and learns nothing of any other."""

import base64
import json
from urllib.parse import urlencode

import pytest

from deployment import ACT, DemoDeployment
from multipartner.domain.model import AppId
from multipartner.partnering.lives import suspend_app
from serving import OWNER_APP, SOLUTION, run
from solutions.companies import Reply
from tokens.bearers import FORM, Bearers, told


def refused(reply: Reply) -> tuple[int, str]:
    """Status and `error` of a refusal, which says nothing else."""
    assert list(reply.json) == ["error"]
    assert "no-store" in reply.headers["cache-control"]
    assert "access-control-allow-origin" not in reply.headers
    return reply.status, reply.json["error"]


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Content-Type": FORM, "Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


@pytest.mark.both_engines
@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
def test_a_granular_tokens_grant_ends(bearers: Bearers, way: str) -> None:
    """Attack 41: once answered, the token is dead, so is every other one of its grant, and no new one is given."""
    token, partners = bearers.granular(), bearers.granular("partner")

    answer = bearers.revoke("owner", token, basic=way == "client_secret_basic", token_type_hint="access_token")

    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    assert "no-store" in answer.headers["cache-control"]
    assert told(bearers.call(token, "GET", SOLUTION)) == (401, 190, None)
    assert told(bearers.ask_for()) == (403, 200, 1349174)
    assert bearers.call(partners, "GET", SOLUTION).status == 200


@pytest.mark.both_engines
def test_a_caller_token_alone_ends(bearers: Bearers, demo: DemoDeployment) -> None:
    """A caller token is revoked, and no other one of its system user, nor what it fetched."""
    token = demo.caller_token("4567798337013316", OWNER_APP)
    granular = bearers.granular()

    assert bearers.revoke("owner", token).status == 200

    assert told(bearers.call(token, "GET", SOLUTION)) == (401, 190, 466)
    assert bearers.call(granular, "GET", SOLUTION).status == 200
    assert bearers.granular() == granular
    assert bearers.revoke("owner", token).status == 200


@pytest.mark.both_engines
def test_anothers_token_is_answered_as_one_that_never_was(bearers: Bearers) -> None:
    """Attacks 30, 31: tokens of other apps, dead ones and random text get the same empty 200, and nothing ends."""
    granular, partners = bearers.granular(), bearers.granular("partner")
    others = [granular, partners, bearers.tokens["owner"], bearers.app_token("owner"), granular[:-4] + "AAAA", "x", "a.b.c", "|"]

    answers = [bearers.revoke("stranger", other) for other in others]

    shown = [{name: value for name, value in one.headers.items() if name != "x-fb-request-id"} for one in answers]
    assert {(one.status, one.body) for one in answers} == {(200, b"")}
    assert all(one == shown[0] for one in shown)
    assert [bearers.call(alive, "GET", SOLUTION).status for alive in (granular, partners, "owner")] == [200, 200, 200]


def test_the_solutions_other_app_ends_nothing(bearers: Bearers) -> None:
    """Attack 30: the partner of the same solution, with the owner's token in its hands, ends neither token nor grant."""
    token = bearers.granular()

    assert bearers.revoke("partner", token).status == 200
    assert bearers.granular() == token


def test_whoever_is_no_app_is_told_nothing(bearers: Bearers) -> None:
    """Attacks 11, 12, 31: wrong, unknown and missing clients get one answer with a Basic challenge, and end nothing."""
    token = bearers.granular()
    for name, secret in [
        (OWNER_APP, "0" * 32),
        ("999999999999999", bearers.secrets["owner"]),
        ("\u0661", bearers.secrets["owner"]),
        (OWNER_APP, bearers.secrets["partner"]),
        (OWNER_APP, bearers.secrets["owner"][:-1]),
        (OWNER_APP, bearers.tokens["owner"]),
        ("", ""),
    ]:
        form = urlencode({"token": token, "client_id": name, "client_secret": secret}).encode()
        in_header = bearers.post_revoke(basic(name, secret), urlencode({"token": token}).encode())
        in_form = bearers.post_revoke({"Content-Type": FORM}, form)
        for answer in (in_header, in_form):
            assert refused(answer) == (401, "invalid_client")
            assert answer.headers["www-authenticate"] == 'Basic realm="revocation"'
    for header in ("Basic", "Basic !", f"Bearer {bearers.tokens['owner']}", f"Basic {bearers.app_token('owner')}"):
        answer = bearers.post_revoke({"Content-Type": FORM, "Authorization": header}, urlencode({"token": token}).encode())
        assert refused(answer) == (401, "invalid_client")
    assert bearers.granular() == token


MALFORMED = [
    ("", FORM),
    ("token_type_hint=access_token", FORM),
    ("token=a&token=b", FORM),
    ("token=%ff", FORM),
    ("token=" + "a" * 9000, FORM),
    ("&".join(f"a{n}=1" for n in range(9)), FORM),
    ('{"token":"a"}', "application/json"),
    ("token=a", "text/plain"),
    ("token=a", ""),
    ("token=a&client_secret=x", FORM),
    ("token=a&client_id=1", FORM),
]


def test_a_form_that_can_be_read_in_two_ways_is_refused(bearers: Bearers) -> None:
    """Attack 67: no token, two, another media type, or a client that comes in two ways: 400 in RFC 6749's form."""
    for body, kind in MALFORMED:
        headers = basic(OWNER_APP, bearers.secrets["owner"]) | {"Content-Type": kind}
        assert refused(bearers.post_revoke(headers, body.encode())) == (400, "invalid_request"), body[:40]


def test_only_a_post_revokes(bearers: Bearers) -> None:
    """Attacks 9, 67: any other method is 405 with Allow, in RFC 6749's form, and ends nothing."""
    token = bearers.granular()
    for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
        headers = basic(OWNER_APP, bearers.secrets["owner"])
        answer = bearers.post_revoke(headers, urlencode({"token": token}).encode(), method)
        assert (refused(answer), answer.headers["allow"]) == ((405, "invalid_request"), "POST")
    assert bearers.granular() == token


def test_an_app_token_is_not_revoked(bearers: Bearers) -> None:
    """An app's own token is its secret: it is told that this kind is not revoked here."""
    assert refused(bearers.revoke("owner", bearers.app_token("owner"))) == (400, "unsupported_token_type")


def test_a_suspended_app_ends_nothing(bearers: Bearers, demo: DemoDeployment) -> None:
    """A suspended app is known and refused: its tokens are dead already."""
    token = bearers.tokens["owner"]
    demo.operate(lambda o: suspend_app(o.store, ACT, AppId(OWNER_APP)))

    assert refused(bearers.revoke("owner", token)) == (400, "unauthorized_client")


def test_failures_and_calls_are_counted(demo: DemoDeployment, bearers: Bearers) -> None:
    """Attack 52: wrong clients use up their address's failures, right ones their app's calls; both are told when to come back."""
    bearers.close()
    strict = Bearers(demo, bearers._runner, failures_per_hour=2)
    form = urlencode({"token": "x", "client_id": OWNER_APP, "client_secret": "not-the-secret"}).encode()
    answers = [strict.post_revoke({"Content-Type": FORM}, form) for _ in range(3)]
    strict.close()
    assert [refused(one)[0] for one in answers] == [401, 401, 429]
    assert int(answers[-1].headers["retry-after"]) > 0

    busy = Bearers(demo, bearers._runner, calls_per_hour=1)
    answers = [busy.revoke("owner", "x") for _ in range(2)]
    busy.close()
    assert [answers[0].status, refused(answers[1])] == [200, (429, "temporarily_unavailable")]


@pytest.mark.both_engines
def test_the_trail_has_who_revoked_what(bearers: Bearers, demo: DemoDeployment) -> None:
    """The end is an event under the answer's trace id by the app; a refusal can be explained; neither holds token or secret."""
    token = bearers.granular()
    form = urlencode({"token": token}).encode()
    done = bearers.revoke("owner", token).headers["x-fb-request-id"]
    wrong = bearers.post_revoke(basic(OWNER_APP, "not-the-secret"), form).headers["x-fb-request-id"]
    bearers.close()

    (event,) = [event for event in demo.events() if event.get("trace_id") == done]
    assert (event["kind"], event["actor"], event["app_id"]) == ("grant.revoked", f"app:{OWNER_APP}", OWNER_APP)
    explained = run("explain", wrong, *demo.arguments).stdout
    assert "app_token_invalid" in explained
    for secret in (token.rpartition(".")[2], bearers.secrets["owner"], "not-the-secret"):
        assert secret not in json.dumps(event) + explained


def test_the_metadata_name_the_endpoint(bearers: Bearers) -> None:
    """Attack 68: RFC 8414's document names the endpoint under the configured issuer, with both ways of authenticating."""
    told_of = bearers.run(
        bearers.request("/.well-known/oauth-authorization-server", headers={"X-Forwarded-Host": "evil.example"})
    )

    assert (
        told_of.json["revocation_endpoint"] == told_of.json["issuer"] + "/oauth/revoke" == "https://tokens.example/oauth/revoke"
    )
    assert told_of.json["revocation_endpoint_auth_methods_supported"] == ["client_secret_basic", "client_secret_post"]


def test_ids_and_secrets_are_form_encoded_in_the_header(bearers: Bearers) -> None:
    """RFC 6749 2.3.1: escapes in id and secret of the Basic header are undone once."""
    escaped = "".join(f"%{byte:02X}" for byte in bearers.secrets["owner"].encode())

    assert bearers.post_revoke(basic(OWNER_APP, escaped), b"token=x").status == 200
