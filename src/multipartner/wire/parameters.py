"""The shapes of the operations' parameters, in words for the one who got one wrong."""

from types import MappingProxyType
from typing import Final

_ID: Final = "must be a numeric string"
_COUNT: Final = "must be a whole number from 1 to 100"
_CURSOR: Final = "must be a cursor that this list gave to this caller within a day"

SHAPES: Final = MappingProxyType(
    {
        "partner_app_id": _ID,
        "solution_name": "must have 2 to 75 characters, none of them a control character",
        "owner_permissions": "must be a list of at most one permission, MESSAGING",
        "partner_permissions": "must be a list of at most one permission, MESSAGING",
        "request_type": "must be PARTNERSHIP_REQUEST or DEACTIVATION_REQUEST",
        "rejection_reason": "must have at most 500 characters",
        "reason": "must have at most 500 characters",
        "log_session_id": "must be a text of at most 500 characters",
        "reject_deactivation_request": "must be true",
        "solution_id": _ID,
        "target_solution_id": _ID,
        "migration_intent": "must be INITIATE_MIGRATION, CANCEL_MIGRATION, CONFIRM_MIGRATION or SCHEDULE_MIGRATION",
        "migration_reason": "must have at most 500 characters",
        "scheduled_migration_time": "must be an instant with its offset, such as 2030-01-31T10:00:00Z",
        "fields": "must be names with commas between, those inside a field in braces, at most 4 levels and 100 names",
        "limit": _COUNT,
        "first": _COUNT + ", and goes with after",
        "last": _COUNT + ", and goes with before",
        "after": _CURSOR,
        "before": _CURSOR + ", and not come with after",
        "role": "must be OWNER or PARTNER",
        "find": _ID,
        "filtering": 'must be a JSON list of conditions such as {"field":"partners","operator":"ALL","value":["1"]}',
        "business_type": "must be one text",
        "sort": "must be creation_time or last_onboarded_time with .asc or .desc",
        "access_token": "must be one text",
        "input_token": "must be one text",
        "permission": "must be whatsapp_business_management or whatsapp_business_messaging",
        "grant_type": "must be client_credentials",
        "client_id": _ID,
        "client_secret": "must be one text",
        "appsecret_proof": "must be one text",
    }
)
"""What `described` adds to a parameter's name."""


def described(parameter: str) -> str:
    """Name a parameter together with its shape."""
    return f"{parameter} {SHAPES[parameter]}"
