"""The shapes of the operations' parameters, in words for the one who got one wrong."""

from types import MappingProxyType
from typing import Final

_ID: Final = "must be a numeric string"

SHAPES: Final = MappingProxyType(
    {
        "partner_app_id": _ID,
        "solution_id": _ID,
        "target_solution_id": _ID,
        "find": _ID,
        "limit": "must be a whole number from 1 to 100",
        "first": "must be a whole number from 1 to 100",
        "last": "must be a whole number from 1 to 100",
        "after": "goes with neither before nor last",
        "before": "goes with neither after nor first",
        "role": "must be OWNER or PARTNER",
        "fields": "must be a list of field names with commas between, each with its own list in braces if it is an object",
        "business_type": "must be a list of the contract's business types",
        "filtering": "must be a JSON array of filters, each with field, operator and value",
        "sort": "must be creation_time or last_onboarded_time, with .asc or .desc",
        "solution_name": "must have 2 to 75 characters, none of them a control character",
        "owner_permissions": "must be a list of at most one permission, MESSAGING",
        "partner_permissions": "must be a list of at most one permission, MESSAGING",
        "request_type": "must be PARTNERSHIP_REQUEST or DEACTIVATION_REQUEST",
        "rejection_reason": "must have at most 500 characters",
        "reason": "must have at most 500 characters",
        "log_session_id": "must be a text of at most 500 characters",
        "reject_deactivation_request": "must be true",
        "migration_intent": "must be INITIATE_MIGRATION, SCHEDULE_MIGRATION, CONFIRM_MIGRATION or CANCEL_MIGRATION",
        "migration_reason": "must have at most 500 characters",
        "scheduled_migration_time": "must be a future instant in ISO 8601, with its offset",
        "input_token": "must be one token",
        "access_token": "must be one text",
        "appsecret_proof": "must be one text",
    }
)
"""What `described` adds to a parameter's name."""


def described(parameter: str) -> str:
    """Name a parameter together with its shape."""
    return f"{parameter} {SHAPES[parameter]}"
