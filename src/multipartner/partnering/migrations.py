"""WABAs that move from one solution to another: an app asks, the customer consents (contract: Solution Migration).

Nothing moves before the consent, and with it everything in one transaction: the WABA leaves the old share, whose tokens are dead,
and enters a share with the new solution with the permissions that the customer names, no others.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from multipartner.domain.consent import Consent, entered, left
from multipartner.domain.events import Event, EventKind
from multipartner.domain.migration import (
    Intent,
    IntentId,
    IntentMove,
    IntentNode,
    IntentStatus,
    IntentStep,
    Mover,
    intent_moved,
)
from multipartner.domain.model import USABLE_SOLUTION, AppId, BusinessId, Permissions, SolutionId, WabaId, names_of
from multipartner.domain.reasons import Reason, Refusal
from multipartner.partnering.acting import Act, ChangeRefused, UnknownEntity
from multipartner.partnering.shares import sharing_of, write_share
from multipartner.partnering.solutions import free_id, refused, seen_by
from multipartner.storage.change_ports import Changes, ChangeStore

__all__ = [
    "MOST_KEPT",
    "ChangeStore",
    "Named",
    "Wish",
    "accept_intent",
    "decline_intent",
    "intent_node",
    "move_intent",
    "set_intent",
]

MOST_KEPT: Final = 20
"""Ended intents of one app for one WABA that are kept to be read; the trail has them all."""


class Wish(msgspec.Struct, frozen=True):
    """What an app asks for. Without a source it is the one other solution through which the app reaches the WABA."""

    waba_id: WabaId
    target_solution_id: SolutionId
    source_solution_id: SolutionId | None = None
    not_before_s: int | None = None
    reason: str = ""
    """The app's own text, for the trail."""


class Named(msgspec.Struct, frozen=True):
    """Which of its intents an app means: for this WABA, and with all of these solutions as what it leaves or moves to."""

    waba_id: WabaId
    solution_ids: frozenset[SolutionId]
    reason: str = ""
    """As in a wish."""


async def set_intent(store: ChangeStore, act: Act, app_id: AppId, wish: Wish) -> Intent:
    """Ask a customer to move a WABA. The same wish again is the same intent; another time for it schedules it anew.

    Raises ChangeRefused with a refusal (NODE_UNKNOWN, SOLUTION_UNKNOWN, APP_NOT_PARTY, APP_SUSPENDED, SOLUTION_INACTIVE,
    MISSING_PARAMETER, MIGRATION_UNDER_WAY, MIGRATION_FORBIDS), StorageUnavailable.
    """
    async with store.transaction() as changes:
        business_id, source_solution_id = await _may_set(changes, app_id, wish)
        intents = await changes.intents_of(wish.waba_id, app_id)
        if intents and intents[0].status is IntentStatus.INITIATED:
            return await _set_again(changes, act, intents[0], source_solution_id, wish)
        # The new one is one more.
        await changes.forget_intents(intents[MOST_KEPT - 1 :])
        intent = Intent(
            IntentId(await free_id(changes)),
            wish.waba_id,
            business_id,
            app_id,
            source_solution_id,
            wish.target_solution_id,
            IntentStatus.INITIATED,
            act.now_s,
            wish.not_before_s,
        )
        if not await changes.add_intent(intent):
            raise refused(Refusal(Reason.MIGRATION_UNDER_WAY))
        await changes.record(_event(act, EventKind.MIGRATION_SET, intent, reason=wish.reason))
        return intent


async def move_intent(store: ChangeStore, act: Act, app_id: AppId, named: Named, move: IntentMove) -> Intent:
    """Cancel or confirm an app's own intent: of those that are meant the newest that can be moved so.

    Raises ChangeRefused with a refusal (NODE_UNKNOWN, SOLUTION_UNKNOWN, APP_NOT_PARTY, APP_SUSPENDED, NO_SUCH_REQUEST,
    NOT_THIS_SIDES, MIGRATION_FORBIDS), StorageUnavailable.
    """
    async with store.transaction() as changes:
        of_both = await changes.intents_of(named.waba_id, app_id)
        found = [one for one in of_both if named.solution_ids <= {one.source_solution_id, one.target_solution_id}]
        if not found:
            raise await _no_intent(changes, app_id, named)
        await _active(changes, app_id)
        steps = [(intent, intent_moved(intent.status, Mover.APP, move)) for intent in found]
        intent, step = next(((i, s) for i, s in steps if isinstance(s, IntentStep)), steps[0])
        return await _take(changes, act, intent, step, reason=named.reason)


