"""Schemas and headers of the service's OpenAPI document, in our own words and the contract's member names."""

from collections.abc import Mapping, Sequence

from multipartner.wire.ask import ID_PATTERN

Json = Mapping[str, object]

TEXT: Json = {"type": "string"}
WHOLE: Json = {"type": "integer"}
ID: Json = {**TEXT, "pattern": f"^{ID_PATTERN}$"}
WHEN: Json = {**TEXT, "format": "date-time"}


HEADERS: Mapping[str, str] = {
    "facebook-api-version": "The version that answered: another than the one asked for when that one has expired.",
    "x-fb-request-id": "Equal to `fbtrace_id` of a refusal; operators look a request up by it.",
    "x-app-usage": "The app's calls of the last hour in percent of its limit, as JSON.",
    "x-business-use-case-usage": "The same for this one business, with the minutes until calls are possible again.",
    "Cache-Control": "Tokens and refusals are never to be stored.",
    "Vary": "Authorization.",
    "Referrer-Policy": "no-referrer.",
    "WWW-Authenticate": "The challenge (RFC 6750 or RFC 7617).",
    "Allow": "Methods that the path is served for.",
    "Retry-After": "Whole seconds until the next call can succeed.",
}
"""What each response header says."""


def headers() -> Json:
    """Response headers that the operations refer to."""
    return {name: {"description": text, "schema": TEXT} for name, text in HEADERS.items()}


def refer(*names: str) -> Json:
    """Refer to response headers by name."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def object_of(properties: Mapping[str, object], required: Sequence[str]) -> Json:
    """Describe an object."""
    return {"type": "object", "required": list(required), "properties": dict(properties)}


def access_token() -> Json:
    """The 200 body (contract: WhatsAppBusinessSolutionAccessToken)."""
    expires_at = {"type": "integer", "format": "int64", "description": "The Unix second at which it stops working."}
    token = {**TEXT, "description": "The granular token. Opaque to whoever asked for it; at most 2 kB."}
    return object_of({"access_token": token, "expires_at": expires_at}, ["access_token", "expires_at"])


def graph_error() -> Json:
    """The error envelope (contract: GraphAPIError), all optional members named."""
    members: Json = {
        "message": {**TEXT, "description": "For the developer who reads the log."},
        "type": {**TEXT, "description": "The family of the error."},
        "code": {**WHOLE, "description": "What to decide on."},
        "error_subcode": {**WHOLE, "description": "A finer code, where there is one."},
        "is_transient": {"type": "boolean", "description": "Present and true when a later try may succeed."},
        "error_user_title": {**TEXT, "description": "A heading to show to a person."},
        "error_user_msg": {**TEXT, "description": "A sentence to show to a person."},
        "fbtrace_id": {**TEXT, "description": "Names this one answer; quote it when asking for help."},
    }
    return object_of({"error": object_of(members, ["message", "type", "code"])}, ["error"])


def introspection() -> Json:
    """RFC 7662's answer with the members that ours carries."""
    texts = ("scope", "client_id", "token_type", "sub", "aud", "iss", "jti", "solution_id", "business_id")
    detail = object_of({"type": TEXT, "actions": _texts(), "waba_ids": _texts()}, ["type"])
    members: dict[str, object] = {"active": {"type": "boolean"}}
    members.update(dict.fromkeys(texts, TEXT))
    members.update(dict.fromkeys(("exp", "iat"), WHOLE))
    return object_of({**members, "authorization_details": {"type": "array", "items": detail}}, ["active"])


def _texts() -> Json:
    return {"type": "array", "items": TEXT}


def key_set() -> Json:
    """RFC 7517's set of Ed25519 keys (RFC 8037)."""
    members = ("kty", "crv", "x", "kid", "alg", "use")
    return object_of({"keys": {"type": "array", "items": object_of(dict.fromkeys(members, TEXT), members)}}, ["keys"])
