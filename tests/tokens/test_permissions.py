"""`DELETE /{User-ID}/permissions`: whoever asks gives up what it stands for, and nobody else's."""

import asyncio
import json

import pytest

from deployment import ACT, DemoDeployment
from multipartner.domain.model import ALL_PERMISSIONS, AppId, BusinessId, Permission, SolutionId, SystemUserId, Tenant
from multipartner.operating import Operator
from multipartner.partnering.credentials import narrow_access, revoke_access
from multipartner.partnering.lives import restore_grant
from serving import OWNER_APP, OWNER_USER, PARTNER_USER, SHARING, SOLUTION, run
from tokens.bearers import Bearers, told

TENANT = Tenant(AppId(OWNER_APP), SolutionId(SOLUTION), BusinessId(SHARING))
MESSAGING, MANAGEMENT = Permission.MESSAGING, Permission.MANAGEMENT
DONE = {"success": True}


def another(demo: DemoDeployment, *permissions: Permission) -> str:
    """One more caller token of the owner's system user for its app."""
    return demo.caller_token(OWNER_USER, OWNER_APP, frozenset(permissions))


@pytest.mark.both_engines
@pytest.mark.parametrize("user", ["me", f"{SHARING}.{OWNER_APP}"])
def test_a_granular_token_gives_up_its_grant(bearers: Bearers, user: str) -> None:
    """Attacks 41, 43: its grant is revoked with the answer, for all who hold its bytes; the other app's grant and others live."""
    token, partners, others = bearers.granular(), bearers.granular("partner"), bearers.granular(business="577542300013003")

    assert bearers.call(token, "DELETE", f"{user}/permissions").json == DONE

    assert told(bearers.call(token, "GET", SOLUTION)) == (401, 190, None)
    assert told(bearers.call(token, "DELETE", "me/permissions")) == (401, 190, None)
    assert told(bearers.ask_for()) == (403, 200, 1349174)
    assert [bearers.call(alive, "GET", SOLUTION).status for alive in (partners, others)] == [200, 200]


@pytest.mark.both_engines
def test_nothing_revives_what_was_given_up(bearers: Bearers, demo: DemoDeployment) -> None:
    """Attacks 42, 44: after the operator restores the grant there are new tokens, and the old one stays dead."""
    token = bearers.granular()
    bearers.call(token, "DELETE", "me/permissions")
    demo.operate(lambda o: restore_grant(o.store, ACT, TENANT))

    assert bearers.ask_for().status == 200
    assert told(bearers.call(token, "GET", SOLUTION)) == (401, 190, None)
    assert bearers.data("owner", token)["is_valid"] is False


@pytest.mark.both_engines
@pytest.mark.parametrize("user", ["me", OWNER_USER])
def test_a_system_user_gives_up_all_its_tokens_for_the_app(bearers: Bearers, demo: DemoDeployment, user: str) -> None:
    """Attack 41: every caller token of the user for the app is refused from the next request on; what they fetched lives."""
    also, granular = another(demo, MANAGEMENT), bearers.granular()

    assert bearers.call("owner", "DELETE", f"{user}/permissions").json == DONE

    for token in ("owner", also):
        assert told(bearers.call(token, "GET", SOLUTION)) == (401, 190, 466)
    assert bearers.call(granular, "GET", SOLUTION).status == 200
    assert bearers.call("partner", "GET", SOLUTION).status == 200


@pytest.mark.both_engines
def test_a_system_user_gives_up_one_permission(bearers: Bearers, demo: DemoDeployment) -> None:
    """Attack 38: each of its tokens loses that permission and nothing else; one that has no other is revoked."""
    only = another(demo, MESSAGING)

    assert bearers.call("owner", "DELETE", "me/permissions/whatsapp_business_messaging").json == DONE

    assert bearers.data("owner", bearers.tokens["owner"])["scopes"] == [MANAGEMENT.value]
    assert bearers.data("owner", bearers.granular())["scopes"] == [MANAGEMENT.value]
    assert bearers.data("owner", only)["error"]["subcode"] == 466
    assert bearers.call("owner", "DELETE", "me/permissions/whatsapp_business_messaging").json == DONE
    assert bearers.call("owner", "DELETE", "me/permissions/whatsapp_business_management").json == DONE
    assert told(bearers.ask_for()) == (401, 190, 466)


def test_a_grant_is_not_narrowed(bearers: Bearers) -> None:
    """One permission of a granular token is not given up alone: it is refused, and the token and its grant are as before."""
    token = bearers.granular()

    assert told(bearers.call(token, "DELETE", "me/permissions/whatsapp_business_messaging")) == (422, 100, None)
    assert bearers.granular() == token


def test_nobody_gives_up_anothers(bearers: Bearers) -> None:
    """Attacks 30, 31: another user, another subject and one that does not exist get the same answer, and nothing ends."""
    token = bearers.granular("partner")
    for path in (f"{PARTNER_USER}/permissions", f"{SHARING}.{OWNER_APP}/permissions", "1/permissions"):
        for who in ("owner", token):
            assert told(bearers.call(who, "DELETE", path)) == (404, 803, None)
    assert [bearers.ask_for(who).status for who in ("owner", "partner")] == [200, 200]


