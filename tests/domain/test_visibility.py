"""Who sees what, as a pure function, against an oracle in other words."""

from itertools import product

import msgspec
import pytest

from multipartner.domain.graph import AppNode, SolutionNode, Viewer, ViewerKind
from multipartner.domain.migration import Intent, IntentId, IntentNode, IntentStatus
from multipartner.domain.model import (
    ALL_PERMISSIONS,
    MANAGEMENT_ONLY,
    AppId,
    BusinessId,
    Permission,
    SolutionId,
    SolutionStatus,
    SystemUserId,
    Tenant,
    WabaId,
)
from multipartner.domain.nodes import (
    BusinessNode,
    BusinessSight,
    PhoneNumberNode,
    PhoneNumberSight,
    SharePath,
    SystemUserNode,
    WabaNode,
    WabaSight,
)
from multipartner.domain.reasons import Reason, Refusal
from multipartner.domain.visibility import has_partners, lists_customers, live_paths, reads_intent, visible

APP, PARTNER, OTHER = AppNode(AppId("1"), "App"), AppNode(AppId("2"), "Partner"), AppNode(AppId("3"), "Other")
HOME, CUSTOMER, STRANGER = BusinessId("10"), BusinessId("11"), BusinessId("12")
SOLUTION, WABA = SolutionId("20"), WabaId("30")

CALLER = Viewer(ViewerKind.CALLER, APP.id, "40", ALL_PERMISSIONS, "credential:x", business_id=HOME)
APP_TOKEN = Viewer(ViewerKind.APP, APP.id, APP.id, MANAGEMENT_ONLY, "app:1", business_id=HOME)
GRANULAR = Viewer(
    ViewerKind.GRANULAR, APP.id, "11.1", ALL_PERMISSIONS, "token:x", Tenant(APP.id, SOLUTION, CUSTOMER), waba_ids=(WABA,)
)
VIEWERS = {"caller": CALLER, "granular": GRANULAR, "app": APP_TOKEN}

NODE = SolutionNode(SOLUTION, "Solution", SolutionStatus.ACTIVE, APP, PARTNER, owner_messaging=True, partner_messaging=False)
PATH = SharePath(NODE, (HOME, BusinessId("13")), share_active=True, permissions=ALL_PERMISSIONS, grant_active=True)


def waba(*paths: SharePath, owner: BusinessId = CUSTOMER, id_: WabaId = WABA) -> WabaSight:
    return WabaSight(WabaNode(id_, "WABA", BusinessNode(owner, "Owner")), paths)


def path(status: SolutionStatus, *, party: bool, shared: bool, granted: bool, consent: bool) -> SharePath:
    solution = msgspec.structs.replace(NODE, status=status, owner_app=APP if party else OTHER)
    permissions = MANAGEMENT_ONLY if consent else frozenset({Permission.MESSAGING})
    return SharePath(solution, PATH.partner_business_ids, share_active=shared, permissions=permissions, grant_active=granted)


@pytest.mark.parametrize("kind", ["caller", "granular"])
def test_a_waba_is_seen_through_a_share_in_force_and_no_other(kind: str) -> None:
    """Attacks 30, 32: of all states of solution, side, share, grant and consent, a WABA is seen in those that permit."""
    for status, (party, shared, granted, consent) in product(SolutionStatus, product((True, False), repeat=4)):
        sight = waba(path(status, party=party, shared=shared, granted=granted, consent=consent))
        in_force = status.value in {"ACTIVE", "PENDING_DEACTIVATION"} and party and shared and granted and consent

        for seen in (sight, PhoneNumberSight(PhoneNumberNode("50", "+1"), sight)):
            assert (visible(VIEWERS[kind], seen) is None) == in_force


def test_an_app_token_sees_its_app_and_its_solutions() -> None:
    """An app's secret reads the app and its solutions: no business, no WABA, no number, no system user."""
    assert visible(APP_TOKEN, APP) is None
    assert visible(APP_TOKEN, NODE) is None
    hidden = (
        waba(PATH),
        waba(owner=HOME),
        BusinessSight(BusinessNode(HOME, ""), 1),
        SystemUserNode(SystemUserId("1"), ""),
        PARTNER,
    )
    assert {visible(APP_TOKEN, sight) for sight in hidden} == {Refusal(Reason.NODE_UNKNOWN)}


