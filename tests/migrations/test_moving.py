"""WABAs that move, in a real store: all of it or nothing, by the customer's consent, and of two acts at once one wins."""

import asyncio
from collections.abc import Awaitable, Callable

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
    YOGAS_WABA,
    Hands,
    reason_of,
)
from multipartner.domain.migration import Intent, IntentId, IntentMove, IntentStatus
from multipartner.domain.model import ALL_PERMISSIONS, MANAGEMENT_ONLY, AppId, SolutionId, Tenant, WabaId
from multipartner.domain.reasons import Reason
from multipartner.domain.world_rules import problems
from multipartner.operating import Operator, open_operator
from multipartner.partnering.acting import ChangeRefused, UnknownEntity
from multipartner.partnering.applying import export_world
from multipartner.partnering.lives import deactivate_solution, revoke_grant, revoke_share, suspend_app
from multipartner.partnering.migrations import (
    MOST_KEPT,
    Named,
    Wish,
    accept_intent,
    decline_intent,
    intent_node,
    move_intent,
    set_intent,
)

pytestmark = pytest.mark.both_engines

SHARES = f"SELECT solution_id, status, permissions, generation FROM share WHERE business_id = '{BOOKS}'"  # noqa: S608 - ours
REACH = (
    "SELECT w.solution_id, w.waba_id FROM share_waba w JOIN share s ON s.business_id = w.business_id "  # noqa: S608 - ours
    f"AND s.solution_id = w.solution_id WHERE s.status = 'ACTIVE' AND s.business_id = '{BOOKS}'"
)


def shared(demo: DemoDeployment) -> set[tuple[str, str]]:
    """Which WABAs the customer shares with which solutions in use."""
    return {(solution, waba) for solution, waba in demo.rows(REACH) if solution != ENDED}


def generations(demo: DemoDeployment) -> dict[str, str]:
    return {solution: generation for solution, _, _, generation in demo.rows(SHARES)}


def test_a_waba_moves_with_its_customers_consent_and_not_before(hands: Hands, demo: DemoDeployment) -> None:
    """Attacks 38, 43: asking moves nothing; consent takes the WABA out of the old share, which gets a new generation, and puts
    it alone, with what the customer named, into one with the new solution.
    """  # noqa: D205 - one thought
    before = generations(demo)
    intent = hands.set()
    assert shared(demo) == {(OLD, SHOP), (OLD, EVENTS)}
    assert generations(demo) == before

    accepted = hands.accept(intent.id, MANAGEMENT_ONLY)

    assert (accepted.status, accepted.source_solution_id, accepted.target_solution_id) == (IntentStatus.ACCEPTED, OLD, NEW)
    assert shared(demo) == {(OLD, EVENTS), (NEW, SHOP)}
    after = generations(demo)
    assert after[OLD] != before[OLD]
    assert after[ENDED] == before[ENDED]
    assert ("ACTIVE", "whatsapp_business_management") in {(status, p) for s, status, p, _ in demo.rows(SHARES) if s == NEW}
    connected = demo.rows(f"SELECT app_id FROM connection WHERE business_id = '{BOOKS}'")  # noqa: S608 - ours
    assert {app for (app,) in connected} == {APP, BRIGHTLINE, QUILLMARK}
    grants = demo.rows(f"SELECT app_id, status FROM app_grant WHERE business_id = '{BOOKS}' AND solution_id = '{NEW}'")  # noqa: S608 - ours
    assert sorted(grants) == sorted([(APP, "ACTIVE"), (QUILLMARK, "ACTIVE")])
    assert hands.move(IntentMove.CONFIRM).status is IntentStatus.COMPLETED


def test_the_last_waba_to_leave_withdraws_the_share(hands: Hands, demo: DemoDeployment) -> None:
    """Attack 41: a share without WABAs is withdrawn, and the trail says by which migration."""
    for waba in (SHOP, EVENTS):
        hands.accept(hands.set(waba).id)

    assert shared(demo) == {(NEW, SHOP), (NEW, EVENTS)}
    assert {status for solution, status, _, _ in demo.rows(SHARES) if solution == OLD} == {"WITHDRAWN"}
    kinds = [event["kind"] for event in demo.events() if "migration_intent_id" in event.get("detail", {})]
    assert kinds == [
        *("migration.set", "migration.accepted", "share.changed", "share.made"),
        *("migration.set", "migration.accepted", "share.revoked", "share.changed"),
    ]
    assert problems(hands.run(export_world(hands.operator.store))) == []


