"""What an operation is in the OpenAPI document, and how it is written there; the tables of operations are its neighbours'."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import msgspec

from multipartner.domain.reasons import RULES, Reason, Station
from multipartner.web.openapi_schemas import TEXT, Json
from multipartner.wire.ask import ID_PATTERN, VERSION_PATTERN
from multipartner.wire.graph_ask import USER_PATTERN
from multipartner.wire.refusals import ROWS

_BODIES: Final = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")

_NODES: Final = {
    "Solution-ID": (ID_PATTERN, "The solution."),
    "Application-ID": (ID_PATTERN, "The caller's own app."),
    "Business-ID": (ID_PATTERN, "The business."),
    "Phone-Number-ID": (ID_PATTERN, "The phone number."),
    "WABA-ID": (ID_PATTERN, "The WhatsApp Business Account."),
    "Migration-Intent-ID": (ID_PATTERN, "The migration intent."),
    "User-ID": (USER_PATTERN, "`me`, or the `user_id` that `debug_token` tells of the credential that asks."),
}
"""What may stand in a path before an edge."""

TAG: Final = "Multi-Partner Solutions"

ALWAYS: Final = tuple(
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


class Described(msgspec.Struct, frozen=True):
    """An operation for people: `whose` says who may, `body` is None where there is none. `answer` names a schema.

    `node` is empty for an edge of no node, whose `edge` begins with a slash; `query` has the parameters of its query besides
    `fields`, and `items` those of its path behind the edge.
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
    default_fields: str = "id, name, status, status_for_pending_request"
    query: tuple[Json, ...] = ()
    items: tuple[Json, ...] = ()
    tag: str = TAG
    open: bool = False
    """Whether the parameters alone say who asks."""

    @property
    def path(self) -> str:
        """The path's template."""
        if not self.node:
            return "/{Version}" + self.edge
        return f"/{{Version}}/{{{self.node}}}" + (f"/{self.edge}" if self.edge else "")


def paths_of(
    operations: Iterable[Described], refusal_answer: Callable[[int, Collection[Reason]], Json]
) -> dict[str, dict[str, Json]]:
    """Describe operations by path and method; `refusal_answer` describes a status by the reasons that lead to it."""
    paths: dict[str, dict[str, Json]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, refusal_answer)
    return paths


def reasons_of(operation: Described) -> tuple[Reason, ...]:
    """Everything that the operation can be refused for, in order of precedence."""
    among = {*ALWAYS, *operation.reasons}
    return tuple(reason for reason in Reason if reason in among)


def names_in(operation: Described) -> tuple[str, ...]:
    """The parameters of query and body."""
    asked = tuple(str(parameter["name"]) for parameter in (*operation.items, *operation.query))
    return asked + (("fields",) if operation.takes_fields else ()) + tuple(_members(operation))


def needed_in(operation: Described) -> Mapping[str, object]:
    """The schemas of the parameters of query and body without which the operation is refused, by name."""
    query = {str(parameter["name"]): parameter["schema"] for parameter in operation.query if parameter["required"]}
    required = operation.body["required"] if operation.body is not None else ()
    needed = required if isinstance(required, Collection) else ()
    return query | {name: schema for name, schema in _members(operation).items() if name in needed}


def _members(operation: Described) -> Mapping[str, object]:
    properties = operation.body["properties"] if operation.body is not None else {}
    return properties if isinstance(properties, Mapping) else {}


def _operation(operation: Described, refusal_answer: Callable[[int, Collection[Reason]], Json]) -> Json:
    reasons = reasons_of(operation)
    statuses = sorted({ROWS[reason].status for reason in reasons})
    parameters = [_path_parameter("Version", VERSION_PATTERN, "The Graph API version to answer as.")]
    if operation.node:
        parameters.append(_path_parameter(operation.node, *_NODES[operation.node]))
    parameters += [*operation.items, *operation.query]
    if operation.takes_fields:
        told = f"Names with commas between; absent: {operation.default_fields}."
        parameters.append({"name": "fields", "in": "query", "required": False, "description": told, "schema": TEXT})
    described: dict[str, object] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.whose,
        "tags": [operation.tag],
        "security": [] if operation.open else [{"bearerAuth": []}],
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
