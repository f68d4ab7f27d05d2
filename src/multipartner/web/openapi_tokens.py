"""Inspecting and revoking tokens in the OpenAPI document: one table, from which the page at `/docs` is made as well."""

from collections.abc import Mapping
from typing import Final

from multipartner.domain.model import Permission
from multipartner.domain.reasons import Reason
from multipartner.web.openapi_described import Described
from multipartner.web.openapi_schemas import TEXT, WHOLE, Json, object_of
from multipartner.wire.ask import ID_PATTERN
from multipartner.wire.inspected import TYPES

TAG: Final = "Tokens"

_ASKED: Final = (Reason.BODY_ON_GET, Reason.MISSING_PARAMETER, Reason.INVALID_PARAMETER)
_MINE: Final = (Reason.MALFORMED_VERSION, Reason.BODY_ON_GET, Reason.CREDENTIAL_NOT_ENOUGH, Reason.NODE_UNKNOWN)


def _asked(name: str, description: str, schema: Json, where: str = "query") -> Json:
    return {"name": name, "in": where, "required": True, "description": description, "schema": schema}


TOKEN_OPERATIONS: Final = (
    Described(
        "debugToken",
        "get",
        "/debug_token",
        "Inspect a token",
        "An app's callers, or the app itself with its app token, about tokens for this app. Of any other token the answer is "
        "that of a text that never was a token.",
        "InspectedToken",
        (
            Reason.BODY_ON_GET,
            Reason.MISSING_PARAMETER,
            Reason.INVALID_PARAMETER,
            Reason.CREDENTIAL_NOT_ENOUGH,
            Reason.FIELDS_UNAVAILABLE,
        ),
        node="",
        takes_fields=True,
        default_fields="all members of `data`",
        query=(_asked("input_token", "The token to inspect: a granular, a caller or an app token.", TEXT),),
        tag=TAG,
    ),
    Described(
        "deletePermissions",
        "delete",
        "permissions",
        "Give up all permissions",
        "With a granular token: its grant is revoked, which every token of the same app, solution and customer stands for. "
        "With a caller token: all caller tokens of its system user for its app are revoked.",
        "Success",
        _MINE,
        node="User-ID",
        tag=TAG,
    ),
    Described(
        "deletePermission",
        "delete",
        "permissions/{permission}",
        "Give up one permission",
        "With a caller token: all caller tokens of its system user for its app lose it; one that has no other is revoked. A "
        "granular token's grant is not divided.",
        "Success",
        (*_MINE, Reason.INVALID_PARAMETER, Reason.GRANT_INDIVISIBLE),
        node="User-ID",
        items=(_asked("permission", "The permission.", {**TEXT, "enum": sorted(p.value for p in Permission)}, where="path"),),
        tag=TAG,
    ),
    Described(
        "getAppAccessToken",
        "get",
        "/oauth/access_token",
        "Get an app token",
        "For SDKs that ask for it: the answer is `{app-id}|{app-secret}`. The secret comes in the query, so it is refused where "
        "`accept_query_token` is off.",
        "AppToken",
        _ASKED,
        node="",
        query=(
            _asked("client_id", "The app.", {**TEXT, "pattern": f"^{ID_PATTERN}$"}),
            _asked("client_secret", "Its secret.", TEXT),
            _asked("grant_type", "`client_credentials`.", {**TEXT, "enum": ["client_credentials"]}),
        ),
        tag=TAG,
        open=True,
    ),
)
"""In the order of a token's life."""


def token_schemas() -> Mapping[str, Json]:
    """The answers' schemas."""
    texts = {"type": "array", "items": TEXT}
    scope = object_of({"scope": TEXT, "target_ids": {**texts, "description": "WABAs; of a granular token."}}, ["scope"])
    seconds = {**WHOLE, "description": "Unix seconds; 0: never."}
    error = object_of({"code": WHOLE, "message": TEXT, "subcode": WHOLE}, ["code", "message"])
    members: dict[str, object] = {
        "app_id": TEXT,
        "type": {**TEXT, "enum": sorted(set(TYPES.values()))},
        "application": {**TEXT, "description": "The app's name."},
        "data_access_expires_at": seconds,
        "expires_at": seconds,
        "is_valid": {"type": "boolean"},
        "issued_at": WHOLE,
        "scopes": texts,
        "granular_scopes": {"type": "array", "items": scope},
        "user_id": {**TEXT, "description": "The system user; of a granular token its `sub`."},
        "error": {**error, "description": "Why it is not valid."},
    }
    return {
        "InspectedToken": object_of({"data": object_of(members, [])}, ["data"]),
        "AppToken": object_of({"access_token": TEXT, "token_type": TEXT}, ["access_token", "token_type"]),
        "Success": object_of({"success": {"type": "boolean"}}, ["success"]),
    }
