"""Solutions as two companies make and end them: invite, accept, reject, ask for the end (contract: Multi-Partner Solutions).

Whoever acts is an app's; the same functions serve the API and the command line.
"""

import secrets
import unicodedata
from typing import Final

import msgspec

from multipartner.domain.events import EventKind
from multipartner.domain.graph import SolutionNode
from multipartner.domain.lifecycle import Move, moved
from multipartner.domain.model import AppId, SolutionId, SolutionStatus
from multipartner.domain.reasons import Reason, Refusal
from multipartner.domain.world import Side, Solution
from multipartner.partnering.acting import Act, ChangeRefused, UnknownEntity
from multipartner.storage.change_ports import Changes, ChangeStore

__all__ = [
    "MOST_INVITATIONS",
    "ChangeStore",
    "Proposal",
    "create_solution",
    "free_id",
    "is_name",
    "move_solution",
    "refused",
    "seen_by",
    "solution",
]

MOST_INVITATIONS: Final = 100
"""Solutions of one owner that wait for their partner's answer: strangers can be invited, so there is an end to it."""

_NAME_CHARS: Final = range(2, 76)
_ID_LEAST, _ID_MOST = 10**14, 10**17
_UNPRINTED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class Proposal(msgspec.Struct, frozen=True):
    """What an owner proposes (contract: WhatsAppBusinessSolutionCreateRequest)."""

    partner_app_id: AppId
    name: str
    owner_messaging: bool
    partner_messaging: bool


async def create_solution(store: ChangeStore, act: Act, owner_app_id: AppId, proposal: Proposal) -> SolutionNode:
    """Make a solution that waits for its partner's answer. Its id has 15 to 17 random digits and is nobody else's.

    A name has 2 to 75 code points, none of them a control, format or surrogate character or a line's end, and no space at
    either end. Raises ChangeRefused with a refusal, StorageUnavailable.
    """
    if not is_name(proposal.name):
        raise refused(Refusal(Reason.INVALID_PARAMETER, fact="solution_name", parameter="solution_name"))
    if proposal.owner_messaging == proposal.partner_messaging:
        raise refused(Refusal(Reason.MESSAGING_INVALID, fact="both sides" if proposal.owner_messaging else "no side"))
    async with store.transaction() as changes:
        await _may_invite(changes, owner_app_id, proposal.partner_app_id)
        solution_id = SolutionId(await free_id(changes))
        owner = Side(owner_app_id, proposal.owner_messaging)
        partner = Side(proposal.partner_app_id, proposal.partner_messaging)
        made = Solution(solution_id, proposal.name, owner, partner, SolutionStatus.INITIATED)
        await changes.add_solution(made, act.mark())
        await changes.record(
            act.event(EventKind.SOLUTION_CREATED, app_id=owner_app_id, solution_id=solution_id, partner=proposal.partner_app_id)
        )
        return await _node(changes, solution_id)


async def move_solution(
    store: ChangeStore, act: Act, app_id: AppId, solution_id: SolutionId, move: Move, *, reason: str = ""
) -> SolutionNode:
    """Make one move of one side; of two at once exactly one wins. `reason` is the mover's own text, for the trail.

    Raises ChangeRefused with a refusal: SOLUTION_UNKNOWN, APP_NOT_PARTY, APP_SUSPENDED, NOT_THIS_SIDES, STATUS_FORBIDS; or
    StorageUnavailable.
    """
    async with store.transaction() as changes:
        before = await seen_by(app_id, changes, solution_id)
        if not await changes.app_active(app_id):
            raise refused(Refusal(Reason.APP_SUSPENDED))
        step = moved(before.status, before.role_of(app_id), move)
        if isinstance(step, Refusal):
            raise refused(step)
        # The statement decides, not what was read: it names the status that the step leads from.
        if not await changes.take_step(solution_id, app_id, step, act.mark()):
            raise refused(Refusal(Reason.STATUS_FORBIDS, fact="another move came first"))
        detail = {"status": step.to.value, "was": step.status.value} | ({"reason": reason} if reason else {})
        await changes.record(act.event(step.event, app_id=app_id, solution_id=solution_id, **detail))
        return await _node(changes, solution_id)


async def solution(store: ChangeStore, app_id: AppId, solution_id: SolutionId) -> SolutionNode:
    """Read a solution as one of its parties sees it.

    Raises ChangeRefused with a refusal (SOLUTION_UNKNOWN, APP_NOT_PARTY), StorageUnavailable.
    """
    async with store.reading() as changes:
        return await seen_by(app_id, changes, solution_id)


def is_name(name: str) -> bool:
    """Whether a solution may be called so."""
    if len(name) not in _NAME_CHARS or name != name.strip():
        return False
    return not any(unicodedata.category(char) in _UNPRINTED for char in name)


async def seen_by(app_id: AppId, changes: Changes, solution_id: SolutionId) -> SolutionNode:
    """Read a solution as one of its parties sees it. Raises ChangeRefused with a refusal: SOLUTION_UNKNOWN, APP_NOT_PARTY."""
    found = await changes.solution_node(solution_id)
    if found is None:
        raise refused(Refusal(Reason.SOLUTION_UNKNOWN))
    if found.role_of(app_id) is None:
        raise refused(Refusal(Reason.APP_NOT_PARTY))
    return found


async def _may_invite(changes: Changes, owner_app_id: AppId, partner_app_id: AppId) -> None:
    owner_active = await changes.app_active(owner_app_id)
    if owner_active is None:
        raise UnknownEntity(f"app {owner_app_id}: unknown")
    if not owner_active:
        raise refused(Refusal(Reason.APP_SUSPENDED))
    if partner_app_id == owner_app_id or not await changes.app_active(partner_app_id):
        raise refused(Refusal(Reason.PARTNER_APP_INVALID, fact="the owner itself, unknown or suspended"))
    if await changes.invitations(owner_app_id) >= MOST_INVITATIONS:
        raise refused(Refusal(Reason.TOO_MANY_INVITATIONS))


async def free_id(changes: Changes) -> str:
    """Draw an id of 15 to 17 digits that nothing has."""
    while True:
        drawn = str(_ID_LEAST + secrets.randbelow(_ID_MOST - _ID_LEAST))
        if await changes.is_free(drawn):
            return drawn


async def _node(changes: Changes, solution_id: SolutionId) -> SolutionNode:
    found = await changes.solution_node(solution_id)
    if found is None:
        raise LookupError("a solution that this transaction wrote is not there")
    return found


def refused(refusal: Refusal) -> ChangeRefused:
    """The exception for a refusal, with its fact as text."""
    return ChangeRefused(refusal.fact or refusal.reason.value.replace("_", " "), refusal)
