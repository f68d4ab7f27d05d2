"""Discovery, introspection and revocation in the OpenAPI document: what RFCs describe."""

from collections.abc import Mapping
from typing import Final

from multipartner.web.oauth import INTROSPECTION_PATH, JWKS_PATH, METADATA_PATH
from multipartner.web.openapi_schemas import TEXT, Json, object_of, refer
from multipartner.web.openapi_tokens import TAG as TOKENS
from multipartner.web.revocation import REVOCATION_PATH

TAG: Final = "Verification"


def oauth_paths() -> Mapping[str, Json]:
    """Describe the endpoints by path."""
    return {
        INTROSPECTION_PATH: {"post": _introspection()},
        REVOCATION_PATH: {"post": _revocation()},
        JWKS_PATH: {"get": _key_set()},
        METADATA_PATH: {"get": _metadata()},
    }


def _introspection() -> Json:
    return {
        "operationId": "introspectToken",
        "summary": "Ask whether a granular token is good now (RFC 7662)",
        "tags": [TAG],
        "security": [{"resourceServer": []}],
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": object_of({"token": TEXT, "token_type_hint": TEXT}, ["token"]),
                }
            },
        },
        "responses": {
            "200": _answer("`active` and, if it is, what the token is good for.", "Introspection", "Cache-Control"),
            "400": _refused("Not a form with one `token`."),
            "401": _refused("Not a registered resource server's credential.", "WWW-Authenticate"),
            "405": _refused("Only a POST introspects.", "Allow"),
            "429": _refused("Too many failed authentications from this address.", "Retry-After"),
            "503": _refused("Nobody can tell right now.", "Retry-After"),
        },
    }


def _revocation() -> Json:
    form = {"token": TEXT, "token_type_hint": TEXT, "client_id": TEXT, "client_secret": TEXT}
    return {
        "operationId": "revokeToken",
        "summary": "Revoke a token (RFC 7009)",
        "description": "By the app that the token is for, with id and secret in the header or in the form. Revokes the grant "
        "that a granular token stands for, or a caller token. 200 as well for what is no token of the app.",
        "tags": [TOKENS],
        "security": [{"appSecret": []}, {}],
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": object_of(form, ["token"])}},
        },
        "responses": {
            "200": {"description": "The token is none any more, if it ever was.", "headers": refer("Cache-Control")},
            "400": _refused("Not a form with one `token` and one client; an app token; an app that is suspended."),
            "401": _refused("Not an app's id and secret.", "WWW-Authenticate"),
            "405": _refused("Only a POST revokes.", "Allow"),
            "429": _refused("Too many calls of the app, or failed authentications from this address.", "Retry-After"),
            "503": _refused("Nothing can be revoked right now.", "Retry-After"),
        },
    }


def _refused(description: str, *headers: str) -> Json:
    return _answer(description, "OAuthError", *headers)


def _key_set() -> Json:
    return {
        "operationId": "getKeySet",
        "summary": "Public keys that verify granular tokens (RFC 7517)",
        "tags": [TAG],
        "security": [],
        "responses": {
            "200": _answer("Every key that a token in force may be signed with.", "KeySet", "Cache-Control"),
            "503": _answer("The keys cannot be read right now; the list is empty.", "KeySet", "Retry-After"),
        },
    }


def _metadata() -> Json:
    names = ("issuer", "jwks_uri", "introspection_endpoint", "revocation_endpoint")
    return {
        "operationId": "getAuthorizationServerMetadata",
        "summary": "Where the other endpoints are (RFC 8414)",
        "tags": [TAG],
        "security": [],
        "responses": {
            "200": {
                "description": "Issuer and endpoints, as configured.",
                "content": {
                    "application/json": {"schema": object_of({n: {**TEXT, "format": "uri"} for n in names}, list(names))}
                },
            }
        },
    }


def _answer(description: str, schema: str, *headers: str) -> Json:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    described: Json = {"description": description, "content": content}
    return {**described, "headers": refer(*headers)} if headers else described
