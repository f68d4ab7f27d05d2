"""`GET /debug_token`: an app learns what its own tokens are, and of anybody else's nothing."""

from typing import Any

import pytest

from deployment import ACT, DemoDeployment
from fakes import NOON_S
from multipartner.domain.model import ALL_PERMISSIONS, AppId, BusinessId, CredentialId, SolutionId, SystemUserId, Tenant
from multipartner.partnering.credentials import Wanted, create_credential, revoke_credential
from multipartner.partnering.lives import revoke_grant, revoke_share
from serving import OWNER_APP, OWNER_USER, SHARING, SOLUTION
from solutions.companies import Reply
from tokens.bearers import APPS, Bearers, told

INVALID = {"is_valid": False, "scopes": [], "error": {"code": 190, "message": "Invalid OAuth access token"}}
BOTH = ["whatsapp_business_management", "whatsapp_business_messaging"]


def bare(reply: Reply) -> tuple[int, dict[str, str], Any]:
    """An answer without what differs between any two."""
    headers = {name: value for name, value in reply.headers.items() if name != "x-fb-request-id"}
    return reply.status, headers, reply.body


@pytest.mark.both_engines
@pytest.mark.parametrize("by", ["caller token", "app token"])
def test_an_app_learns_what_its_tokens_are(bearers: Bearers, by: str) -> None:
    """A caller token or app token of the same app reads type, expiry, scopes and, of a granular token alone, its WABAs."""
    asking = "owner" if by == "caller token" else bearers.app_token("owner")
    granted = bearers.ask_for().json
    granular = bearers.data(asking, granted["access_token"])
    caller = bearers.data(asking, bearers.tokens["owner"])

    assert list(granular) == [
        "app_id", "type", "application", "data_access_expires_at", "expires_at", "is_valid", "issued_at", "scopes",
        "granular_scopes", "user_id",
    ]  # fmt: skip
    assert (granular["app_id"], granular["type"], granular["application"]) == (OWNER_APP, "SYSTEM_USER", "Brightline Connect")
    assert (granular["expires_at"], granular["is_valid"]) == (granted["expires_at"], True)
    assert granular["issued_at"] <= NOON_S < granular["expires_at"]
    assert granular["scopes"] == BOTH
    assert [one["scope"] for one in granular["granular_scopes"]] == BOTH
    assert all(one["target_ids"] and one["target_ids"] == sorted(one["target_ids"]) for one in granular["granular_scopes"])
    assert granular["user_id"] == f"{SHARING}.{OWNER_APP}"
    assert (caller["type"], caller["user_id"], caller["expires_at"]) == ("SYSTEM_USER", OWNER_USER, 0)
    assert caller["granular_scopes"] == [{"scope": scope} for scope in caller["scopes"]]
    assert bearers.data(asking, bearers.app_token("owner")) == {
        "app_id": OWNER_APP,
        "type": "APP",
        "application": "Brightline Connect",
        "expires_at": 0,
        "is_valid": True,
        "scopes": [],
    }


@pytest.mark.both_engines
def test_the_wabas_told_are_the_grants(bearers: Bearers, demo: DemoDeployment) -> None:
    """`target_ids` are the WABAs of the share that the token stands for, no others of the customer."""
    rows = demo.rows(f"SELECT waba_id FROM share_waba WHERE business_id = '{SHARING}' AND solution_id = '{SOLUTION}'")  # noqa: S608 - ids of ours
    scopes = bearers.data("owner", bearers.granular())["granular_scopes"]

    assert [set(one["target_ids"]) for one in scopes] == [{row[0] for row in rows}] * len(scopes)


def test_no_answer_tells_of_anothers_token(bearers: Bearers) -> None:
    """Attacks 13, 31: good tokens of another app, dead ones and random text get the same bytes, so that none tells a good one."""
    nothing = bearers.inspect("stranger", "nothing")
    others = [
        bearers.granular(), bearers.granular("partner"), bearers.tokens["owner"], bearers.app_token("owner"),
        bearers.granular()[:-4] + "AAAA", bearers.tokens["owner"][:-1], f"{OWNER_APP}|wrong", "", "a.b.c", "|", "\0",
        "é.é.é", "é|é",
    ]  # fmt: skip

    assert nothing.json == {"data": INVALID}
    for other in others:
        answer = bearers.inspect("stranger", other)
        assert {name: value for name, value in bare(answer)[1].items() if "usage" not in name} == {
            name: value for name, value in bare(nothing)[1].items() if "usage" not in name
        }
        assert (answer.status, answer.body) == (200, nothing.body)
    assert bearers.inspect("partner", bearers.granular("owner")).body == nothing.body


