"""The nouns of the field, as immutable values.

Ids are strings of ASCII digits and stay strings: `0123` and `123` are two ids, and no id has a largest value.
"""

import enum
import functools
from typing import Final, NewType

import msgspec

AppId = NewType("AppId", str)
BusinessId = NewType("BusinessId", str)
SolutionId = NewType("SolutionId", str)
SystemUserId = NewType("SystemUserId", str)
WabaId = NewType("WabaId", str)
CredentialId = NewType("CredentialId", str)


class Permission(enum.Enum):
    """What a caller token may carry, a customer may consent to, and a granular token may grant."""

    MANAGEMENT = "whatsapp_business_management"
    MESSAGING = "whatsapp_business_messaging"


Permissions = frozenset[Permission]

ALL_PERMISSIONS: Final[Permissions] = frozenset(Permission)
MANAGEMENT_ONLY: Final[Permissions] = frozenset({Permission.MANAGEMENT})


@functools.lru_cache(maxsize=16)
def names_of(permissions: Permissions) -> tuple[str, ...]:
    """Return the permissions' wire names, sorted: there are few sets of them, and every token needs one."""
    return tuple(sorted(permission.value for permission in permissions))


class SolutionStatus(enum.Enum):
    """`status` of a solution as the contract spells it; `PENDING_DEACTIVATION` folds in the pending request."""

    DRAFT = "DRAFT"
    INITIATED = "INITIATED"
    ACTIVE = "ACTIVE"
    PENDING_DEACTIVATION = "PENDING_DEACTIVATION"
    REJECTED = "REJECTED"
    DEACTIVATED = "DEACTIVATED"


USABLE_SOLUTION: Final = frozenset({SolutionStatus.ACTIVE, SolutionStatus.PENDING_DEACTIVATION})


class Instant(msgspec.Struct, frozen=True, gc=False):
    """One moment on two clocks: Unix seconds for expiry, boot-time nanoseconds for ages (it never steps back)."""

    wall_s: int
    boot_ns: int


class Secret:
    """Text that does not print, compare, pickle or format itself; `reveal()` is the only way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text; callers are few and easy to list."""
        return self._text

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret is not pickled")


class Tenant(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """Whose token: every cache, count and generation is keyed by the whole of it."""

    app_id: AppId
    solution_id: SolutionId
    business_id: BusinessId


class Ask(msgspec.Struct, frozen=True, gc=False):
    """A well-formed request for a granular token. `version` is the one that answers, not always the one asked for."""

    trace_id: str
    version: str
    solution_id: SolutionId
    business_id: BusinessId
    bearer: Secret | None
    proof: Secret | None
    query_token: bool
    address: str
    now: Instant


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who asks: a system user's credential for one app. Holds nothing that authenticates."""

    credential_id: CredentialId
    system_user_id: SystemUserId
    app_id: AppId
    permissions: Permissions
    calls_per_hour: int
    calls_per_business_per_hour: int


class Solution(msgspec.Struct, frozen=True, gc=False):
    """Two apps that serve customers together, and which of them may message."""

    solution_id: SolutionId
    status: SolutionStatus
    owner_app_id: AppId
    partner_app_id: AppId
    owner_messaging: bool
    partner_messaging: bool

    def permissions_of(self, app_id: AppId) -> Permissions | None:
        """What the solution gives this app's side; None when the app is no party to it."""
        if app_id == self.owner_app_id:
            return ALL_PERMISSIONS if self.owner_messaging else MANAGEMENT_ONLY
        if app_id == self.partner_app_id:
            return ALL_PERMISSIONS if self.partner_messaging else MANAGEMENT_ONLY
        return None


class Share(msgspec.Struct, frozen=True, gc=False):
    """What one customer shares with one solution; `waba_ids` in ascending text order."""

    active: bool
    permissions: Permissions
    waba_ids: tuple[WabaId, ...]


class Generations(msgspec.Struct, frozen=True, gc=False):
    """Five random 64-bit values (11 base64url characters each), compared for equality; a new one kills what bears the old."""

    deployment: str
    app: str
    solution: str
    share: str
    grant: str


class Facts(msgspec.Struct, frozen=True, gc=False):
    """All that decides about one tenant, read in one go.

    `changed_at_s` is the latest change (Unix seconds) of any row that a generation stands in.
    """

    tenant: Tenant
    app_suspended: bool
    solution: Solution | None
    connected: bool
    share: Share | None
    grant_active: bool
    generations: Generations
    changed_at_s: int


class Permit(msgspec.Struct, frozen=True, gc=False):
    """Leave to issue; only `authorize` builds one."""

    tenant: Tenant
    permissions: Permissions
    facts: Facts


class Token(msgspec.Struct, frozen=True, gc=False):
    """An issued granular token: its text, its id, and the second (Unix) at which it stops working."""

    text: Secret
    jti: str
    expires_at_s: int
