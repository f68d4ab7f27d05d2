"""A customer's consent from the command line's function: what it says is shared, and no token of before lives on."""

import asyncio

import pytest

from deployment import ACT, DemoDeployment
from migrations.customers import (
    APP,
    BOOKS,
    BRIGHTLINE,
    ENDED,
    EVENTS,
    NEW,
    OLD,
    OLIVA,
    OLIVAS_WABA,
    QUILLMARK,
    SHOP,
    Hands,
    reason_of,
)
from multipartner.domain.consent import Consent
from multipartner.domain.model import ALL_PERMISSIONS, MANAGEMENT_ONLY, BusinessId, SolutionId, WabaId
from multipartner.domain.reasons import Reason
from multipartner.operating import Operator, open_operator
from multipartner.partnering.acting import ChangeRefused, Outcome, UnknownEntity
from multipartner.partnering.lives import revoke_share
from multipartner.partnering.shares import make_share

pytestmark = pytest.mark.both_engines


def generation(demo: DemoDeployment, solution: str) -> str:
    rows = demo.rows(f"SELECT generation FROM share WHERE business_id = '{BOOKS}' AND solution_id = '{solution}'")  # noqa: S608 - ours
    return str(rows[0][0])


def test_a_first_consent_shares_and_connects(hands: Hands, demo: DemoDeployment) -> None:
    """The first consent makes the share, a grant for each app of the solution, and the connections that were missing."""
    consent = Consent(OLIVA, NEW, frozenset({OLIVAS_WABA}), MANAGEMENT_ONLY)
    assert hands.run(make_share(hands.operator.store, ACT, consent)).changed

    connected = demo.rows(f"SELECT app_id FROM connection WHERE business_id = '{OLIVA}'")  # noqa: S608 - ours
    assert {app for (app,) in connected} == {APP, BRIGHTLINE, QUILLMARK}
    made = [event for event in demo.events() if event["actor"] == ACT.actor][-2:]
    assert [(event["kind"], event.get("app_id")) for event in made] == [("connection.made", QUILLMARK), ("share.made", None)]
    assert made[1]["detail"] == {"status": "active", "wabas": OLIVAS_WABA, "permissions": "whatsapp_business_management"}


def test_the_same_consent_again_changes_nothing(hands: Hands, demo: DemoDeployment) -> None:
    """A consent that says what is shared already writes nothing: no generation, no event, no row in the feed."""
    hands.share(SHOP, EVENTS)
    before = demo.dump()

    assert not hands.share(EVENTS, SHOP)
    assert demo.dump() == before


@pytest.mark.parametrize(
    ("wabas", "permissions"),
    [((SHOP,), ALL_PERMISSIONS), ((SHOP, EVENTS), MANAGEMENT_ONLY)],
    ids=["fewer-wabas", "fewer-permissions"],
)
def test_a_consent_that_narrows_ends_what_was_issued(
    hands: Hands, demo: DemoDeployment, wabas: tuple[WabaId, ...], permissions: frozenset[object]
) -> None:
    """Attack 43: less than before is another generation, and so is more again after it."""
    seen = [generation(demo, OLD)]
    hands.share(*wabas, solution=OLD, permissions=permissions)  # type: ignore[arg-type] # a set of permissions
    seen.append(generation(demo, OLD))
    hands.share(SHOP, EVENTS, solution=OLD)
    seen.append(generation(demo, OLD))

    assert len(set(seen)) == 3


def test_a_withdrawn_share_that_is_made_again_revives_nothing(hands: Hands, demo: DemoDeployment) -> None:
    """Attacks 42, 44, 48: a share that was withdrawn comes back with another generation and with what is named now alone."""
    seen = [generation(demo, OLD)]
    hands.run(revoke_share(hands.operator.store, ACT, BOOKS, OLD))
    seen.append(generation(demo, OLD))
    assert hands.share(EVENTS, solution=OLD)
    seen.append(generation(demo, OLD))

    assert len(set(seen)) == 3
    listed = demo.rows(f"SELECT waba_id FROM share_waba WHERE business_id = '{BOOKS}' AND solution_id = '{OLD}'")  # noqa: S608 - ours
    assert listed == [(EVENTS,)]
    assert [event["kind"] for event in demo.events()][-2:] == ["share.revoked", "share.restored"]


REFUSED = (
    (Consent(BusinessId("999999999999999"), NEW, frozenset({SHOP}), ALL_PERMISSIONS), None),
    (Consent(BOOKS, NEW, frozenset({SHOP, OLIVAS_WABA}), ALL_PERMISSIONS), None),
    (Consent(BOOKS, NEW, frozenset({WabaId("999999999999999")}), ALL_PERMISSIONS), None),
    (Consent(BOOKS, NEW, frozenset(), ALL_PERMISSIONS), None),
    (Consent(BOOKS, NEW, frozenset({SHOP}), frozenset()), None),
    (Consent(BOOKS, SolutionId("999999999999999"), frozenset({SHOP}), ALL_PERMISSIONS), Reason.SOLUTION_UNKNOWN),
    (Consent(BOOKS, ENDED, frozenset({SHOP}), ALL_PERMISSIONS), Reason.SOLUTION_INACTIVE),
)


def test_a_consent_to_what_is_not_the_customers_makes_nothing(hands: Hands, demo: DemoDeployment) -> None:
    """Attacks 32, 38: a business shares its own WABAs, at least one, for something, with a solution in use."""
    before = demo.dump()

    for consent, reason in REFUSED:
        with pytest.raises(ChangeRefused) as caught:
            hands.run(make_share(hands.operator.store, ACT, consent))
        assert reason_of(caught.value) is reason, consent
    assert demo.dump() == before


def test_unknown_is_told_as_such(hands: Hands) -> None:
    """An operator who names another business's WABA is told which one."""
    with pytest.raises(UnknownEntity, match=OLIVAS_WABA):
        hands.share(OLIVAS_WABA)


def test_of_two_consents_at_once_one_stands_whole(hands: Hands, demo: DemoDeployment) -> None:
    """Attack 45: two different consents at once do not mix: the share is one of the two."""

    def consent(operator: Operator, waba: WabaId, permissions: frozenset[object]) -> "asyncio.Future[Outcome]":
        said = Consent(BOOKS, NEW, frozenset({waba}), permissions)  # type: ignore[arg-type] # a set of permissions
        return asyncio.ensure_future(make_share(operator.store, ACT, said))

    async def both() -> None:
        async with open_operator(demo.settings()) as elsewhere:
            await asyncio.gather(consent(elsewhere, SHOP, ALL_PERMISSIONS), consent(hands.operator, EVENTS, MANAGEMENT_ONLY))

    hands.run(both())
    found = demo.rows(
        f"SELECT waba_id, permissions FROM share_waba JOIN share USING (business_id, solution_id) WHERE solution_id = '{NEW}' "  # noqa: S608 - ours
        f"AND business_id = '{BOOKS}'"
    )
    both_words = "whatsapp_business_management whatsapp_business_messaging"
    assert found in ([(SHOP, both_words)], [(EVENTS, "whatsapp_business_management")])
