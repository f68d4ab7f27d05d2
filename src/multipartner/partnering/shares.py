"""What a customer shares: made and changed by its own consent, and written so that no token of before lives on."""

from typing import Final

import msgspec

from multipartner.domain import world as w
from multipartner.domain.consent import Consent, consented
from multipartner.domain.events import EventKind
from multipartner.domain.model import USABLE_SOLUTION, AppId, BusinessId, SolutionId, WabaId, names_of
from multipartner.domain.reasons import Reason, Refusal
from multipartner.partnering.acting import Act, ChangeRefused, Outcome, UnknownEntity
from multipartner.storage.change_ports import Changes, ChangeStore

_NOBODY: Final = w.Side(AppId(""))


class Sharing(msgspec.Struct, frozen=True):
    """What a transaction sees of one customer: its shares by solution, and the solutions that were asked about."""

    business_id: BusinessId
    shares: dict[SolutionId, w.Share]
    solutions: dict[SolutionId, w.Solution]
    waba_ids: frozenset[WabaId]


async def make_share(store: ChangeStore, act: Act, consent: Consent) -> Outcome:
    """Let a business share with a solution what its consent says: all of that, and nothing else.

    The first one connects the business to both apps. Any other than the share that stands gives it a new generation, a withdrawn
    one included: no old token lives on or comes back, and a revoked grant stays revoked.
    Raises ChangeRefused (UnknownEntity; SOLUTION_UNKNOWN, SOLUTION_INACTIVE), StorageUnavailable.
    """
    if not consent.waba_ids or not consent.permissions:
        raise ChangeRefused("a consent names at least one WABA and one permission")
    what = f"share of business {consent.business_id} with solution {consent.solution_id}"
    async with store.transaction() as changes:
        sharing = await sharing_of(changes, consent.business_id, (consent.solution_id,), consent.waba_ids)
        for waba_id in sorted(consent.waba_ids - sharing.waba_ids):
            raise UnknownEntity(f"WABA {waba_id}: unknown, or not of business {consent.business_id}")
        solution = sharing.solutions.get(consent.solution_id)
        if solution is None:
            raise ChangeRefused(f"solution {consent.solution_id}: unknown", Refusal(Reason.SOLUTION_UNKNOWN))
        if solution.status not in USABLE_SOLUTION:
            raise ChangeRefused(f"{what}: the solution is {solution.status.value}", Refusal(Reason.SOLUTION_INACTIVE))
        made = consented(sharing.shares.get(consent.solution_id), consent)
        changed = await write_share(changes, act, sharing, made)
    return Outcome(changed, f"{what}: {'shared' if changed else 'already shared so'}")


async def sharing_of(
    changes: Changes, business_id: BusinessId, solution_ids: tuple[SolutionId, ...], waba_ids: frozenset[WabaId]
) -> Sharing:
    """Read what a business shares with these solutions, and which of the WABAs are its own. Raises UnknownEntity."""
    wabas = tuple(w.Waba(waba_id, "") for waba_id in sorted(waba_ids))
    named = w.World(
        w.VERSION,
        businesses=(w.Business(business_id, "", wabas),),
        solutions=tuple(w.Solution(solution_id, "", _NOBODY, _NOBODY) for solution_id in solution_ids),
        shares=tuple(w.Share(business_id, solution_id, (), ()) for solution_id in solution_ids),
    )
    now = await changes.world(named)
    business = next((business for business in now.businesses if business.id == business_id), None)
    if business is None:
        raise UnknownEntity(f"business {business_id}: unknown")
    return Sharing(
        business_id,
        {share.solution: share for share in now.shares},
        {solution.id: solution for solution in now.solutions},
        frozenset(waba.id for waba in business.wabas),
    )


async def write_share(changes: Changes, act: Act, sharing: Sharing, share: w.Share, **told: str) -> bool:
    """Bring a share to what it shall be, with its connections and events; False when it is so already. `told`: for the trail."""
    old = sharing.shares.get(share.solution)
    if old == share:
        return False
    solution = sharing.solutions[share.solution]
    apps = (solution.owner.app, solution.partner.app)
    await _connect(changes, act, [w.Connection(share.business, app) for app in apps])
    if old is None:
        await changes.add_share(share, act.mark(), {app: act.mark() for app in apps})
    else:
        await changes.change_share(share, act.mark())
    await changes.record(act.event(share_kind(old, share), **share_told(share), **told))
    return True


def share_kind(old: w.Share | None, share: w.Share) -> EventKind:
    """What it is called that a share came to be what it is."""
    if old is None:
        return EventKind.SHARE_MADE
    if share.status is old.status:
        return EventKind.SHARE_CHANGED
    return EventKind.SHARE_REVOKED if share.status is w.ShareStatus.WITHDRAWN else EventKind.SHARE_RESTORED


def share_told(share: w.Share) -> dict[str, str]:
    """A share in the trail's words."""
    return {
        "business_id": share.business,
        "solution_id": share.solution,
        "status": share.status.value,
        "wabas": " ".join(share.wabas),
        "permissions": " ".join(names_of(frozenset(share.permissions))),
    }


async def _connect(changes: Changes, act: Act, wanted: list[w.Connection]) -> None:
    there = await changes.connections_of(sorted({connection.business for connection in wanted}))
    missing = [connection for connection in wanted if connection not in there]
    await changes.connect(missing, act.now_s)
    for connection in missing:
        await changes.record(act.event(EventKind.CONNECTION_MADE, app_id=connection.app, business_id=connection.business))
