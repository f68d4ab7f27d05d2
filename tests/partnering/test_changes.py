"""Changes of the facts: what gets a new generation, what is refused, what is told."""

from typing import Any

import pytest

from deployment import ACT, NOW_S, DemoDeployment, Deployment, demo_text
from multipartner import keyfile
from multipartner.crypto.sealing import SealBroken
from multipartner.domain.model import AppId, BusinessId, CredentialId, SolutionId, Tenant
from multipartner.partnering import credentials, lives
from multipartner.partnering.acting import Act, ChangeRefused, Outcome, UnknownEntity

pytestmark = pytest.mark.both_engines

OWNER, PARTNER, STRANGER = AppId("5372200989284704"), AppId("26176007736316621"), AppId("895726466135102")
USER = "4567798337013316"
SOLUTION, ENDED = SolutionId("8249170987505988"), SolutionId("684885962212487")
BOOKS, OLIVA, TIDEWATER = BusinessId("2991847208473997"), BusinessId("577542300013003"), BusinessId("4089388446014104")
KESTREL = BusinessId("9587874657975456")
LATER = Act("operator:later", NOW_S + 100)

GENERATIONS = """
    SELECT 'deployment', generation FROM deployment UNION ALL SELECT 'app ' || id, generation FROM app
    UNION ALL SELECT 'solution ' || id, generation FROM solution
    UNION ALL SELECT 'share ' || business_id || ' ' || solution_id, generation FROM share
    UNION ALL SELECT 'grant ' || business_id || ' ' || solution_id || ' ' || app_id, generation FROM app_grant
"""


def generations(deployment: Deployment) -> dict[str, str]:
    return dict(deployment.rows(GENERATIONS))


def renewed(deployment: Deployment, before: dict[str, str]) -> set[str]:
    """Rows that were there before and have another generation now."""
    now = generations(deployment)
    return {row for row, generation in before.items() if now[row] != generation}


def facts(deployment: Deployment) -> dict[str, list[tuple[Any, ...]]]:
    return deployment.dump()


@pytest.mark.parametrize(
    ("old", "new", "rows"),
    [
        ("name: Harbour Books\n    wabas", "name: Harbour Books & Co\n    wabas", set()),
        ("name: Brightline Connect}", "name: Brightline Connect, calls_per_hour: 10}", set()),
        ("name: Brightline Connect}", "name: Brightline Connect, require_appsecret_proof: true}", set()),
        ("name: Brightline Connect}", "name: Brightline Connect, status: suspended}", {f"app {OWNER}"}),
        ("name: Brightline with Parcelbee\n", "name: Brightline and Parcelbee\n", set()),
        (
            f"{OWNER}', messaging: true}}\n    partner: {{app: '{PARTNER}",
            f"{OWNER}', messaging: false}}\n    partner: {{app: '{PARTNER}",
            {f"solution {SOLUTION}"},
        ),
        ("status: DEACTIVATED", "status: ACTIVE", {f"solution {ENDED}"}),
        ("wabas: ['8638464517926266']", "wabas: ['206988415877711']", {f"share {OLIVA} {SOLUTION}"}),
        ("wabas: ['3736568475388304', '7886060909223278']", "wabas: ['3736568475388304']", {f"share {BOOKS} {SOLUTION}"}),
        ("status: withdrawn", "status: active", {f"share {TIDEWATER} {SOLUTION}"}),
        (f"revoked_apps: ['{OWNER}']", "revoked_apps: []", {f"grant {KESTREL} {SOLUTION} {OWNER}"}),
        (
            f"revoked_apps: ['{OWNER}']",
            f"revoked_apps: ['{PARTNER}']",
            {f"grant {KESTREL} {SOLUTION} {app}" for app in (OWNER, PARTNER)},
        ),
    ],
)
def test_a_declared_change_renews_the_rows_it_narrows_or_revives(
    demo: DemoDeployment, old: str, new: str, rows: set[str]
) -> None:
    """A changed world file gives new generations to exactly the rows whose tokens must die (attack 44)."""
    before = generations(demo)
    assert demo_text().count(old) >= 1

    applied = demo.apply(demo_text().replace(old, new))

    assert renewed(demo, before) == rows
    assert applied.lines
    assert applied.secrets == {}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("2991847208473997", "2991847208473998", "WABA 3736568475388304 belongs to business 2991847208473997, not"),
        (f"id: '{OWNER}', business: '869452005598175'", f"id: '{OWNER}', business: '365989468594991'", f"app {OWNER} belongs to"),
        (
            f"id: '{USER}', business: '869452005598175'",
            f"id: '{USER}', business: '365989468594991'",
            f"system user {USER} belongs",
        ),
        (
            f"partner: {{app: '{PARTNER}', messaging: false}}\n  - id: '1951",
            f"partner: {{app: '{STRANGER}'}}\n  - id: '1951",
            "that does not change",
        ),
    ],
)
def test_ownership_does_not_change_hands(demo: DemoDeployment, old: str, new: str, told: str) -> None:
    """A world that moves an entity to another owner is refused whole and changes nothing (attacks 39, 40)."""
    before = facts(demo)
    assert old in demo_text()

    with pytest.raises(ChangeRefused, match=told):
        demo.apply(demo_text().replace(old, new))

    assert facts(demo) == before


