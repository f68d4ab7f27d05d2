"""What is read and changed over the API besides tokens, and who does it."""

import enum

import msgspec

from multipartner.domain.model import (
    AppId,
    BusinessId,
    CredentialId,
    Instant,
    Permissions,
    Secret,
    SolutionId,
    SolutionStatus,
    Tenant,
    WabaId,
)
from multipartner.domain.reasons import Reason


class ViewerKind(enum.Enum):
    """With what somebody came."""

    CALLER = "caller token"
    """A system user's token for one app: acts for the app, and reads what the app reaches."""
    GRANULAR = "granular token"
    """Sees what it was granted, and changes nothing but its own end."""
    APP = "app token"
    """`{app-id}|{app-secret}`: reads the app's solutions, and changes nothing."""


class Viewer(msgspec.Struct, frozen=True):
    """An authenticated one. Holds nothing that authenticates.

    `id` is the system user, the subject of a granular token, or the app. `tenant` and `waba_ids` are a granular token's;
    `business_id` is the app's own business.
    """

    kind: ViewerKind
    app_id: AppId
    id: str
    permissions: Permissions
    actor: str
    """For the trail: `credential:<id>`, `token:<jti>` or `app:<id>`."""
    tenant: Tenant | None = None
    business_id: BusinessId = BusinessId("")
    waba_ids: tuple[WabaId, ...] = ()

    @property
    def credential_id(self) -> str:
        """The caller token's credential; empty for whoever came with another kind."""
        return self.actor.removeprefix("credential:") if self.kind is ViewerKind.CALLER else ""


class Presented(msgspec.Struct, frozen=True, gc=False):
    """With what a request to any operation but the token's came, and from where; `operation` is the contract's operationId."""

    trace_id: str
    operation: str
    version: str
    node_id: str
    bearer: Secret | None
    proof: Secret | None
    query_token: bool
    address: str
    now: Instant


class Role(enum.Enum):
    """Which side of a solution an app is on (contract: WhatsAppBusinessSolutionApplicationRole)."""

    OWNER = "OWNER"
    PARTNER = "PARTNER"


class AppNode(msgspec.Struct, frozen=True):
    """An app."""

    id: AppId
    name: str


class SolutionNode(msgspec.Struct, frozen=True):
    """A solution with both of its apps."""

    id: SolutionId
    name: str
    status: SolutionStatus
    owner_app: AppNode
    partner_app: AppNode
    owner_messaging: bool
    partner_messaging: bool

    def role_of(self, app_id: AppId) -> Role | None:
        """Say on which side an app is; None when it is no party."""
        if app_id == self.owner_app.id:
            return Role.OWNER
        return Role.PARTNER if app_id == self.partner_app.id else None


class Inspected(msgspec.Struct, frozen=True):
    """What a token is, for the app that it is for. `subject` is the system user, or a granular token's `sub`; or empty.

    Times are Unix seconds; `expires_at_s` 0: it does not expire. `ended` is why a token that was good is none any more, by the
    reason that its bearer would be told.
    """

    kind: ViewerKind
    app_id: AppId
    app_name: str
    subject: str = ""
    permissions: tuple[str, ...] = ()
    issued_at_s: int = 0
    expires_at_s: int = 0
    waba_ids: tuple[WabaId, ...] = ()
    ended: Reason | None = None
    tenant: Tenant | None = None
    """What a granular token stands for."""
    credential_id: CredentialId | None = None
    """Of a caller token."""
