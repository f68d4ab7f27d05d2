"""The closed list of reasons for which a request is refused, and the rule behind each in the operator's words.

What an answer says is `wire.refusals`. The rules are for `explain` and for the documentation page: they tell how it is
decided, and nothing of any one request.
"""

import enum

import msgspec


class Station(enum.Enum):
    """Where in the corridor a request was refused."""

    PARSE = "parse"
    AUTHENTICATE = "authenticate"
    LIMIT = "limit"
    AUTHORIZE = "authorize"
    ISSUE = "issue"


class Reason(enum.Enum):
    """Why. The order is the precedence: of two reasons that hold, the earlier one is told."""

    UNKNOWN_PATH = "unknown_path"
    UNKNOWN_VERSION = "unknown_version"
    MALFORMED_FRAMING = "malformed_framing"
    URL_TOO_LONG = "url_too_long"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    MALFORMED_VERSION = "malformed_version"
    MALFORMED_SOLUTION_ID = "malformed_solution_id"
    MALFORMED_QUERY = "malformed_query"
    REPEATED_PARAMETER = "repeated_parameter"
    MISSING_BUSINESS_ID = "missing_business_id"
    MALFORMED_BUSINESS_ID = "malformed_business_id"
    TWO_CREDENTIALS = "two_credentials"
    BODY_ON_GET = "body_on_get"
    MALFORMED_NODE_ID = "malformed_node_id"
    MALFORMED_BODY = "malformed_body"
    MISSING_PARAMETER = "missing_parameter"
    INVALID_PARAMETER = "invalid_parameter"
    ADDRESS_LIMITED = "address_limited"
    CALLER_MISSING = "caller_missing"
    CALLER_IN_QUERY = "caller_in_query"
    CALLER_MALFORMED = "caller_malformed"
    CALLER_UNKNOWN = "caller_unknown"
    CALLER_REVOKED = "caller_revoked"
    CALLER_EXPIRED = "caller_expired"
    TOKEN_DEAD = "token_dead"  # noqa: S105 - a name, not a secret
    APP_TOKEN_INVALID = "app_token_invalid"  # noqa: S105 - as above
    PROOF_MISSING = "proof_missing"
    PROOF_INVALID = "proof_invalid"
    APP_LIMITED = "app_limited"
    APP_BUSINESS_LIMITED = "app_business_limited"
    LIMITS_UNAVAILABLE = "limits_unavailable"
    CREDENTIAL_NOT_ENOUGH = "credential_not_enough"
    APP_NOT_CALLERS = "app_not_callers"
    NODE_UNKNOWN = "node_unknown"
    SOLUTION_UNKNOWN = "solution_unknown"
    APP_NOT_PARTY = "app_not_party"
    APP_SUSPENDED = "app_suspended"
    PERMISSION_MISSING = "permission_missing"
    BUSINESS_NOT_CONNECTED = "business_not_connected"
    SOLUTION_INACTIVE = "solution_inactive"
    NOTHING_SHARED = "nothing_shared"
    GRANT_REVOKED = "grant_revoked"
    GRANT_INDIVISIBLE = "grant_indivisible"
    NOTHING_PERMITTED = "nothing_permitted"
    PARTNER_APP_INVALID = "partner_app_invalid"
    MESSAGING_INVALID = "messaging_invalid"
    TOO_MANY_INVITATIONS = "too_many_invitations"
    NOT_THIS_SIDES = "not_this_sides"
    NO_SUCH_REQUEST = "no_such_request"
    STATUS_FORBIDS = "status_forbids"
    MIGRATION_UNDER_WAY = "migration_under_way"
    MIGRATION_FORBIDS = "migration_forbids"
    FIELDS_UNAVAILABLE = "fields_unavailable"
    FILTER_UNAVAILABLE = "filter_unavailable"
    FACTS_UNAVAILABLE = "facts_unavailable"
    TRAIL_UNAVAILABLE = "trail_unavailable"
    NO_SIGNING_KEY = "no_signing_key"
    UNEXPECTED = "unexpected"


class Rule(msgspec.Struct, frozen=True):
    """Which station applies a reason, and the rule in one sentence for `explain`."""

    station: Station
    text: str