@pytest.mark.both_engines
def test_an_app_learns_why_its_token_ended(bearers: Bearers, demo: DemoDeployment) -> None:
    """An expired token is told with 463, one whose grant, share or credential ended with 466, and neither with scopes."""
    by_grant, by_share = bearers.granular(), bearers.granular(business="577542300013003")
    short = Wanted(SystemUserId(OWNER_USER), AppId(OWNER_APP), ALL_PERMISSIONS, NOON_S + 10)
    brief = demo.operate(lambda o: create_credential(o.store, o.master, ACT, short))
    revoked = demo.operate(lambda o: create_credential(o.store, o.master, ACT, short))
    tenant = Tenant(AppId(OWNER_APP), SolutionId(SOLUTION), BusinessId(SHARING))
    demo.operate(lambda o: revoke_grant(o.store, ACT, tenant))
    demo.operate(lambda o: revoke_share(o.store, ACT, BusinessId("577542300013003"), SolutionId(SOLUTION)))
    demo.operate(lambda o: revoke_credential(o.store, ACT, CredentialId(revoked.id)))
    expired = bearers.granular("partner")
    for token in (by_grant, by_share, revoked.text.reveal()):
        data = bearers.data("owner", token)
        assert (data["is_valid"], data["scopes"], data["error"]["code"], data["error"]["subcode"]) == (False, [], 190, 466)
        assert "granular_scopes" not in data
    assert bearers.data("owner", brief.text.reveal())["is_valid"] is True

    bearers.turn(4000)

    for who, token in (("owner", brief.text.reveal()), ("partner", expired)):
        data = bearers.data(who, token)
        assert (data["is_valid"], data["error"]["subcode"], data["app_id"]) == (False, 463, APPS[who])


def test_who_may_ask(bearers: Bearers) -> None:
    """A granular token inspects nothing, itself included; without a token, or with a bad one, there is no answer at all."""
    token = bearers.granular()

    assert told(bearers.inspect(token, token)) == (403, 10, 1349174)
    assert told(bearers.inspect("", token)) == (401, 190, None)
    assert told(bearers.inspect(f"{OWNER_APP}|wrong", token)) == (401, 190, None)


def test_app_tokens_take_a_proof(bearers: Bearers) -> None:
    """`appsecret_proof` of an app token is checked when it comes, over the token and under the app's own secret."""
    app_token = bearers.app_token("owner")

    assert bearers.inspect(app_token, app_token, bearers.proved("owner", app_token)).status == 200
    assert told(bearers.inspect(app_token, app_token, bearers.proved("partner", app_token))) == (400, 100, None)
    assert told(bearers.inspect(app_token, app_token, bearers.proved("owner", "another"))) == (400, 100, None)


def test_what_is_asked_must_be_one_token(bearers: Bearers) -> None:
    """Attack 6: none, two, or a list of input tokens is malformed; the refusal names the parameter and never its value."""
    missing = bearers.call("owner", "GET", "debug_token")
    assert (told(missing), "input_token" in missing.json["error"]["message"]) == ((400, 100, None), True)
    for query in ("input_token=a&input_token=a", "input_token[]=a", "input_token=%zz"):
        assert told(bearers.call("owner", "GET", "debug_token", query=query)) == (400, 100, None)
    assert told(bearers.call("owner", "POST", "debug_token", {"input_token": "a"})) == (405, 100, 33)


def test_fields_choose_members(bearers: Bearers) -> None:
    """`fields`, as an SDK sends it, leaves the members that it names; an unknown one is told."""
    token = bearers.tokens["owner"]

    assert bearers.inspect("owner", token, "&fields=app_id").json == {"data": {"app_id": OWNER_APP}}
    assert bearers.inspect("owner", "x", "&fields=app_id").json == {"data": {}}
    assert told(bearers.inspect("owner", token, "&fields=secret")) == (422, 100, None)


def test_a_wrong_input_token_locks_nobody_out(demo: DemoDeployment, bearers: Bearers) -> None:
    """Attack 52: inspecting bad tokens counts as calls of the app, and never as failed authentications of the address."""
    bearers.close()
    strict = type(bearers)(demo, bearers._runner, failures_per_hour=1)
    for _ in range(5):
        assert strict.data("owner", "nothing") == INVALID
    assert strict.ask_for().status == 200


@pytest.mark.both_engines
def test_the_input_token_is_kept_nowhere(bearers: Bearers, demo: DemoDeployment) -> None:
    """Attack 57: neither log, trail nor the store of refusals holds an input token, good or bad, or a part of it."""
    token = bearers.granular()
    bearers.inspect("owner", token)
    bearers.inspect("stranger", token)
    bearers.inspect("nobody", token)
    bearers.inspect("owner", token, "&fields=secret")
    bearers.inspect("owner", token, f"&input_token={token}")
    bearers.close()

    signature = token.rpartition(".")[2].encode()
    kept = b"".join(path.read_bytes() for path in demo.directory.iterdir() if path.is_file())
    assert signature not in kept
    if demo.url:
        bodies = [row[0] for table in ("trail_event", "refusal") for row in demo.rows(f"SELECT body FROM {table}")]  # noqa: S608 - two names
        assert bodies
        assert signature not in b"".join(bodies)