def test_an_app_token_gives_up_nothing(bearers: Bearers) -> None:
    """An app has no permissions of its own, and ends none of its system users'."""
    assert told(bearers.call(bearers.app_token("owner"), "DELETE", f"{OWNER_USER}/permissions")) == (403, 10, 1349174)
    assert told(bearers.call(bearers.app_token("owner"), "DELETE", "me/permissions")) == (403, 10, 1349174)
    assert bearers.ask_for().status == 200


NOT_SERVED = [
    ("DELETE", "me/permissions/manage_pages", (400, 100, None)),
    ("DELETE", "me/permissions/whatsapp_business_messaging%20", (400, 100, None)),
    ("DELETE", "me/permissions/", (404, 2500, None)),
    ("DELETE", "me/permissions/a/b", (404, 2500, None)),
    ("DELETE", "you/permissions", (400, 100, None)),
    ("DELETE", "1.2.3/permissions", (400, 100, None)),
    ("DELETE", "/permissions", (400, 100, None)),
    ("POST", "me/accept", (400, 100, None)),
    ("GET", "me/permissions", (405, 100, 33)),
    ("POST", "me/permissions", (405, 100, 33)),
]


def test_paths_that_are_not_served(bearers: Bearers) -> None:
    """Attacks 8, 9: another word, form or method is told as such and gives nothing up."""
    for method, path, refused in NOT_SERVED:
        assert told(bearers.call("owner", method, path)) == refused, path
    assert bearers.call("owner", "DELETE", "me/permissions", {"user": "1"}).status == 400
    assert bearers.ask_for().status == 200


@pytest.mark.both_engines
def test_the_trail_has_who_gave_up_what(bearers: Bearers, demo: DemoDeployment) -> None:
    """Each end is an event under the request's trace id, by whoever asked, and holds no token."""
    token, also = bearers.granular(), another(demo, MANAGEMENT, MESSAGING)
    asked = [
        (token, "me/permissions"),
        ("owner", "me/permissions/whatsapp_business_messaging"),
        ("owner", "me/permissions"),
    ]
    traces = [bearers.call(who, "DELETE", path).headers["x-fb-request-id"] for who, path in asked]
    bearers.close()

    written = demo.events()
    ended, narrowed, revoked = ([event for event in written if event.get("trace_id") == trace] for trace in traces)
    assert [(event["kind"], event["actor"][:6]) for event in ended] == [("grant.revoked", "token:")]
    assert [event["kind"] for event in narrowed] == ["credential.narrowed"] * 2
    assert [event["kind"] for event in revoked] == ["credential.revoked"] * 2
    assert also.split("_")[1] in {event["detail"]["credential_id"] for event in revoked}
    assert not any(secret in json.dumps(written) for secret in (token, also, bearers.tokens["owner"]))


@pytest.mark.both_engines
def test_many_at_once_end_each_token_once(demo: DemoDeployment) -> None:
    """Attack 45: of revocations and narrowings at once each takes what the others left, and no token ends twice."""
    for _ in range(3):
        another(demo, *ALL_PERMISSIONS)
    user, app = SystemUserId(OWNER_USER), AppId(OWNER_APP)

    async def all_at_once(operator: Operator) -> list[bool]:
        store = operator.store
        narrowing = narrow_access(store, ACT, user, app, MESSAGING)
        work = [revoke_access(store, ACT, user, app), narrowing, revoke_access(store, ACT, user, app)]
        return [outcome.changed for outcome in await asyncio.gather(*work)]

    changed = demo.operate(all_at_once)
    assert changed.count(True) in {1, 2}
    rows = demo.rows(f"SELECT count(*) FROM credential WHERE system_user_id = '{OWNER_USER}' AND revoked_at_s IS NULL")  # noqa: S608 - an id of ours
    assert rows == [(0,)]
    kinds = [event["kind"] for event in demo.events()]
    assert kinds.count("credential.revoked") == 3


def test_the_verbs_do_the_same(demo: DemoDeployment) -> None:
    """`credential narrow` and `credential revoke-all` take from, and end, the caller tokens of one system user for one app."""
    kept = demo.caller_token(PARTNER_USER, "26176007736316621")
    another(demo, *ALL_PERMISSIONS)
    who = [f"--system-user={OWNER_USER}", f"--app={OWNER_APP}", *demo.arguments]

    narrowed = run("credential", "narrow", "--permission=whatsapp_business_messaging", *who)
    assert "1 left without whatsapp_business_messaging" in narrowed.stdout
    assert "1 revoked" in run("credential", "revoke-all", *who).stdout
    assert "nothing to change" in run("credential", "revoke-all", *who).stdout
    listed = {row["id"]: row["state"] for row in json.loads(run("credential", "list", "--json", *demo.arguments).stdout)}
    assert listed.pop(kept.split("_")[1]) == "active"
    assert set(listed.values()) == {"revoked"}
