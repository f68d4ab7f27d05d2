"""The one table from reason to what the caller reads (contract: GraphAPIError), and the one place that prints it.

The texts are for callers: they tell nothing that the precedence hides. A business that does not exist and one that never
dealt with the caller's app share a row, as do all ways in which a caller token can be wrong.
"""

from types import MappingProxyType

import msgspec

from multipartner.domain.reasons import Reason
from multipartner.wire.parameters import described


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """HTTP status, and the members of `error`; empty ones are not printed. Order of members: facts, graph-wire 1.1."""

    status: int
    type: str
    code: int
    message: str
    error_subcode: int = 0
    is_transient: bool = False
    error_user_title: str = ""
    error_user_msg: str = ""


class _Error(msgspec.Struct, omit_defaults=True):
    message: str
    type: str
    code: int
    error_subcode: int = 0
    is_transient: bool = False
    error_user_title: str = ""
    error_user_msg: str = ""


_OAUTH, _METHOD = "OAuthException", "GraphMethodException"

_UNKNOWN_PATH = Row(404, _OAUTH, 2500, "Unknown path components")
_NOT_FOUND = Row(404, _METHOD, 803, "No such Multi-Partner Solution or business, or it is not visible to this app")
_INVALID_TOKEN = Row(401, _OAUTH, 190, "Invalid OAuth access token")
_FORBIDDEN_MESSAGE = "The app may not use this Multi-Partner Solution for this business"
_DENIED = Row(
    403,
    _OAUTH,
    200,
    _FORBIDDEN_MESSAGE,
    error_subcode=1349174,
    error_user_title="Permission denied",
    error_user_msg="This app is not allowed to act for the business. Ask the solution's partners or the business's admin.",
)
_LIMITED = Row(429, _OAUTH, 4, "Application request limit reached", error_subcode=2446079, is_transient=True)
_FAULT = Row(500, _METHOD, 2, "The service cannot answer right now; retry the request", is_transient=True)


def _bad(message: str, kind: str = _OAUTH) -> Row:
    return Row(400, kind, 100, message)


def _unshared(message: str, user_msg: str) -> Row:
    return Row(422, _METHOD, 100, message, error_user_title="Nothing is shared", error_user_msg=user_msg)


def _denied(message: str, code: int = 200) -> Row:
    told = "This app is not allowed to do this. Ask the solution's partners or the business's admin."
    return Row(403, _OAUTH, code, message, 1349174, error_user_title="Permission denied", error_user_msg=told)


