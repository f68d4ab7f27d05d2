"""The operations of a solution's life in the OpenAPI document: one table, from which the page at `/docs` is made as well."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import msgspec

from multipartner.domain.lifecycle import TOLD, tasks_of
from multipartner.domain.reasons import RULES, Reason, Station
from multipartner.web.openapi_schemas import TEXT, Json, object_of
from multipartner.wire.ask import ID_PATTERN, VERSION_PATTERN
from multipartner.wire.refusals import ROWS

_ID: Final = {**TEXT, "pattern": f"^{ID_PATTERN}$"}
_WHEN: Final = {**TEXT, "format": "date-time"}
_TRUE: Final = {"type": "boolean"}
_LONG: Final = {**TEXT, "maxLength": 500}
_BODIES: Final = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")

_NODES: Final = {
    "Solution-ID": "The solution.",
    "Application-ID": "The caller's own app.",
    "Business-ID": "The business.",
    "WABA-ID": "The WhatsApp Business Account.",
    "Phone-Number-ID": "The phone number.",
    "System-User-ID": "The caller's own system user.",
}

_ALWAYS: Final = tuple(
    reason
    for reason in Reason
    if RULES[reason].station in {Station.AUTHENTICATE, Station.LIMIT}
    or reason
    in {
        Reason.UNKNOWN_PATH,
        Reason.UNKNOWN_VERSION,
        Reason.MALFORMED_FRAMING,
        Reason.URL_TOO_LONG,
        Reason.METHOD_NOT_ALLOWED,
        Reason.MALFORMED_QUERY,
        Reason.REPEATED_PARAMETER,
        Reason.TWO_CREDENTIALS,
        Reason.MALFORMED_NODE_ID,
        Reason.APP_SUSPENDED,
        Reason.PERMISSION_MISSING,
        Reason.FACTS_UNAVAILABLE,
        Reason.UNEXPECTED,
    }
)
_SOLUTION: Final = (Reason.SOLUTION_UNKNOWN, Reason.APP_NOT_PARTY)
_EDGE: Final = (Reason.MALFORMED_VERSION,)
_CHANGE: Final = (*_EDGE, Reason.MALFORMED_BODY, Reason.CREDENTIAL_NOT_ENOUGH)
_MOVE: Final = (*_CHANGE, *_SOLUTION, Reason.INVALID_PARAMETER, Reason.NOT_THIS_SIDES, Reason.STATUS_FORBIDS)


class Query(msgspec.Struct, frozen=True):
    """A parameter of the query, and what it does; a text unless its schema says another thing."""

    name: str
    told: str
    schema: Json | None = None


class Described(msgspec.Struct, frozen=True):
    """An operation for people: `whose` says who may, `body` is None where there is none. `answer` names a schema.

    With an empty `node` the edge is a word in an id's place.
    """

    id: str
    method: str
    edge: str
    summary: str
    whose: str
    answer: str
    reasons: tuple[Reason, ...]
    node: str = "Solution-ID"
    body: Json | None = None
    takes_fields: bool = False
    query: tuple[Query, ...] = ()

    @property
    def path(self) -> str:
        """The path's template."""
        node = f"/{{{self.node}}}" if self.node else ""
        return f"/{{Version}}{node}" + (f"/{self.edge}" if self.edge else "")


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
                "owner_permissions": {"type": "array", "items": {**TEXT, "enum": ["MESSAGING"]}, "maxItems": 1},
                "partner_app_id": _ID,
                "partner_permissions": {"type": "array", "items": {**TEXT, "enum": ["MESSAGING"]}, "maxItems": 1},
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
        body=object_of({"partner_app_id": _ID, "log_session_id": _LONG}, []),
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
                "partner_app_id": _ID,
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


def described_paths(
    operations: Iterable[Described], refusal_answer: Callable[[int, Collection[Reason]], Json]
) -> dict[str, dict[str, Json]]:
    """Describe operations by path and method; `refusal_answer` describes a status by the reasons that lead to it."""
    paths: dict[str, dict[str, Json]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, refusal_answer)
    return paths


def reasons_of(operation: Described) -> tuple[Reason, ...]:
    """Everything that the operation can be refused for, in order of precedence."""
    among = {*_ALWAYS, *operation.reasons}
    return tuple(reason for reason in Reason if reason in among)


def names_in(operation: Described) -> tuple[str, ...]:
    """The parameters of query and body."""
    properties = operation.body["properties"] if operation.body is not None else {}
    names = tuple(properties) if isinstance(properties, Mapping) else ()
    return (("fields",) if operation.takes_fields else ()) + tuple(each.name for each in operation.query) + names


def _operation(operation: Described, refusal_answer: Callable[[int, Collection[Reason]], Json]) -> Json:
    reasons = reasons_of(operation)
    statuses = sorted({ROWS[reason].status for reason in reasons})
    parameters = [_path_parameter("Version", VERSION_PATTERN, "The Graph API version to answer as.")]
    if operation.node:
        parameters.append(_path_parameter(operation.node, ID_PATTERN, _NODES[operation.node]))
    parameters += [
        {"name": each.name, "in": "query", "required": False, "description": each.told, "schema": each.schema or TEXT}
        for each in operation.query
    ]
    if operation.takes_fields:
        told = "Names with commas between; absent: id, name, status, status_for_pending_request."
        parameters.append({"name": "fields", "in": "query", "required": False, "description": told, "schema": TEXT})
    described: dict[str, object] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.whose,
        "tags": ["Multi-Partner Solutions"],
        "security": [{"bearerAuth": []}],
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "Done, or read.",
                "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{operation.answer}"}}},
            },
            **{str(status): refusal_answer(status, reasons) for status in statuses},
        },
    }
    if operation.body is not None:
        needed = bool(operation.body["required"])
        described["requestBody"] = {"required": needed, "content": {kind: {"schema": operation.body} for kind in _BODIES}}
    return described


def _path_parameter(name: str, pattern: str, description: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "pattern": f"^{pattern}$"},
    }


def solution_schemas() -> Mapping[str, Json]:
    """The answers' schemas."""
    app = object_of({"id": _ID, "name": TEXT}, ["id", "name"])
    status = {**TEXT, "enum": sorted({told.status for told in TOLD.values()})}
    pending = {**TEXT, "enum": sorted({told.pending for told in TOLD.values()})}
    partner = {**TEXT, "enum": sorted({told.partner for told in TOLD.values()})}
    entry = object_of({"id": _ID, "partner_app": app, "status": partner}, ["id", "partner_app", "status"])
    partners = object_of({"data": {"type": "array", "items": entry}}, ["data"])
    tasks = {"type": "array", "items": {**TEXT, "enum": list(tasks_of(messaging=True))}}
    return {
        "Solution": object_of(
            {
                "id": _ID,
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
        "SolutionCreated": object_of({"solution_id": _ID}, ["solution_id"]),
        "SolutionAccepted": object_of(
            {"solution_id": _ID, "partner_status": partner, "success": _TRUE, "message": TEXT, "update_time": _WHEN},
            ["solution_id", "partner_status", "success"],
        ),
        "SolutionRejected": object_of(
            {
                "success": _TRUE,
                "solution_id": _ID,
                "rejected_request_type": TEXT,
                "rejection_timestamp": _WHEN,
                "partner_app_id": _ID,
            },
            ["success", "solution_id", "rejected_request_type"],
        ),
        "SolutionDeactivationSent": object_of(
            {"success": _TRUE, "message": TEXT, "request_id": TEXT}, ["success", "message", "request_id"]
        ),
    }
