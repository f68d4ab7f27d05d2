"""The answers of `debug_token` and of its neighbours (facts: graph-wire 4.1, 4.2), members in the live API's order."""

from types import MappingProxyType
from typing import Any, Final

import msgspec

from multipartner.domain.graph import Inspected, ViewerKind
from multipartner.domain.reasons import Reason, Refusal
from multipartner.wire.refusals import ROWS

MEMBERS: Final = (
    "app_id",
    "type",
    "application",
    "data_access_expires_at",
    "expires_at",
    "is_valid",
    "issued_at",
    "scopes",
    "granular_scopes",
    "user_id",
    "error",
)
"""What `fields` may name."""

TYPES: Final = MappingProxyType({ViewerKind.CALLER: "SYSTEM_USER", ViewerKind.GRANULAR: "SYSTEM_USER", ViewerKind.APP: "APP"})

SUCCESS: Final = b'{"success":true}'

_encode: Final = msgspec.json.Encoder().encode


def inspected_fields(fields: str | None) -> tuple[str, ...] | Refusal:
    """Read a `fields` parameter: names with commas between; absent or empty: all."""
    if not fields:
        return MEMBERS
    names = tuple(dict.fromkeys(fields.split(",")))
    return names if set(names) <= set(MEMBERS) else Refusal(Reason.FIELDS_UNAVAILABLE)


def inspected(found: Inspected | None, names: tuple[str, ...]) -> bytes:
    """Print these members of what is known of a token; None: it is no token of the app that asks."""
    told = {"is_valid": False, "scopes": [], "error": _error(Reason.TOKEN_DEAD)} if found is None else _told(found)
    return _encode({"data": {name: value for name, value in told.items() if name in names}})


def app_token(text: str) -> bytes:
    """Print the answer that gives an app its own token."""
    return _encode({"access_token": text, "token_type": "bearer"})


def _told(found: Inspected) -> dict[str, Any]:
    told: dict[str, Any] = {"app_id": found.app_id, "type": TYPES[found.kind], "application": found.app_name}
    is_valid = found.ended is None
    if found.kind is ViewerKind.APP:
        return told | {"expires_at": 0, "is_valid": is_valid, "scopes": []}
    told |= {"data_access_expires_at": 0, "expires_at": found.expires_at_s, "is_valid": is_valid}
    told |= {"issued_at": found.issued_at_s, "scopes": list(found.permissions) if is_valid else []}
    if is_valid:
        told["granular_scopes"] = [_granular(found, name) for name in found.permissions]
    told["user_id"] = found.subject
    return told if found.ended is None else told | {"error": _error(found.ended)}


def _granular(found: Inspected, name: str) -> dict[str, Any]:
    """A system user's own token is for all that its business has, so it names no targets."""
    return {"scope": name} | ({"target_ids": list(found.waba_ids)} if found.kind is ViewerKind.GRANULAR else {})


def _error(reason: Reason) -> dict[str, Any]:
    row = ROWS[reason]
    return {"code": row.code, "message": row.message} | ({"subcode": row.error_subcode} if row.error_subcode else {})