def test_a_waba_that_comes_back_revives_nothing(hands: Hands, demo: DemoDeployment) -> None:
    """Attacks 44, 48: there and back again, each share has another generation than any that it had before."""
    third = hands.run(_third_solution(hands.operator))
    seen: list[str] = [generations(demo)[OLD]]
    for to in (third, OLD, third, OLD):
        hands.accept(hands.set(to=to).id)
        seen += [generation for solution, generation in generations(demo).items() if solution in {OLD, third}]

    assert shared(demo) == {(OLD, SHOP), (OLD, EVENTS)}
    assert len(seen) == len(set(seen))


async def _third_solution(operator: Operator) -> SolutionId:
    from multipartner.domain.lifecycle import Move  # noqa: PLC0415 - one test's
    from multipartner.partnering.solutions import Proposal, create_solution, move_solution  # noqa: PLC0415 - as above

    proposal = Proposal(APP, "Third", owner_messaging=True, partner_messaging=False)
    made = await create_solution(operator.store, ACT, BRIGHTLINE, proposal)
    await move_solution(operator.store, ACT, APP, made.id, Move.ACCEPT)
    return made.id


def test_a_consent_to_one_waba_changes_no_other(hands: Hands, demo: DemoDeployment) -> None:
    """Attack 38: where the new solution has other permissions on other WABAs already, the move is refused whole."""
    hands.share(EVENTS, permissions=MANAGEMENT_ONLY)
    intent = hands.set()
    before = demo.dump()

    with pytest.raises(ChangeRefused, match="consent to the same") as caught:
        hands.accept(intent.id, ALL_PERMISSIONS)

    assert reason_of(caught.value) is Reason.MIGRATION_FORBIDS
    assert demo.dump() == before
    hands.accept(intent.id, MANAGEMENT_ONLY)
    assert shared(demo) == {(OLD, EVENTS), (NEW, EVENTS), (NEW, SHOP)}


def test_a_revoked_grant_stays_revoked_over_a_move(hands: Hands, demo: DemoDeployment) -> None:
    """Attack 42: the app that a customer took out of a share is not let in again by a WABA that enters it."""
    hands.share(EVENTS)
    hands.run(revoke_grant(hands.operator.store, ACT, Tenant(QUILLMARK, NEW, BOOKS)))
    hands.accept(hands.set().id)

    grants = demo.rows(f"SELECT app_id, status FROM app_grant WHERE business_id = '{BOOKS}' AND solution_id = '{NEW}'")  # noqa: S608 - ours
    assert sorted(grants) == sorted([(APP, "ACTIVE"), (QUILLMARK, "REVOKED")])


def test_asking_again_is_the_same_intent(hands: Hands, demo: DemoDeployment) -> None:
    """A retried call makes no second intent, and one with another target is told of the first."""
    intent = hands.set()
    before = demo.dump()

    assert hands.set() == intent
    assert hands.set(source_solution_id=OLD) == intent
    assert demo.dump() == before
    third = hands.run(_third_solution(hands.operator))
    with pytest.raises(ChangeRefused) as caught:
        hands.set(to=third)
    assert reason_of(caught.value) is Reason.MIGRATION_UNDER_WAY
    hands.move(IntentMove.CANCEL)
    assert hands.set(to=third).id != intent.id


REFUSED: dict[str, tuple[WabaId, SolutionId, AppId, SolutionId | None, Reason]] = {
    "the other side of the new one alone": (SHOP, NEW, QUILLMARK, None, Reason.NODE_UNKNOWN),
    "a WABA that is not there": (WabaId("999999999999999"), NEW, APP, None, Reason.NODE_UNKNOWN),
    "one that is not shared": (WabaId("206988415877711"), NEW, APP, None, Reason.NODE_UNKNOWN),
    "one whose share was withdrawn": (WabaId("76481125580067598"), NEW, APP, None, Reason.NODE_UNKNOWN),
    "one that the app's grant was revoked for": (WabaId("87487354599953938"), NEW, BRIGHTLINE, None, Reason.NODE_UNKNOWN),
    "a solution that is not there": (SHOP, SolutionId("999999999999999"), APP, None, Reason.SOLUTION_UNKNOWN),
    "one that it is no side of": (SHOP, NEW, BRIGHTLINE, None, Reason.APP_NOT_PARTY),
    "out of one that it is no side of": (SHOP, NEW, APP, ENDED, Reason.APP_NOT_PARTY),
    "into one that has ended": (SHOP, ENDED, BRIGHTLINE, None, Reason.SOLUTION_INACTIVE),
    "to where it is": (SHOP, OLD, APP, None, Reason.MIGRATION_FORBIDS),
    "from a solution to itself": (SHOP, NEW, APP, NEW, Reason.MIGRATION_FORBIDS),
    "out of one that it is not shared with": (YOGAS_WABA, OLD, APP, OLD, Reason.MIGRATION_FORBIDS),
}


