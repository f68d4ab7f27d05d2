"""What the audit trail keeps: who got what, who changed what, and, best effort, why not."""

import enum

import msgspec

from multipartner.domain.reasons import Reason


class EventKind(enum.Enum):
    """Closed list of trail events."""

    TOKEN_ISSUED = "token.issued"  # noqa: S105 - a name, not a secret
    WRITER_OPENED = "writer.opened"
    WRITER_CLOSED = "writer.closed"
    DEPLOYMENT_CREATED = "deployment.created"
    DEPLOYMENT_RESTORED = "deployment.restored"
    WORLD_APPLIED = "world.applied"
    BUSINESS_DECLARED = "business.declared"
    APP_DECLARED = "app.declared"
    APP_SUSPENDED = "app.suspended"
    APP_RESUMED = "app.resumed"
    APP_SECRET_RENEWED = "app.secret_renewed"  # noqa: S105 - a name, not a secret
    SYSTEM_USER_DECLARED = "system_user.declared"
    CREDENTIAL_CREATED = "credential.created"
    CREDENTIAL_REVOKED = "credential.revoked"
    CREDENTIAL_NARROWED = "credential.narrowed"
    WABA_DECLARED = "waba.declared"
    SOLUTION_DECLARED = "solution.declared"
    SOLUTION_CREATED = "solution.created"
    SOLUTION_ACCEPTED = "solution.accepted"
    SOLUTION_REJECTED = "solution.rejected"
    SOLUTION_DEACTIVATION_REQUESTED = "solution.deactivation_requested"
    SOLUTION_DEACTIVATION_REJECTED = "solution.deactivation_rejected"
    SOLUTION_DEACTIVATED = "solution.deactivated"
    SOLUTION_REACTIVATED = "solution.reactivated"
    CONNECTION_MADE = "connection.made"
    SHARE_MADE = "share.made"
    SHARE_CHANGED = "share.changed"
    SHARE_REVOKED = "share.revoked"
    SHARE_RESTORED = "share.restored"
    GRANT_REVOKED = "grant.revoked"
    GRANT_RESTORED = "grant.restored"
    MIGRATION_SET = "migration.set"
    MIGRATION_SCHEDULED = "migration.scheduled"
    MIGRATION_CANCELLED = "migration.cancelled"
    MIGRATION_ACCEPTED = "migration.accepted"
    MIGRATION_DECLINED = "migration.declined"
    MIGRATION_CONFIRMED = "migration.confirmed"
    KEY_PUBLISHED = "key.published"
    KEY_RETIRED = "key.retired"
    KEY_DROPPED = "key.dropped"
    RESOURCE_SERVER_CREATED = "resource_server.created"
    RESOURCE_SERVER_REVOKED = "resource_server.revoked"
    TRAIL_PRUNED = "trail.pruned"


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the trail. `at_s` is Unix seconds; `actor` is `credential:<id>` or `operator:<name>`; ids, never secrets."""

    kind: EventKind
    at_s: int
    actor: str
    trace_id: str = ""
    app_id: str = ""
    solution_id: str = ""
    business_id: str = ""
    jti: str = ""
    detail: dict[str, str] = {}


class RefusalRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The decision path of one refused request, for `explain`. Ids as the caller sent them, cut to 64 characters."""

    trace_id: str
    at_s: int
    reason: Reason
    fact: str = ""
    address: str = ""
    credential_id: str = ""
    app_id: str = ""
    solution_id: str = ""
    business_id: str = ""
    version: str = ""
    query_token: bool = False
    operation: str = ""
    """Contract operation; empty for the contract's `getSolutionAccessToken`."""
    node_id: str = ""
    """The id in the path, where that is not the solution's."""