async def accept_intent(
    store: ChangeStore, act: Act, business_id: BusinessId, intent_id: IntentId, permissions: Permissions
) -> Intent:
    """Consent, for the business that owns the WABA: it moves now, and the new solution gets these permissions on it.

    Raises ChangeRefused (UnknownEntity; MIGRATION_FORBIDS, SOLUTION_INACTIVE), StorageUnavailable; then nothing has moved.
    """
    if not permissions:
        raise ChangeRefused("a consent names at least one permission")
    async with store.transaction() as changes:
        intent = (await _of_business(changes, business_id, intent_id)).intent
        step = intent_moved(intent.status, Mover.CUSTOMER, IntentMove.ACCEPT)
        accepted = await _take(changes, act, intent, step, permissions=" ".join(names_of(permissions)))
        await _move_waba(changes, act, intent, permissions)
        return accepted


async def decline_intent(store: ChangeStore, act: Act, business_id: BusinessId, intent_id: IntentId) -> Intent:
    """Say no, for the business that owns the WABA.

    Raises ChangeRefused (UnknownEntity; MIGRATION_FORBIDS), StorageUnavailable.
    """
    async with store.transaction() as changes:
        intent = (await _of_business(changes, business_id, intent_id)).intent
        return await _take(changes, act, intent, intent_moved(intent.status, Mover.CUSTOMER, IntentMove.DECLINE))


async def intent_node(store: ChangeStore, app_id: AppId, intent_id: IntentId) -> IntentNode | None:
    """Read an intent as an app may; None where it may not, or there is none. Raises StorageUnavailable."""
    async with store.reading() as changes:
        node = await changes.intent_node(intent_id)
    return node if node is not None and node.is_visible_to(app_id) else None


async def _may_set(changes: Changes, app_id: AppId, wish: Wish) -> tuple[BusinessId, SolutionId]:
    """Whose the WABA is, and the solution that it would leave."""
    reached = await changes.reached(wish.waba_id, app_id)
    if reached is None:
        raise refused(Refusal(Reason.NODE_UNKNOWN, fact=f"app {app_id} reaches no WABA {wish.waba_id}"))
    target = await seen_by(app_id, changes, wish.target_solution_id)
    if wish.source_solution_id is not None:
        await seen_by(app_id, changes, wish.source_solution_id)
    await _active(changes, app_id)
    if target.status not in USABLE_SOLUTION:
        raise refused(Refusal(Reason.SOLUTION_INACTIVE, fact=f"solution {target.id} is {target.status.value}"))
    business_id, through = reached
    return business_id, _source(through, wish)


def _source(through: Sequence[SolutionId], wish: Wish) -> SolutionId:
    others = [solution_id for solution_id in through if solution_id != wish.target_solution_id]
    if wish.source_solution_id is not None:
        others = [solution_id for solution_id in others if solution_id == wish.source_solution_id]
    elif len(others) > 1:
        # Which share the customer would lose must be said by who asks, not chosen here.
        raise refused(Refusal(Reason.MISSING_PARAMETER, fact="shared with several solutions", parameter="target_solution_id"))
    if not others:
        fact = f"the app reaches the WABA through no other solution than {wish.target_solution_id} that it could leave"
        raise refused(Refusal(Reason.MIGRATION_FORBIDS, fact=fact))
    return others[0]


async def _set_again(changes: Changes, act: Act, intent: Intent, source_solution_id: SolutionId, wish: Wish) -> Intent:
    if (intent.source_solution_id, intent.target_solution_id) != (source_solution_id, wish.target_solution_id):
        raise refused(Refusal(Reason.MIGRATION_UNDER_WAY, fact=f"migration intent {intent.id} waits for the customer"))
    if wish.not_before_s is None or wish.not_before_s == intent.not_before_s:
        return intent
    scheduled = msgspec.structs.replace(intent, not_before_s=wish.not_before_s)
    step = intent_moved(intent.status, Mover.APP, IntentMove.SCHEDULE)
    return await _take(changes, act, scheduled, step, reason=wish.reason)