def test_who_may_not_ask_changes_nothing(hands: Hands, demo: DemoDeployment) -> None:
    """Attacks 30, 31, 39, 40: an app asks only for a WABA that it reaches, out of a solution it reaches it through, into one
    that it is a side of and that is in use; whatever else there is is told as if it were not.
    """  # noqa: D205 - one thought
    before = demo.dump()

    for case, (waba, to, app, source, reason) in REFUSED.items():
        with pytest.raises(ChangeRefused) as caught:
            hands.set(waba, to, app, source_solution_id=source)
        assert reason_of(caught.value) is reason, case
    assert demo.dump() == before


def test_which_share_the_customer_loses_is_said_by_who_asks(hands: Hands) -> None:
    """Attack 38: a WABA that is shared with several solutions leaves the one that is named, and none is guessed."""
    third = hands.run(_third_solution(hands.operator))
    hands.share(SHOP, solution=third)
    with pytest.raises(ChangeRefused) as caught:
        hands.set()
    assert caught.value.refusal is not None
    assert (caught.value.refusal.reason, caught.value.refusal.parameter) == (Reason.MISSING_PARAMETER, "target_solution_id")

    assert hands.set(source_solution_id=third).source_solution_id == third


def test_nobody_but_the_owner_of_the_waba_answers(hands: Hands, demo: DemoDeployment) -> None:
    """Attacks 30, 39: another business neither accepts nor declines, and an unknown intent is told the same."""
    intent = hands.set()
    before = demo.dump()

    for answer in (hands.accept, hands.decline):
        with pytest.raises(UnknownEntity, match="has no such one"):
            answer(intent.id, business=OLIVA)
        with pytest.raises(UnknownEntity, match="has no such one"):
            answer(IntentId("999999999999999"))
    assert demo.dump() == before


def test_an_app_knows_of_its_own_intents_alone(hands: Hands) -> None:
    """Attack 31: the new solution's other side learns of an intent when the customer has consented, the old one's never."""
    intent = hands.set()

    def seen() -> list[AppId]:
        apps = (APP, BRIGHTLINE, QUILLMARK)
        return [app for app in apps if hands.run(intent_node(hands.operator.store, app, intent.id)) is not None]

    assert seen() == [APP]
    for app, reason in ((BRIGHTLINE, Reason.APP_NOT_PARTY), (QUILLMARK, Reason.NODE_UNKNOWN)):
        with pytest.raises(ChangeRefused) as caught:
            hands.move(IntentMove.CANCEL, app=app)
        assert reason_of(caught.value) is reason
    hands.accept(intent.id)
    assert seen() == [APP, QUILLMARK]


def test_an_intent_that_waits_for_its_time_moves_nothing(hands: Hands, demo: DemoDeployment) -> None:
    """Attack 47: a scheduled intent is accepted at its second and not one earlier; another time schedules it anew."""
    intent = hands.set(not_before_s=ACT.now_s + 100)
    assert hands.set(not_before_s=ACT.now_s + 60).id == intent.id
    hands.turn(59)
    with pytest.raises(ChangeRefused, match="not before") as caught:
        hands.accept(intent.id)
    assert reason_of(caught.value) is Reason.MIGRATION_FORBIDS
    assert (NEW, SHOP) not in shared(demo)

    hands.turn(1)
    assert hands.accept(intent.id).status is IntentStatus.ACCEPTED


def test_what_changed_meanwhile_stops_the_move(hands: Hands, demo: DemoDeployment) -> None:
    """Attacks 41, 46: a consent that comes after the old share ended, or after the new solution did, moves nothing."""
    ended = hands.set()
    hands.run(deactivate_solution(hands.operator.store, ACT, NEW))
    before = demo.dump()
    with pytest.raises(ChangeRefused) as caught:
        hands.accept(ended.id)
    assert reason_of(caught.value) is Reason.SOLUTION_INACTIVE
    assert demo.dump() == before

    hands.move(IntentMove.CANCEL)
    third = hands.run(_third_solution(hands.operator))
    withdrawn = hands.set(to=third)
    hands.run(revoke_share(hands.operator.store, ACT, BOOKS, OLD))
    before = demo.dump()
    with pytest.raises(ChangeRefused, match="not shared with") as caught:
        hands.accept(withdrawn.id)
    assert reason_of(caught.value) is Reason.MIGRATION_FORBIDS
    assert demo.dump() == before
    # Its app reaches the WABA no more, and can still take its own request back.
    assert hands.move(IntentMove.CANCEL, solution=third).status is IntentStatus.REJECTED


