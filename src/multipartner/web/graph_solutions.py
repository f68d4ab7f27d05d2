"""The operations of a solution's life: invite, accept, reject, ask for the end (contract: Multi-Partner Solutions).

Contract and guides differ on bodies (facts: graph-wire 5.4): what the contract demands may be absent, as in the guides; what is
sent must be right.
"""

from typing import Final

from multipartner.domain.graph import SolutionNode, ViewerKind
from multipartner.domain.lifecycle import Move
from multipartner.domain.model import AppId, SolutionId
from multipartner.domain.reasons import Reason, Refusal
from multipartner.partnering import solutions
from multipartner.web.graph_operations import Operation, Operations, Work
from multipartner.wire import solutions as wire

_MESSAGING: Final = frozenset({"MESSAGING"})
_PARTNERSHIP, _DEACTIVATION = "PARTNERSHIP_REQUEST", "DEACTIVATION_REQUEST"
_TEXT: Final = 500


class SolutionLife:
    """Runs them over a store."""

    def __init__(self, store: solutions.ChangeStore) -> None:
        self._store = store

    def operations(self) -> Operations:
        """All of them, by edge and method."""
        return {
            "whatsapp_business_solution": {"POST": Operation("createWhatsAppBusinessSolution", _CREATE, self.create)},
            "accept": {"POST": Operation("acceptWhatsAppBusinessSolution", _ACCEPT, self.accept)},
            "reject": {"POST": Operation("rejectSolutionRequest", _REJECT, self.reject)},
            "send_deactivation_request": {
                "POST": Operation("sendSolutionDeactivationRequest", frozenset({"reason"}), self.request_deactivation)
            },
            "accept_deactivation_request": {
                "POST": Operation(
                    "acceptWhatsAppBusinessSolutionDeactivationRequest", frozenset({"fields"}), self.accept_deactivation
                )
            },
            "reject_deactivation_request": {
                "POST": Operation("rejectSolutionDeactivationRequest", _REJECT_DEACTIVATION, self.reject_deactivation)
            },
        }

    async def create(self, work: Work) -> bytes | Refusal:
        """`POST /{Application-ID}/whatsapp_business_solution`."""
        given = work.parameters
        partner_app_id = given.needed_id("partner_app_id")
        name = given.needed_text("solution_name")
        owner = given.words("owner_permissions", _MESSAGING, 1)
        partner = given.words("partner_permissions", _MESSAGING, 1)
        for field, value in (("owner_permissions", owner), ("partner_permissions", partner)):
            if value is None:
                return Refusal(Reason.MISSING_PARAMETER, parameter=field)
        refusal = _only_callers(work)
        if refusal is not None:
            return refusal
        if work.presented.node_id != work.viewer.app_id:
            return Refusal(Reason.APP_NOT_CALLERS)
        proposal = solutions.Proposal(AppId(partner_app_id), name, bool(owner), bool(partner))
        made = await solutions.create_solution(self._store, work.act, work.viewer.app_id, proposal)
        return wire.encode({"solution_id": made.id})

    async def accept(self, work: Work) -> bytes | Refusal:
        """`POST /{Solution-ID}/accept`."""
        named = work.parameters.id("partner_app_id")
        work.parameters.text("log_session_id", _TEXT)
        if named is not None and named != work.viewer.app_id:
            return _only_callers(work) or Refusal(Reason.APP_NOT_CALLERS, fact="partner_app_id is another app")
        node = await self._move(work, Move.ACCEPT)
        return node if isinstance(node, Refusal) else wire.accepted(node, work.presented.now.wall_s)

    async def reject(self, work: Work) -> bytes | Refusal:
        """`POST /{Solution-ID}/reject`; without a body it means the invitation, as in the guides."""
        given = work.parameters
        asked = given.choice("request_type", (_PARTNERSHIP, _DEACTIVATION))
        reason = given.text("rejection_reason", _TEXT) or ""
        named = given.id("partner_app_id") if asked != _DEACTIVATION else None
        if asked == _PARTNERSHIP and named is None:
            return Refusal(Reason.MISSING_PARAMETER, parameter="partner_app_id")
        refusal = _only_callers(work)
        if refusal is not None:
            return refusal
        if named is not None:
            before = await solutions.solution(self._store, work.viewer.app_id, _solution(work))
            if named != before.partner_app.id:
                return Refusal(Reason.NO_SUCH_REQUEST, fact="partner_app_id is not the invited app")
        node = await self._move(work, Move.REJECT_DEACTIVATION if asked == _DEACTIVATION else Move.REJECT, reason)
        if isinstance(node, Refusal):
            return node
        return wire.rejected(node, asked or _PARTNERSHIP, named, work.presented.now.wall_s)

    async def request_deactivation(self, work: Work) -> bytes | Refusal:
        """`POST /{Solution-ID}/send_deactivation_request`."""
        node = await self._move(work, Move.REQUEST_DEACTIVATION, work.parameters.text("reason", _TEXT) or "")
        return node if isinstance(node, Refusal) else wire.deactivation_sent(node, work.presented.trace_id)

    async def accept_deactivation(self, work: Work) -> bytes | Refusal:
        """`POST /{Solution-ID}/accept_deactivation_request`."""
        return await self._decide(work, Move.ACCEPT_DEACTIVATION)

    async def reject_deactivation(self, work: Work) -> bytes | Refusal:
        """`POST /{Solution-ID}/reject_deactivation_request`."""
        if work.parameters.flag("reject_deactivation_request") is False:
            return Refusal(Reason.INVALID_PARAMETER, parameter="reject_deactivation_request")
        return await self._decide(work, Move.REJECT_DEACTIVATION)

    async def _decide(self, work: Work, move: Move) -> bytes | Refusal:
        names = wire.solution_fields(work.parameters.text("fields"))
        if isinstance(names, Refusal):
            return names
        node = await self._move(work, move)
        return node if isinstance(node, Refusal) else wire.solution(node, names)

    async def _move(self, work: Work, move: Move, reason: str = "") -> SolutionNode | Refusal:
        refusal = _only_callers(work)
        if refusal is not None:
            return refusal
        return await solutions.move_solution(self._store, work.act, work.viewer.app_id, _solution(work), move, reason=reason)


_CREATE: Final = frozenset({"owner_permissions", "partner_app_id", "partner_permissions", "solution_name"})
_ACCEPT: Final = frozenset({"partner_app_id", "log_session_id"})
_REJECT: Final = frozenset({"request_type", "rejection_reason", "partner_app_id"})
_REJECT_DEACTIVATION: Final = frozenset({"fields", "reject_deactivation_request"})


def _only_callers(work: Work) -> Refusal | None:
    """Changes need a person's or a system's own credential: neither a granular token nor an app's secret makes them."""
    return None if work.viewer.kind is ViewerKind.CALLER else Refusal(Reason.CREDENTIAL_NOT_ENOUGH, work.viewer.kind.value)


def _solution(work: Work) -> SolutionId:
    return SolutionId(work.presented.node_id)