def test_a_granular_token_sees_exactly_its_grant() -> None:
    """Attacks 17, 30, 32: its customer, the WABAs that it names, its solution; through another one it sees nothing."""
    assert visible(GRANULAR, BusinessSight(BusinessNode(CUSTOMER, ""), None)) is None
    assert visible(GRANULAR, waba(PATH)) is None
    assert visible(GRANULAR, NODE) is None
    elsewhere = msgspec.structs.replace(PATH, solution=msgspec.structs.replace(NODE, id=SolutionId("21")))
    hidden = (
        waba(elsewhere),
        waba(PATH, id_=WabaId("31")),
        waba(PATH, owner=STRANGER),
        BusinessSight(BusinessNode(STRANGER, ""), 1),
        BusinessSight(BusinessNode(HOME, ""), 1),
        APP,
        SystemUserNode(SystemUserId("11.1"), ""),
    )
    assert {visible(GRANULAR, sight) for sight in hidden} == {Refusal(Reason.NODE_UNKNOWN)}
    other = visible(GRANULAR, elsewhere.solution)
    assert other is not None
    assert other.reason is Reason.NODE_UNKNOWN


def test_a_caller_sees_what_its_app_reaches() -> None:
    """A caller token sees its app, its system user, its business with all WABAs, and businesses that are connected."""
    seen = (
        APP,
        SystemUserNode(SystemUserId("40"), ""),
        waba(owner=HOME),
        BusinessSight(BusinessNode(HOME, ""), None),
        BusinessSight(BusinessNode(CUSTOMER, ""), 1),
    )
    assert {visible(CALLER, sight) for sight in seen} == {None}
    hidden = (PARTNER, SystemUserNode(SystemUserId("41"), ""), waba(), BusinessSight(BusinessNode(STRANGER, ""), None))
    assert {visible(CALLER, sight) for sight in hidden} == {Refusal(Reason.NODE_UNKNOWN)}
    assert visible(CALLER, msgspec.structs.replace(NODE, owner_app=OTHER)) == Refusal(Reason.APP_NOT_PARTY)


def test_without_management_nothing_is_reached() -> None:
    """A viewer that lost whatsapp_business_management reaches no shared WABA."""
    viewer = msgspec.structs.replace(CALLER, permissions=frozenset({Permission.MESSAGING}))

    assert live_paths(viewer, waba(PATH)) == ()


def test_partners_are_apps_or_businesses() -> None:
    """Every id that is asked for must be an app or a business of a solution's two sides."""
    assert has_partners([PATH], frozenset())
    assert has_partners([PATH], frozenset({PARTNER.id, HOME}))
    assert not has_partners([PATH], frozenset({PARTNER.id, OTHER.id}))
    assert not has_partners([], frozenset({PARTNER.id}))


def test_customers_are_listed_under_ones_own_ids() -> None:
    """An app's customers are for its callers, under the app's or its business's id; an app token is not enough."""
    assert {lists_customers(CALLER, id_) for id_ in (APP.id, HOME)} == {None}
    assert lists_customers(APP_TOKEN, APP.id) == Refusal(Reason.CREDENTIAL_NOT_ENOUGH)
    nobodys = [(CALLER, PARTNER.id), (APP_TOKEN, HOME), (GRANULAR, APP.id), (GRANULAR, "")]
    assert {lists_customers(viewer, id_) for viewer, id_ in nobodys} == {Refusal(Reason.NODE_UNKNOWN)}


def test_an_intent_is_read_by_those_whom_it_concerns() -> None:
    """Attacks 30, 31: of all statuses, askers and shares an intent is read by the app that asked, once accepted by both apps of
    the new solution, with a granular token for the share that it moves into alone, and with no app token.
    """  # noqa: D205 - one thought
    for status, (own, party, same) in product(IntentStatus, product((True, False), repeat=3)):
        target = SOLUTION if same else SolutionId("21")
        intent = Intent(IntentId("60"), WABA, CUSTOMER, (APP if own else OTHER).id, SolutionId("22"), target, status, 0)
        node = IntentNode(intent, "Solution", APP if party else OTHER, PARTNER)
        known = own or (party and status.value in {"ACCEPTED", "COMPLETED"})

        assert {name: reads_intent(viewer, node) for name, viewer in VIEWERS.items()} == {
            "caller": known,
            "granular": known and same,
            "app": False,
        }
        elsewhere = msgspec.structs.replace(node, intent=msgspec.structs.replace(intent, business_id=STRANGER))
        assert not reads_intent(GRANULAR, elsewhere)