def test_a_suspended_app_neither_asks_nor_moves(hands: Hands) -> None:
    """Attack 41: once suspended an app sets, cancels and confirms nothing."""
    hands.set()
    hands.run(suspend_app(hands.operator.store, ACT, APP))

    acts: tuple[Callable[[], Intent], ...] = (hands.set, lambda: hands.move(IntentMove.CANCEL))
    for act in acts:
        with pytest.raises(ChangeRefused) as caught:
            act()
        assert reason_of(caught.value) is Reason.APP_SUSPENDED


@pytest.mark.parametrize("end", ["cancel", "decline", "accept"])
def test_what_has_ended_is_not_moved_again(hands: Hands, end: str) -> None:
    """Attack 45: after cancel, decline or accept every other answer is refused."""
    intent = hands.set()
    acts: dict[str, Callable[[], Intent]] = {
        "cancel": lambda: hands.move(IntentMove.CANCEL),
        "decline": lambda: hands.decline(intent.id),
        "accept": lambda: hands.accept(intent.id),
    }
    acts[end]()

    for act in acts.values():
        with pytest.raises(ChangeRefused) as caught:
            act()
        assert reason_of(caught.value) is Reason.MIGRATION_FORBIDS


def test_ended_intents_are_kept_to_a_number(hands: Hands, demo: DemoDeployment) -> None:
    """Attack 53: an app that asks and cancels for ever leaves a bounded number of rows; the open one is never forgotten."""
    for _ in range(MOST_KEPT + 3):
        hands.set()
        hands.move(IntentMove.CANCEL)
        hands.turn(1)
    other = hands.set(OLIVAS_WABA)
    hands.set()

    rows = demo.rows("SELECT waba_id, status FROM migration_intent")
    assert len(rows) == MOST_KEPT + 1
    assert (OLIVAS_WABA, "INITIATED") in rows
    assert other.business_id == OLIVA


Racing = Callable[[Operator, IntentId], Awaitable[Intent]]
RACERS: dict[str, Racing] = {
    "accept": lambda o, i: accept_intent(o.store, ACT, BOOKS, i, ALL_PERMISSIONS),
    "accept-less": lambda o, i: accept_intent(o.store, ACT, BOOKS, i, MANAGEMENT_ONLY),
    "decline": lambda o, i: decline_intent(o.store, ACT, BOOKS, i),
    "cancel": lambda o, _: move_intent(o.store, ACT, APP, Named(SHOP, frozenset({NEW})), IntentMove.CANCEL),
}


@pytest.mark.parametrize(
    ("one", "other"),
    [("accept", "cancel"), ("accept", "decline"), ("accept", "accept-less"), ("cancel", "decline"), ("cancel", "cancel")],
)
def test_of_two_racing_acts_exactly_one_wins(hands: Hands, demo: DemoDeployment, one: str, other: str) -> None:
    """Attack 45: of two acts at once, over two connections, one is made and the other is told that it came too late."""

    async def tried(operator: Operator, racer: str, intent_id: IntentId) -> Intent | Reason | None:
        try:
            return await RACERS[racer](operator, intent_id)
        except ChangeRefused as error:
            return reason_of(error)

    async def both(intent_id: IntentId) -> list[Intent | Reason | None]:
        async with open_operator(demo.settings()) as elsewhere:
            return list(await asyncio.gather(tried(elsewhere, one, intent_id), tried(hands.operator, other, intent_id)))

    told = hands.run(both(hands.set().id))

    won = [answer for answer in told if isinstance(answer, Intent)]
    assert len(won) == 1
    assert [answer for answer in told if not isinstance(answer, Intent)] == [Reason.MIGRATION_FORBIDS]
    assert ((NEW, SHOP) in shared(demo)) is (won[0].status is IntentStatus.ACCEPTED)
    assert ((OLD, SHOP) in shared(demo)) is (won[0].status is not IntentStatus.ACCEPTED)


def test_of_two_racing_requests_one_intent_is_made(hands: Hands, demo: DemoDeployment) -> None:
    """Attack 45: an app that asks twice at once has one intent."""

    async def both() -> list[Intent]:
        async with open_operator(demo.settings()) as elsewhere:
            asked = (set_intent(o.store, ACT, APP, Wish(SHOP, NEW)) for o in (elsewhere, hands.operator))
            return list(await asyncio.gather(*asked))

    first, second = hands.run(both())

    assert first == second
    assert len(demo.rows("SELECT id FROM migration_intent")) == 1


def test_a_consent_names_something(hands: Hands, demo: DemoDeployment) -> None:
    """Attack 38: a consent without a permission is no consent."""
    intent = hands.set()
    before = demo.dump()

    with pytest.raises(ChangeRefused, match="at least one"):
        hands.accept(intent.id, frozenset())

    assert demo.dump() == before
