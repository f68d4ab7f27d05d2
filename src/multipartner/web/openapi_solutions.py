"""The operations of a solution's life in the OpenAPI document: one table, from which the page at `/docs` is made as well."""

from collections.abc import Mapping
from typing import Final

from multipartner.domain.lifecycle import TOLD, tasks_of
from multipartner.domain.reasons import Reason
from multipartner.web.openapi_described import Described
from multipartner.web.openapi_schemas import ID, TEXT, WHEN, Json, object_of

_TRUE: Final = {"type": "boolean"}
_LONG: Final = {**TEXT, "maxLength": 500}
_PERMISSIONS: Final = {"type": "array", "items": {**TEXT, "enum": ["MESSAGING"]}, "maxItems": 1}

_SOLUTION: Final = (Reason.SOLUTION_UNKNOWN, Reason.APP_NOT_PARTY)
_EDGE: Final = (Reason.MALFORMED_VERSION,)
_CHANGE: Final = (*_EDGE, Reason.MALFORMED_BODY, Reason.CREDENTIAL_NOT_ENOUGH)
_MOVE: Final = (*_CHANGE, *_SOLUTION, Reason.INVALID_PARAMETER, Reason.NOT_THIS_SIDES, Reason.STATUS_FORBIDS)


OPERATIONS: Final = (
    Described(
        "createWhatsAppBusinessSolution",
        "post",
        "whatsapp_business_solution",
        "Invite another app to a new solution",
        "The app's own callers. The solution waits for the partner; exactly one side gets MESSAGING.",
        "SolutionCreated",
        (
            *_CHANGE,
            Reason.MISSING_PARAMETER,
            Reason.INVALID_PARAMETER,
            Reason.APP_NOT_CALLERS,
            Reason.PARTNER_APP_INVALID,
            Reason.MESSAGING_INVALID,
            Reason.TOO_MANY_INVITATIONS,
        ),
        node="Application-ID",
        body=object_of(
            {
                "owner_permissions": {**_PERMISSIONS, "examples": [["MESSAGING"]]},
                "partner_app_id": ID,
                "partner_permissions": {**_PERMISSIONS, "examples": [[]]},
                "solution_name": {**TEXT, "minLength": 2, "maxLength": 75},
            },
            ["owner_permissions", "partner_app_id", "partner_permissions", "solution_name"],
        ),
    ),
    Described(
        "acceptWhatsAppBusinessSolution",
        "post",
        "accept",
        "Accept an invitation",
        "The invited app. The solution is active with the answer.",
        "SolutionAccepted",
        (*_MOVE, Reason.APP_NOT_CALLERS),
        body=object_of({"partner_app_id": ID, "log_session_id": _LONG}, []),
    ),
    Described(
        "rejectSolutionRequest",
        "post",
        "reject",
        "Decline an invitation, or take one back; decline an end",
        "Either side. Without a body it is about the invitation.",
        "SolutionRejected",
        (*_MOVE, Reason.MISSING_PARAMETER, Reason.NO_SUCH_REQUEST),
        body=object_of(
            {
                "request_type": {**TEXT, "enum": ["PARTNERSHIP_REQUEST", "DEACTIVATION_REQUEST"]},
                "rejection_reason": _LONG,
                "partner_app_id": ID,
            },
            [],
        ),
    ),
    Described(
        "sendSolutionDeactivationRequest",
        "post",
        "send_deactivation_request",
        "Ask the partner to agree to the end",
        "The owner. Tokens live on until the partner agrees; a solution that nobody accepted ends at once.",
        "SolutionDeactivationSent",
        _MOVE,
        body=object_of({"reason": _LONG}, []),
    ),
    Described(
        "acceptWhatsAppBusinessSolutionDeactivationRequest",
        "post",
        "accept_deactivation_request",
        "Agree to the end",
        "The partner. With the answer every token of the solution is dead.",
        "Solution",
        (*_MOVE, Reason.FIELDS_UNAVAILABLE),
        body=object_of({}, []),
        takes_fields=True,
    ),
    Described(
        "rejectSolutionDeactivationRequest",
        "post",
        "reject_deactivation_request",
        "Decline the end, or take one's own request back",
        "Either side. The solution stays active, and so do its tokens.",
        "Solution",
        (*_MOVE, Reason.FIELDS_UNAVAILABLE),
        body=object_of({"reject_deactivation_request": _TRUE}, []),
        takes_fields=True,
    ),
)
"""All of them, in the order of a solution's life."""


def solution_schemas() -> Mapping[str, Json]:
    """The answers' schemas."""
    app = object_of({"id": ID, "name": TEXT}, ["id", "name"])
    status = {**TEXT, "enum": sorted({told.status for told in TOLD.values()})}
    pending = {**TEXT, "enum": sorted({told.pending for told in TOLD.values()})}
    partner = {**TEXT, "enum": sorted({told.partner for told in TOLD.values()})}
    entry = object_of({"id": ID, "partner_app": app, "status": partner}, ["id", "partner_app", "status"])
    partners = object_of({"data": {"type": "array", "items": entry}}, ["data"])
    tasks = {"type": "array", "items": {**TEXT, "enum": list(tasks_of(messaging=True))}}
    return {
        "Solution": object_of(
            {
                "id": ID,
                "name": TEXT,
                "status": status,
                "status_for_pending_request": pending,
                "owner_app": app,
                "owner_permissions": tasks,
                "partners": partners,
            },
            ["id"],
        ),
        "SolutionPartners": partners,
        "SolutionCreated": object_of({"solution_id": ID}, ["solution_id"]),
        "SolutionAccepted": object_of(
            {"solution_id": ID, "partner_status": partner, "success": _TRUE, "message": TEXT, "update_time": WHEN},
            ["solution_id", "partner_status", "success"],
        ),
        "SolutionRejected": object_of(
            {
                "success": _TRUE,
                "solution_id": ID,
                "rejected_request_type": TEXT,
                "rejection_timestamp": WHEN,
                "partner_app_id": ID,
            },
            ["success", "solution_id", "rejected_request_type"],
        ),
        "SolutionDeactivationSent": object_of(
            {"success": _TRUE, "message": TEXT, "request_id": TEXT}, ["success", "message", "request_id"]
        ),
    }
