"""The service's own OpenAPI 3.1 document, built from the tables that the code answers from.

Every refusal of `wire.refusals.ROWS` stands in it under its status, printed by the same renderer as a real one; a test
compares the document with the published contract field by field, another with what the parser really accepts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

import multipartner
from multipartner.domain.reasons import RULES, Reason, Station
from multipartner.web import openapi_schemas as schemas
from multipartner.web.openapi_described import TAG
from multipartner.web.openapi_graph import graph_paths, graph_schemas
from multipartner.web.openapi_oauth import TAG as VERIFICATION
from multipartner.web.openapi_oauth import oauth_paths
from multipartner.web.openapi_schemas import TEXT, Json, object_of, refer
from multipartner.web.openapi_tokens import TAG as TOKENS
from multipartner.wire import refusals
from multipartner.wire.ask import ID_PATTERN, VERSION_PATTERN

OPENAPI_PATH = "/openapi.json"
OPERATION_PATH = "/{Version}/{Solution-ID}/access_token"

EXAMPLE_VERSION = "v23.0"
EXAMPLE_SOLUTION_ID = "583920174662301"
EXAMPLE_BUSINESS_ID = "209483756610284"
EXAMPLE_TRACE_ID = "A0aBcDeFgHiJkLmNoPqRsTu"
EXAMPLE_TOKEN = "GRANULAR_TOKEN"  # noqa: S105 - a placeholder, of no token's form (attack 57)

STATUSES: Mapping[int, str] = {
    400: "The request is malformed: nothing was looked up.",
    401: "No caller token, or one that does not authenticate.",
    403: "The caller is known, and may not do this.",
    404: "No such path, version, solution, or connected business; which one is not told where that would tell a secret.",
    405: "The path is served, not with this method; `Allow` names the ones it is served for.",
    422: "The request is good and the business known; there is nothing to issue a token for at the moment.",
    429: "A limit is used up; `Retry-After` says when to come back.",
    500: "The service cannot answer safely right now; the request may be retried.",
}
"""What each refusing status means, in our words."""

ELSEWHERE: Final = frozenset(
    {
        Reason.MALFORMED_NODE_ID,
        Reason.MALFORMED_BODY,
        Reason.MISSING_PARAMETER,
        Reason.INVALID_PARAMETER,
        Reason.TOKEN_DEAD,
        Reason.APP_TOKEN_INVALID,
        Reason.CREDENTIAL_NOT_ENOUGH,
        Reason.APP_NOT_CALLERS,
        Reason.NODE_UNKNOWN,
        Reason.PARTNER_APP_INVALID,
        Reason.MESSAGING_INVALID,
        Reason.TOO_MANY_INVITATIONS,
        Reason.NOT_THIS_SIDES,
        Reason.NO_SUCH_REQUEST,
        Reason.STATUS_FORBIDS,
        Reason.MIGRATION_UNDER_WAY,
        Reason.MIGRATION_FORBIDS,
        Reason.FIELDS_UNAVAILABLE,
        Reason.FILTER_UNAVAILABLE,
        Reason.GRANT_INDIVISIBLE,
    }
)
"""What the token operation is never refused for."""

TOKEN_REASONS: Final = tuple(reason for reason in Reason if reason not in ELSEWHERE)


def answers_of(status: int, among: Iterable[Reason] = Reason) -> dict[refusals.Row, list[Reason]]:
    """The different answers with this status and the reasons that each stands for, both in order of precedence."""
    found: dict[refusals.Row, list[Reason]] = {}
    for reason in among:
        row = refusals.ROWS[reason]
        if row.status == status:
            found.setdefault(row, []).append(reason)
    return found


def _example_name(reasons: Sequence[Reason]) -> str:
    """What an answer is best known for: the first reason past the reading of the request, if it has one."""
    return next((r for r in reasons if RULES[r].station is not Station.PARSE), reasons[0]).value


def document(issuer: str, versions: Sequence[str]) -> Json:
    """Build the document for one deployment: `issuer` is its address, `versions` the ones it serves, oldest first."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "multipartner",
            "version": multipartner.__version__,
            "summary": "Granular access tokens for multi-partner solutions.",
            "description": (
                "A partner of a multi-partner solution asks for one customer's token and gets one that is narrow, short-lived "
                f"and the same for everybody who asks within its window. Served Graph API versions: {', '.join(versions)}; older "
                f"released ones answer as {versions[0]} and say so in `facebook-api-version`."
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": issuer}],
        "tags": [
            {"name": TAG, "description": "What partners call: the token, the solution's life, and what they reach."},
            {"name": TOKENS, "description": "How apps inspect and revoke what they hold."},
            {"name": VERIFICATION, "description": "What resource servers use to check a granular token."},
        ],
        "paths": {
            OPERATION_PATH: {"get": _operation()},
            **graph_paths(refusal_answer),
            **oauth_paths(),
        },
        "components": {
            "securitySchemes": {
                "bearerAuth": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A system user's caller token; it must carry `whatsapp_business_management`.",
                },
                "appSecret": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "An app's id and secret.",
                },
                "resourceServer": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The id and secret of a registered resource server.",
                },
            },
            "headers": schemas.headers(),
            "schemas": {
                "WhatsAppBusinessSolutionAccessToken": schemas.access_token(),
                "GraphAPIError": schemas.graph_error(),
                **graph_schemas(),
                "OAuthError": object_of({"error": {**TEXT, "description": "RFC 6749, section 5.2."}}, ["error"]),
                "Introspection": schemas.introspection(),
                "KeySet": schemas.key_set(),
            },
        },
    }


