"""Answers about solutions (contract: WhatsAppBusinessSolution and the answers of its operations)."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from multipartner.domain.graph import AppNode, SolutionNode
from multipartner.domain.lifecycle import TOLD, tasks_of
from multipartner.domain.reasons import Reason, Refusal

_DEFAULT: Final = ("id", "name", "status", "status_for_pending_request")

encode: Final = msgspec.json.Encoder().encode


def _app(node: AppNode) -> dict[str, str]:
    return {"id": node.id, "name": node.name}


def partners(solution: SolutionNode) -> dict[str, Any]:
    """The invited side, as guides list it (facts: graph-wire 5.4, B)."""
    entry = {
        "id": f"{solution.id}{solution.partner_app.id}",
        "partner_app": _app(solution.partner_app),
        "status": TOLD[solution.status].partner,
    }
    return {"data": [entry]}


_FIELDS: Final = MappingProxyType[str, Callable[[SolutionNode], Any]](
    {
        "id": lambda solution: solution.id,
        "name": lambda solution: solution.name,
        "status": lambda solution: TOLD[solution.status].status,
        "status_for_pending_request": lambda solution: TOLD[solution.status].pending,
        "owner_app": lambda solution: _app(solution.owner_app),
        "owner_permissions": lambda solution: tasks_of(messaging=solution.owner_messaging),
        "partners": partners,
    }
)


def solution_fields(fields: str | None) -> tuple[str, ...] | Refusal:
    """Read a `fields` parameter: names with commas between. What is absent or empty means the contract's default."""
    if not fields:
        return _DEFAULT
    names = tuple(dict.fromkeys(fields.split(",")))
    if not set(names) <= _FIELDS.keys():
        return Refusal(Reason.FIELDS_UNAVAILABLE)
    return names if "id" in names else ("id", *names)


def solution(node: SolutionNode, names: tuple[str, ...]) -> bytes:
    """Print these fields of a solution."""
    return encode({name: _FIELDS[name](node) for name in names})


def instant(at_s: int) -> str:
    """Unix seconds as the contract writes an instant."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def accepted(node: SolutionNode, at_s: int) -> bytes:
    """Contract: WhatsAppBusinessSolutionAcceptResponse."""
    told = {
        "solution_id": node.id,
        "partner_status": TOLD[node.status].partner,
        "success": True,
        "message": "The solution is accepted",
        "update_time": instant(at_s),
    }
    return encode(told)


def rejected(node: SolutionNode, request_type: str, partner_app_id: str | None, at_s: int) -> bytes:
    """Contract: SolutionRejectResponse."""
    told = {
        "success": True,
        "solution_id": node.id,
        "rejected_request_type": request_type,
        "rejection_timestamp": instant(at_s),
    }
    return encode(told | ({"partner_app_id": partner_app_id} if partner_app_id else {}))


def deactivation_sent(node: SolutionNode, request_id: str) -> bytes:
    """Contract: WhatsAppBusinessSolutionDeactivationResponse. `request_id` is the request's trace id: the trail has it too."""
    pending = TOLD[node.status].pending == "PENDING_DEACTIVATION"
    message = "The partner is asked to agree" if pending else "Nobody had accepted: the solution is deactivated"
    return encode({"success": True, "message": message, "request_id": request_id})
