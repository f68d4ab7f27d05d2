"""Answers about solutions (contract: WhatsAppBusinessSolution and the answers of its operations)."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from multipartner.domain.graph import SolutionNode
from multipartner.domain.lifecycle import TOLD, tasks_of
from multipartner.domain.reasons import Refusal
from multipartner.wire.fields import Chosen, Field, Kind, chosen, printed

encode: Final = msgspec.json.Encoder().encode

APP: Final = Kind({"id": Field(lambda node: node.id), "name": Field(lambda node: node.name)}, ("id", "name"))

PARTNER: Final = Kind(
    {
        "id": Field(lambda solution: f"{solution.id}{solution.partner_app.id}"),
        "partner_app": Field(lambda solution: solution.partner_app, APP),
        "status": Field(lambda solution: TOLD[solution.status].partner),
    },
    ("id", "partner_app", "status"),
)
"""The invited side, as guides list it (facts: graph-wire 5.4, B)."""

SOLUTION: Final = Kind(
    {
        "id": Field(lambda solution: solution.id),
        "name": Field(lambda solution: solution.name),
        "status": Field(lambda solution: TOLD[solution.status].status),
        "status_for_pending_request": Field(lambda solution: TOLD[solution.status].pending),
        "owner_app": Field(lambda solution: solution.owner_app, APP),
        "owner_permissions": Field(lambda solution: tasks_of(messaging=solution.owner_messaging)),
        "partners": Field(lambda solution: (solution,), PARTNER, many=True),
    },
    ("id", "name", "status", "status_for_pending_request"),
)


def solution_fields(fields: str | None) -> Chosen | Refusal:
    """Read a `fields` parameter. Raises ParameterRefused."""
    return chosen(SOLUTION, fields)


def solution(node: SolutionNode, asked: Chosen) -> bytes:
    """Print these fields of a solution."""
    return encode(printed(SOLUTION, node, asked))


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