SINGLE: dict[str, tuple[Any, set[str], str]] = {
    "suspend": (lambda o, act: lives.suspend_app(o.store, act, OWNER), {f"app {OWNER}"}, "app.suspended"),
    "deactivate": (
        lambda o, act: lives.deactivate_solution(o.store, act, SOLUTION),
        {f"solution {SOLUTION}"},
        "solution.deactivated",
    ),
    "withdraw": (
        lambda o, act: lives.revoke_share(o.store, act, BOOKS, SOLUTION),
        {f"share {BOOKS} {SOLUTION}"},
        "share.revoked",
    ),
    "revoke grant": (
        lambda o, act: lives.revoke_grant(o.store, act, Tenant(OWNER, SOLUTION, BOOKS)),
        {f"grant {BOOKS} {SOLUTION} {OWNER}"},
        "grant.revoked",
    ),
    "restore grant": (
        lambda o, act: lives.restore_grant(o.store, act, Tenant(OWNER, SOLUTION, KESTREL)),
        {f"grant {KESTREL} {SOLUTION} {OWNER}"},
        "grant.restored",
    ),
}


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_change_renews_its_row_once_and_tells_the_trail(demo: DemoDeployment, name: str) -> None:
    """Each verb gives its one row a new generation and one event; the second time it says `already`."""
    action, rows, kind = SINGLE[name]
    before = generations(demo)

    first: Outcome = demo.operate(lambda o: action(o, LATER))
    assert (first.changed, renewed(demo, before)) == (True, rows)
    assert (demo.events()[-1]["kind"], demo.events()[-1]["actor"], demo.events()[-1]["at_s"]) == (
        kind,
        "operator:later",
        NOW_S + 100,
    )

    after, events = facts(demo), demo.events()
    again: Outcome = demo.operate(lambda o: action(o, Act("operator:again", NOW_S + 200)))
    assert again.changed is False
    assert "already" in again.text
    assert (facts(demo), demo.events()) == (after, events)


def test_suspended_then_resumed_bears_a_third_generation(demo: DemoDeployment) -> None:
    """Resuming an app revives no token from before its suspension (attack 44)."""
    seen = {generations(demo)[f"app {OWNER}"]}
    demo.operate(lambda o: lives.suspend_app(o.store, LATER, OWNER))
    seen.add(generations(demo)[f"app {OWNER}"])
    demo.operate(lambda o: lives.resume_app(o.store, LATER, OWNER))
    seen.add(generations(demo)[f"app {OWNER}"])

    assert len(seen) == 3


def test_a_withdrawn_share_keeps_its_connections(demo: DemoDeployment) -> None:
    """Withdrawing a share leaves the business connected to both apps."""
    query = f"SELECT app_id FROM connection WHERE business_id = '{BOOKS}' ORDER BY app_id"  # noqa: S608 - a constant
    before = demo.rows(query)
    demo.operate(lambda o: lives.revoke_share(o.store, LATER, BOOKS, SOLUTION))

    assert demo.rows(query) == before == [(PARTNER,), (OWNER,), (STRANGER,)]


UNKNOWN: dict[str, Any] = {
    "app": lambda o: lives.suspend_app(o.store, ACT, AppId("1")),
    "solution": lambda o: lives.deactivate_solution(o.store, ACT, SolutionId("1")),
    "share": lambda o: lives.revoke_share(o.store, ACT, BusinessId("0" + BOOKS), SOLUTION),
    "grant": lambda o: lives.revoke_grant(o.store, ACT, Tenant(STRANGER, SOLUTION, BOOKS)),
    "credential": lambda o: credentials.revoke_credential(o.store, ACT, CredentialId("x")),
    "resource server": lambda o: credentials.revoke_resource_server(o.store, ACT, "x"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_id_is_refused_and_changes_nothing(demo: DemoDeployment, name: str) -> None:
    """A change of something that does not exist is refused in one line and leaves no trace (attack 5)."""
    before, events = facts(demo), demo.events()

    with pytest.raises(UnknownEntity, match="unknown"):
        demo.operate(UNKNOWN[name])

    assert (facts(demo), demo.events()) == (before, events)


@pytest.mark.parametrize(
    ("user", "app", "expires_at_s", "told"),
    [
        ("1", OWNER, None, "system user 1: unknown"),
        (USER, "1", None, "app 1: unknown"),
        (USER, PARTNER, None, "is of business"),
        (USER, OWNER, NOW_S, "would have expired already"),
    ],
)
def test_a_caller_token_for_nobody_is_refused(
    demo: DemoDeployment, user: str, app: str, expires_at_s: int | None, told: str
) -> None:
    """A caller token is made only for a system user and an app of one business, and only with a future."""
    with pytest.raises(ChangeRefused, match=told):
        demo.caller_token(user, app, expires_at_s=expires_at_s)

    assert demo.rows("SELECT * FROM credential") == []


def test_another_master_key_makes_no_credentials(demo: DemoDeployment) -> None:
    """With a key file of another deployment nothing is made under it."""
    before = facts(demo)
    demo.master_key_file.unlink()
    keyfile.create(demo.master_key_file)

    with pytest.raises(SealBroken):
        demo.caller_token(USER, OWNER)
    with pytest.raises(SealBroken):
        demo.operate(lambda o: credentials.renew_app_secret(o.store, o.master, ACT, OWNER))
    assert demo.rows("SELECT * FROM credential") == []
    assert facts(demo) == before