ROWS = MappingProxyType(
    {
        Reason.UNKNOWN_PATH: _UNKNOWN_PATH,
        Reason.URL_TOO_LONG: _NOT_FOUND,
        Reason.METHOD_NOT_ALLOWED: Row(405, _METHOD, 100, "Unsupported method for this path", error_subcode=33),
        Reason.UNKNOWN_VERSION: _UNKNOWN_PATH,
        Reason.MALFORMED_FRAMING: _bad("Malformed request"),
        Reason.MALFORMED_VERSION: _bad("Invalid parameter: Version must look like v23.0"),
        Reason.MALFORMED_SOLUTION_ID: _bad("Invalid parameter: Solution-ID must be a numeric string"),
        Reason.MALFORMED_QUERY: _bad("Invalid parameter: the query is not percent-encoded UTF-8"),
        Reason.REPEATED_PARAMETER: _bad("Invalid parameter: given more than once or as a list"),
        Reason.MISSING_BUSINESS_ID: _bad("(#100) The parameter business_id is required"),
        Reason.MALFORMED_BUSINESS_ID: _bad("Invalid parameter: business_id must be a numeric string"),
        Reason.TWO_CREDENTIALS: _bad("Invalid request: access token given in more than one place"),
        Reason.BODY_ON_GET: _bad("Invalid request: parameters belong in the query, not in a body"),
        Reason.MALFORMED_NODE_ID: _bad("Invalid parameter: an id in the path must be a numeric string"),
        Reason.MALFORMED_BODY: _bad("Invalid request: the body cannot be read as JSON, form or multipart"),
        Reason.MISSING_PARAMETER: _bad("(#100) A required parameter is missing"),
        Reason.INVALID_PARAMETER: _bad("Invalid parameter"),
        Reason.ADDRESS_LIMITED: _LIMITED,
        Reason.CALLER_MISSING: _INVALID_TOKEN,
        Reason.CALLER_IN_QUERY: _INVALID_TOKEN,
        Reason.CALLER_MALFORMED: _INVALID_TOKEN,
        Reason.CALLER_UNKNOWN: _INVALID_TOKEN,
        Reason.CALLER_REVOKED: Row(401, _OAUTH, 190, "The access token was revoked", error_subcode=466),
        Reason.CALLER_EXPIRED: Row(401, _OAUTH, 190, "The access token has expired", error_subcode=463),
        Reason.TOKEN_DEAD: _INVALID_TOKEN,
        Reason.APP_TOKEN_INVALID: _INVALID_TOKEN,
        Reason.PROOF_MISSING: _bad("This app's calls require an appsecret_proof argument", _METHOD),
        Reason.PROOF_INVALID: _bad("Invalid appsecret_proof", _METHOD),
        Reason.APP_LIMITED: _LIMITED,
        Reason.APP_BUSINESS_LIMITED: _LIMITED,
        Reason.LIMITS_UNAVAILABLE: _FAULT,
        Reason.CREDENTIAL_NOT_ENOUGH: _denied("This kind of access token may not do this", code=10),
        Reason.APP_NOT_CALLERS: _denied("The access token is for another application"),
        Reason.NODE_UNKNOWN: Row(404, _METHOD, 803, "No such object, or it is not visible to this access token"),
        Reason.SOLUTION_UNKNOWN: _NOT_FOUND,
        Reason.APP_NOT_PARTY: _DENIED,
        Reason.APP_SUSPENDED: _DENIED,
        Reason.PERMISSION_MISSING: _DENIED,
        Reason.BUSINESS_NOT_CONNECTED: _NOT_FOUND,
        Reason.SOLUTION_INACTIVE: _unshared(
            "The Multi-Partner Solution is not active", "The solution is not in use at the moment. Ask its owner."
        ),
        Reason.NOTHING_SHARED: _unshared(
            "The business shares no WABA with this Multi-Partner Solution",
            "The business has not shared a WhatsApp Business Account with this solution, or has withdrawn it.",
        ),
        Reason.GRANT_REVOKED: _DENIED,
        Reason.GRANT_INDIVISIBLE: Row(422, _METHOD, 100, "A granular token's permissions are revoked together, not one by one"),
        Reason.NOTHING_PERMITTED: _DENIED,
        Reason.PARTNER_APP_INVALID: _bad("Invalid parameter: partner_app_id names no app that can be invited"),
        Reason.MESSAGING_INVALID: _bad("Invalid permissions: exactly one partner must have MESSAGING"),
        Reason.TOO_MANY_INVITATIONS: Row(422, _METHOD, 100, "Too many solutions of this application wait for an answer"),
        Reason.NOT_THIS_SIDES: _denied("This belongs to the other partner of the Multi-Partner Solution"),
        Reason.NO_SUCH_REQUEST: Row(404, _METHOD, 100, "The solution has no such pending request"),
        Reason.STATUS_FORBIDS: Row(422, _METHOD, 100, "The Multi-Partner Solution is not in a status that allows this"),
        Reason.MIGRATION_UNDER_WAY: Row(
            422, _METHOD, 100, "Another migration intent of this application for the WhatsApp Business Account is open"
        ),
        Reason.MIGRATION_FORBIDS: Row(422, _METHOD, 100, "The migration intent cannot be set or moved in the current state"),
        Reason.FIELDS_UNAVAILABLE: Row(422, _METHOD, 100, "The requested fields are not available on this object"),
        Reason.FILTER_UNAVAILABLE: Row(422, _METHOD, 100, "The list cannot be filtered or sorted by this"),
        Reason.FACTS_UNAVAILABLE: _FAULT,
        Reason.TRAIL_UNAVAILABLE: _FAULT,
        Reason.NO_SIGNING_KEY: _FAULT,
        Reason.UNEXPECTED: _FAULT,
    }
)


def _prefix(row: Row) -> bytes:
    error = _Error(row.message, row.type, row.code, row.error_subcode, row.is_transient, row.error_user_title, row.error_user_msg)
    return b'{"error":' + msgspec.json.encode(error)[:-1] + b',"fbtrace_id":"'


_PREFIXES = {reason: _prefix(row) for reason, row in ROWS.items()}


_NAMED = {Reason.MISSING_PARAMETER: "(#100) The parameter {} is required", Reason.INVALID_PARAMETER: "Invalid parameter: {}"}
"""Where a parameter is meant, its name stands in the message, with its shape."""


def render(reason: Reason, trace_id: str, parameter: str = "") -> bytes:
    """Print the error envelope. `trace_id` is our own (base64url) and needs no escapes.

    `parameter` is a name of ours; of an invalid one the message tells the shape (`parameters.SHAPES`).
    """
    prefix = _PREFIXES[reason]
    if parameter and reason in _NAMED:
        told = described(parameter) if reason is Reason.INVALID_PARAMETER else parameter
        prefix = _prefix(msgspec.structs.replace(ROWS[reason], message=_NAMED[reason].format(told)))
    return prefix + trace_id.encode() + b'"}}'


class GraphError(msgspec.Struct, frozen=True):
    """An error envelope as read from the wire; absent members are None."""

    message: str
    type: str
    code: int
    error_subcode: int | None = None
    is_transient: bool | None = None
    error_user_title: str | None = None
    error_user_msg: str | None = None
    fbtrace_id: str | None = None


class _Envelope(msgspec.Struct):
    error: GraphError


def parse(body: bytes) -> GraphError | None:
    """Read an error envelope; None when the body is none."""
    try:
        return msgspec.json.decode(body, type=_Envelope).error
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
