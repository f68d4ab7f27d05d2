"""What is read and who reads it: nodes of the graph as values, the edges between them, and the one who asks.

The fields of a node are what we hold; what the contract's schemas have besides is not ours to know (docs/divergences.md).
"""

import enum

import msgspec

from multipartner.domain.model import AppId, BusinessId, Instant, Permissions, Secret, SolutionId, SolutionStatus, Tenant, WabaId


class ViewerKind(enum.Enum):
    """With what somebody came."""

    CALLER = "caller token"
    """A system user's token for one app: acts for the app, and reads what the app reaches and its business owns."""
    GRANULAR = "granular token"
    """Sees exactly its grant, and changes nothing but that: it can end it."""
    APP = "app token"
    """`{app-id}|{app-secret}`: inspects and ends the app's own tokens, reads the app itself."""


class Viewer(msgspec.Struct, frozen=True):
    """An authenticated one. Holds nothing that authenticates.

    `id` is what `/me` names: the system user, the subject of a granular token, the app. `tenant` and `waba_ids` (in ascending
    text order) are a granular token's.
    """

    kind: ViewerKind
    app_id: AppId
    id: str
    permissions: Permissions
    actor: str
    """For the trail: `credential:<id>`, `token:<jti>` or `app:<id>`."""
    tenant: Tenant | None = None
    waba_ids: tuple[WabaId, ...] = ()


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


class Edge(enum.Enum):
    """The lists that can be read, by the name that stands in the path."""

    CONNECTED_BUSINESSES = "connected_client_businesses"
    """of an app"""
    APP_SOLUTIONS = "whatsapp_business_solutions"
    """of an app"""
    CLIENT_WABAS = "client_whatsapp_business_accounts"
    """of a business: those that others share with it"""
    OWNED_WABAS = "owned_whatsapp_business_accounts"
    """of a business"""
    PHONE_NUMBERS = "phone_numbers"
    """of a WABA"""
    WABA_SOLUTIONS = "solutions"
    """of a WABA"""
    PARTNERS = "partners"
    """of a solution"""


class Role(enum.Enum):
    """Which side of a solution an app is on (contract: WhatsAppBusinessSolutionApplicationRole)."""

    OWNER = "OWNER"
    PARTNER = "PARTNER"


class BusinessNode(msgspec.Struct, frozen=True):
    """A business portfolio. `connected_at_s` (Unix seconds): since when it deals with the viewer's app, if that was asked for."""

    id: BusinessId
    name: str
    connected_at_s: int | None = None


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


class PartnerNode(msgspec.Struct, frozen=True):
    """The invited side of a solution, as `/{solution}/partners` lists it. `id` is the solution's and the app's, joined."""

    solution: SolutionNode


class WabaNode(msgspec.Struct, frozen=True):
    """A WABA, whose it is, and whether that is the business of the viewer's app."""

    id: WabaId
    name: str
    business: BusinessNode
    own: bool


class PhoneNumberNode(msgspec.Struct, frozen=True):
    """A phone number of a WABA."""

    id: str
    display_phone_number: str
    waba_id: WabaId


class SystemUserNode(msgspec.Struct, frozen=True):
    """Who a caller token speaks for; of a granular token, its subject, which has no name."""

    id: str
    name: str
    client_business_id: BusinessId | None = None


class IntentStatus(enum.Enum):
    """Where a migration intent stands (contract: WhatsAppBusinessAccountMigrationStatus)."""

    INITIATED = "INITIATED"
    ACCEPTED = "ACCEPTED"
    """The customer consented: it shares the WABA with the target."""
    REJECTED = "REJECTED"
    """Refused by the customer, or cancelled by the one who had it."""
    COMPLETED = "COMPLETED"
    """The WABA left the source: the grants that reached it there are dead."""


class IntentNode(msgspec.Struct, frozen=True):
    """The intent to move a WABA from one solution to another. Times are Unix seconds."""

    id: str
    waba: WabaNode
    source_solution_id: SolutionId
    target: SolutionNode
    app_id: AppId
    status: IntentStatus
    scheduled_at_s: int | None
    created_at_s: int
    reason: str = ""


Node = BusinessNode | AppNode | SolutionNode | PartnerNode | WabaNode | PhoneNumberNode | SystemUserNode | IntentNode


class Listing(msgspec.Struct, frozen=True):
    """Which list is read: an edge of a node, narrowed. `find` is an id."""

    edge: Edge
    parent_id: str
    role: Role | None = None
    find: str | None = None


class Span(msgspec.Struct, frozen=True):
    """Which part of a list, in ascending order of ids: at most `limit` after one id, or before one."""

    limit: int
    after: str | None = None
    before: str | None = None
