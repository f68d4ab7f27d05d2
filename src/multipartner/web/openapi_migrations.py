"""The operations of migration intents in the OpenAPI document, and the schemas of their answers."""

from collections.abc import Mapping
from typing import Final

from multipartner.domain.migration import ANSWERED, IntentStatus
from multipartner.domain.reasons import Reason
from multipartner.web.openapi_described import Described
from multipartner.web.openapi_schemas import ID, TEXT, WHEN, Json, object_of
from multipartner.wire import migrations as wire

MIGRATIONS: Final = (
    Described(
        "setSolutionMigrationIntent",
        "post",
        "set_solution_migration_intent",
        "Ask a customer to move a WABA to another solution",
        "An app that is a side of both solutions and reaches the WABA through the one that it leaves. Nothing moves before the "
        "customer consents. `solution_id` alone is the solution to move to; with `target_solution_id` it is the one to leave.",
        "MigrationIntentSet",
        (
            Reason.MALFORMED_VERSION,
            Reason.MALFORMED_BODY,
            Reason.MISSING_PARAMETER,
            Reason.INVALID_PARAMETER,
            Reason.CREDENTIAL_NOT_ENOUGH,
            Reason.NODE_UNKNOWN,
            Reason.SOLUTION_UNKNOWN,
            Reason.APP_NOT_PARTY,
            Reason.SOLUTION_INACTIVE,
            Reason.NO_SUCH_REQUEST,
            Reason.MIGRATION_UNDER_WAY,
            Reason.MIGRATION_FORBIDS,
        ),
        node="WABA-ID",
        body=object_of(
            {
                "solution_id": ID,
                "migration_intent": {**TEXT, "enum": list(wire.WORDS)},
                "target_solution_id": ID,
                "migration_reason": {**TEXT, "maxLength": 500},
                "scheduled_migration_time": WHEN,
            },
            ["solution_id"],
        ),
    ),
    Described(
        "getMigrationIntentDetails",
        "get",
        "",
        "Read a migration intent",
        "The app that set it; once the customer has consented, both apps of the solution that the WABA moved to.",
        "MigrationIntent",
        (Reason.SOLUTION_UNKNOWN, Reason.APP_NOT_PARTY, Reason.BODY_ON_GET, Reason.NODE_UNKNOWN, Reason.FIELDS_UNAVAILABLE),
        node="Migration-Intent-ID",
        takes_fields=True,
        default_fields=", ".join(wire.DEFAULT_FIELDS),
    ),
)


def migration_schemas() -> Mapping[str, Json]:
    """The answers' schemas."""
    words = sorted({*ANSWERED.values(), wire.SCHEDULED})
    solution = object_of({"id": ID, "name": TEXT}, ["id", "name"])
    return {
        "MigrationIntentSet": object_of(
            {
                "id": ID,
                "success": {"type": "boolean"},
                "migration_intent_id": ID,
                "status": {**TEXT, "enum": words},
                "estimated_completion_time": WHEN,
            },
            ["id", "success", "migration_intent_id", "status"],
        ),
        "MigrationIntent": object_of(
            {
                "id": ID,
                "status": {**TEXT, "enum": [status.value for status in IntentStatus]},
                "solution": solution,
                "destination_waba": object_of({"id": ID}, ["id"]),
            },
            ["id"],
        ),
    }