RULES: dict[Reason, Rule] = {
    Reason.UNKNOWN_PATH: Rule(Station.PARSE, "The path is none of the served ones."),
    Reason.URL_TOO_LONG: Rule(
        Station.PARSE, "Path and query together may have 4,096 bytes; nothing is served under a longer address."
    ),
    Reason.METHOD_NOT_ALLOWED: Rule(
        Station.PARSE, "The path is served for the methods named in Allow only; overrides are ignored."
    ),
    Reason.UNKNOWN_VERSION: Rule(Station.PARSE, "The version is neither in the configured list nor older than it."),
    Reason.MALFORMED_FRAMING: Rule(Station.PARSE, "One Host, at most one Authorization, no Transfer-Encoding, bounded headers."),
    Reason.MALFORMED_VERSION: Rule(Station.PARSE, "Version must match ^v[0-9]+\\.[0-9]+$ in ASCII."),
    Reason.MALFORMED_SOLUTION_ID: Rule(Station.PARSE, "Solution-ID must match ^[0-9]+$ in ASCII."),
    Reason.MALFORMED_QUERY: Rule(Station.PARSE, "The query must be percent-encoded UTF-8."),
    Reason.REPEATED_PARAMETER: Rule(Station.PARSE, "A parameter that decides something may be given once, without brackets."),
    Reason.MISSING_BUSINESS_ID: Rule(Station.PARSE, "business_id is required."),
    Reason.MALFORMED_BUSINESS_ID: Rule(Station.PARSE, "business_id must match ^[0-9]+$ in ASCII."),
    Reason.TWO_CREDENTIALS: Rule(Station.PARSE, "A caller token comes in one place: the header, the query or the body."),
    Reason.BODY_ON_GET: Rule(Station.PARSE, "A GET has no body; {} alone is ignored because an SDK sends it."),
    Reason.MALFORMED_NODE_ID: Rule(Station.PARSE, "An id in the path must match ^[0-9]+$ in ASCII."),
    Reason.MALFORMED_BODY: Rule(
        Station.PARSE, "A body is one JSON object, a form or multipart/form-data of named texts, in UTF-8, of at most 64 KiB."
    ),
    Reason.MISSING_PARAMETER: Rule(Station.PARSE, "The operation needs this parameter."),
    Reason.INVALID_PARAMETER: Rule(Station.PARSE, "The parameter must have the documented shape."),
    Reason.ADDRESS_LIMITED: Rule(Station.LIMIT, "Too many failed authentications from this address within the hour."),
    Reason.CALLER_MISSING: Rule(Station.AUTHENTICATE, "A caller token is required: Authorization: Bearer <token>."),
    Reason.CALLER_IN_QUERY: Rule(Station.AUTHENTICATE, "The token came in the query, and `accept_query_token` is off."),
    Reason.CALLER_MALFORMED: Rule(
        Station.AUTHENTICATE, "The credential is not of a caller token's form (prefix, lengths, checksum)."
    ),
    Reason.CALLER_UNKNOWN: Rule(Station.AUTHENTICATE, "No credential has this identifier, or its secret is another."),
    Reason.CALLER_REVOKED: Rule(Station.AUTHENTICATE, "The credential was revoked."),
    Reason.CALLER_EXPIRED: Rule(Station.AUTHENTICATE, "The credential expired."),
    Reason.TOKEN_DEAD: Rule(
        Station.AUTHENTICATE, "The granular token is not one of ours, has expired, or what it stands for has changed."
    ),
    Reason.APP_TOKEN_INVALID: Rule(
        Station.AUTHENTICATE, "An app token is {app-id}|{app-secret}, with the app's secret of today."
    ),
    Reason.PROOF_MISSING: Rule(Station.AUTHENTICATE, "The app requires appsecret_proof, and none was sent."),
    Reason.PROOF_INVALID: Rule(
        Station.AUTHENTICATE, "appsecret_proof must be the hex HMAC-SHA-256 of the token under this app's secret."
    ),
    Reason.APP_LIMITED: Rule(
        Station.LIMIT, "The app used up its calls of the hour (200 for each connected business unless set otherwise)."
    ),
    Reason.APP_BUSINESS_LIMITED: Rule(Station.LIMIT, "The app used up its calls of the hour for this one business."),
    Reason.LIMITS_UNAVAILABLE: Rule(
        Station.LIMIT, "The counts that all hosts share could not be reached, and `limits_when_away` is `refuse`."
    ),
    Reason.CREDENTIAL_NOT_ENOUGH: Rule(
        Station.AUTHORIZE, "The operation is not for this kind of credential; changes need a system user's caller token."
    ),
    Reason.APP_NOT_CALLERS: Rule(Station.AUTHORIZE, "The app in the path must be the one the credential is for."),
    Reason.NODE_UNKNOWN: Rule(
        Station.AUTHORIZE, "Nothing that this credential reaches has this id; told as if it did not exist."
    ),
    Reason.SOLUTION_UNKNOWN: Rule(Station.AUTHORIZE, "No solution has this id."),
    Reason.APP_NOT_PARTY: Rule(Station.AUTHORIZE, "The caller's app is neither owner nor partner of the solution."),
    Reason.APP_SUSPENDED: Rule(Station.AUTHORIZE, "The caller's app is suspended."),
    Reason.PERMISSION_MISSING: Rule(Station.AUTHORIZE, "The caller token must carry whatsapp_business_management."),
    Reason.BUSINESS_NOT_CONNECTED: Rule(
        Station.AUTHORIZE, "The business never dealt with the caller's app; told as if it did not exist."
    ),
    Reason.SOLUTION_INACTIVE: Rule(Station.AUTHORIZE, "The solution must be ACTIVE or pending deactivation."),
    Reason.NOTHING_SHARED: Rule(Station.AUTHORIZE, "The business shares no WABA with this solution (any more)."),
    Reason.GRANT_REVOKED: Rule(Station.AUTHORIZE, "This app's grant for this share was revoked."),
    Reason.GRANT_INDIVISIBLE: Rule(
        Station.AUTHORIZE, "A granular token stands for its whole grant: it is given up as a whole, not one permission of it."
    ),
    Reason.NOTHING_PERMITTED: Rule(
        Station.AUTHORIZE, "Nothing is left of: caller's permissions, the solution's for this side, the customer's consent."
    ),
    Reason.PARTNER_APP_INVALID: Rule(Station.AUTHORIZE, "The partner must be another app that exists and is not suspended."),
    Reason.MESSAGING_INVALID: Rule(Station.AUTHORIZE, "Exactly one side of a solution has MESSAGING."),
    Reason.TOO_MANY_INVITATIONS: Rule(Station.AUTHORIZE, "An app may have 100 solutions that wait for their partner's answer."),
    Reason.NOT_THIS_SIDES: Rule(Station.AUTHORIZE, "This move belongs to the other side of the solution."),
    Reason.NO_SUCH_REQUEST: Rule(Station.AUTHORIZE, "The solution has no such request by, or to, this app."),
    Reason.STATUS_FORBIDS: Rule(Station.AUTHORIZE, "The solution's status has no such move."),
    Reason.MIGRATION_UNDER_WAY: Rule(
        Station.AUTHORIZE, "An app has one migration intent for a WABA at a time: it waits for the customer, or is cancelled."
    ),
    Reason.MIGRATION_FORBIDS: Rule(
        Station.AUTHORIZE,
        "A WABA moves between two different solutions, out of one that it is shared with; an intent moves as its status lets it.",
    ),
    Reason.FIELDS_UNAVAILABLE: Rule(Station.AUTHORIZE, "`fields` names what this kind of node does not have."),
    Reason.FILTER_UNAVAILABLE: Rule(Station.AUTHORIZE, "A list cannot be narrowed or sorted by this: the facts do not have it."),
    Reason.FACTS_UNAVAILABLE: Rule(
        Station.AUTHORIZE, "The facts could not be read, or their feed was not confirmed within `stale_for_s`."
    ),
    Reason.TRAIL_UNAVAILABLE: Rule(Station.ISSUE, "The audit trail could not be written; nothing is issued without it."),
    Reason.NO_SIGNING_KEY: Rule(Station.ISSUE, "No key of the ring was due to sign at the start of this window."),
    Reason.UNEXPECTED: Rule(Station.ISSUE, "An unexpected error; the log has it under the same trace id."),
}


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """A reason, and for the operator alone the fact that met the rule (never secret, never for the caller).

    `parameter` is for the caller: which parameter is meant, by a name of ours and never by text that came with the request.
    """

    reason: Reason
    fact: str = ""
    parameter: str = ""