def _operation() -> Json:
    return {
        "operationId": "getSolutionAccessToken",
        "summary": "Get one customer's granular token",
        "description": (
            "Returns the token that stands for what the customer shares with this solution, cut down to what the caller, the "
            "solution and the customer's consent all allow. Asking again within the same window returns the same bytes."
        ),
        "tags": [TAG],
        "security": [{"bearerAuth": []}],
        "parameters": [
            _parameter("Version", "path", VERSION_PATTERN, EXAMPLE_VERSION, "The Graph API version to answer as."),
            _parameter("Solution-ID", "path", ID_PATTERN, EXAMPLE_SOLUTION_ID, "The solution that the customer shares with."),
            _parameter("business_id", "query", ID_PATTERN, EXAMPLE_BUSINESS_ID, "The customer: the business that shares."),
            {
                "name": "appsecret_proof",
                "in": "query",
                "required": False,
                "description": "Hex HMAC-SHA-256 of the caller token under the app's secret. Checked when given; some apps must.",
                "schema": {"type": "string"},
            },
        ],
        "responses": {"200": _token_answer(), **{str(status): refusal_answer(status, TOKEN_REASONS) for status in STATUSES}},
    }


def _parameter(name: str, where: str, pattern: str, example: str, description: str) -> Json:
    return {
        "name": name,
        "in": where,
        "required": True,
        "description": description,
        "schema": {"type": "string", "pattern": f"^{pattern}$"},
        "example": example,
    }


def _token_answer() -> Json:
    names = ("facebook-api-version", "x-fb-request-id", "x-app-usage", "x-business-use-case-usage")
    return {
        "description": "The granular token, with at least half of its life left.",
        "headers": refer(*names, "Cache-Control", "Vary", "Referrer-Policy"),
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/WhatsAppBusinessSolutionAccessToken"},
                "example": {"access_token": EXAMPLE_TOKEN, "expires_at": 1735689600},
            }
        },
    }


def refusal_answer(status: int, among: Collection[Reason]) -> Json:
    """Describe a refusing status by the reasons that can lead to it."""
    names = ["x-fb-request-id", "Cache-Control"]
    names += {401: ["WWW-Authenticate"], 405: ["Allow"], 429: ["Retry-After", "x-app-usage"]}.get(status, [])
    return {
        "description": STATUSES[status],
        "headers": refer(*names),
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/GraphAPIError"},
                "examples": {
                    _example_name(reasons): {
                        "summary": row.message,
                        "description": "Told for: " + ", ".join(reason.value for reason in reasons) + ".",
                        "value": msgspec.json.decode(refusals.render(reasons[0], EXAMPLE_TRACE_ID)),
                    }
                    for row, reasons in answers_of(status, among).items()
                },
            }
        },
    }