async def _take(changes: Changes, act: Act, intent: Intent, step: IntentStep | Refusal, **told: str) -> Intent:
    if isinstance(step, Refusal):
        raise refused(step)
    not_before_s = intent.not_before_s if step.move is IntentMove.SCHEDULE else None
    # The statement decides, not what was read: it names the status that the step leads from.
    if not await changes.take_intent_step(intent, step, act.now_s, not_before_s=not_before_s):
        raise refused(_not_taken(act, intent, step))
    taken = msgspec.structs.replace(intent, status=step.to)
    await changes.record(_event(act, step.event, taken, was=step.status.value, **told))
    return taken


def _not_taken(act: Act, intent: Intent, step: IntentStep) -> Refusal:
    if step.moves and intent.not_before_s is not None and intent.not_before_s > act.now_s:
        return Refusal(Reason.MIGRATION_FORBIDS, fact=f"scheduled: not before {intent.not_before_s} (Unix time)")
    if step.moves:
        return Refusal(Reason.SOLUTION_INACTIVE, fact=f"solution {intent.target_solution_id} is not in use")
    return Refusal(Reason.MIGRATION_FORBIDS, fact="another move came first")


async def _move_waba(changes: Changes, act: Act, intent: Intent, permissions: Permissions) -> None:
    source, target, waba_ids = intent.source_solution_id, intent.target_solution_id, frozenset({intent.waba_id})
    sharing = await sharing_of(changes, intent.business_id, (source, target), waba_ids)
    old = sharing.shares.get(source)
    without = left(old, intent.waba_id) if old is not None else None
    if without is None:
        fact = f"WABA {intent.waba_id} is not shared with solution {source} any more"
        raise refused(Refusal(Reason.MIGRATION_FORBIDS, fact=fact))
    now = sharing.shares.get(target)
    with_it = entered(now, Consent(intent.business_id, target, waba_ids, permissions))
    if with_it is None:
        said = " ".join(names_of(frozenset(now.permissions if now is not None else ())))
        fact = f"solution {target} has {said} on other WABAs of this business: consent to the same, or make that share anew first"
        raise refused(Refusal(Reason.MIGRATION_FORBIDS, fact=fact))
    for share in (without, with_it):
        await write_share(changes, act, sharing, share, migration_intent_id=intent.id)


async def _of_business(changes: Changes, business_id: BusinessId, intent_id: IntentId) -> IntentNode:
    node = await changes.intent_node(intent_id)
    if node is None or node.intent.business_id != business_id:
        raise UnknownEntity(f"migration intent {intent_id}: business {business_id} has no such one")
    return node


async def _no_intent(changes: Changes, app_id: AppId, named: Named) -> ChangeRefused:
    if await changes.reached(named.waba_id, app_id) is None:
        return refused(Refusal(Reason.NODE_UNKNOWN, fact=f"app {app_id} reaches no WABA {named.waba_id}"))
    for solution_id in sorted(named.solution_ids):
        await seen_by(app_id, changes, solution_id)
    return refused(Refusal(Reason.NO_SUCH_REQUEST, fact=f"app {app_id} has set no such intent for WABA {named.waba_id}"))


async def _active(changes: Changes, app_id: AppId) -> None:
    if not await changes.app_active(app_id):
        raise refused(Refusal(Reason.APP_SUSPENDED))


def _event(act: Act, kind: EventKind, intent: Intent, **told: str) -> Event:
    ids = {"app_id": intent.app_id, "solution_id": intent.target_solution_id, "business_id": intent.business_id}
    detail = {
        "migration_intent_id": intent.id,
        "waba_id": intent.waba_id,
        "source_solution_id": intent.source_solution_id,
        "status": intent.status.value,
        "not_before_s": "" if intent.not_before_s is None else str(intent.not_before_s),
        **told,
    }
    return act.event(kind, **ids, **{name: value for name, value in detail.items() if value})
