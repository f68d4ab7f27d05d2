"""What can be read over the API besides apps and solutions, together with the facts that decide who sees it."""

import enum
from collections.abc import Sequence
from typing import Generic, TypeAlias, TypeVar

import msgspec

from multipartner.domain.graph import AppNode, SolutionNode
from multipartner.domain.model import BusinessId, Permissions, SystemUserId, WabaId


class NodeKind(enum.Enum):
    """What an id can name."""

    BUSINESS = "business"
    APP = "app"
    SOLUTION = "solution"
    WABA = "waba"
    PHONE_NUMBER = "phone_number"
    SYSTEM_USER = "system_user"


class BusinessNode(msgspec.Struct, frozen=True):
    """A business portfolio."""

    id: BusinessId
    name: str


class BusinessSight(msgspec.Struct, frozen=True):
    """A business, and since when (Unix seconds) it is connected to the viewer's app; None when it never was."""

    node: BusinessNode
    connected_at_s: int | None


class SharePath(msgspec.Struct, frozen=True):
    """One way in which a WABA is shared: the solution, its two apps' businesses, and what decides about the viewer's app."""

    solution: SolutionNode
    partner_business_ids: tuple[BusinessId, BusinessId]
    share_active: bool
    permissions: Permissions
    grant_active: bool


class WabaNode(msgspec.Struct, frozen=True):
    """A WhatsApp Business Account and the business that owns it."""

    id: WabaId
    name: str
    owner: BusinessNode


class WabaSight(msgspec.Struct, frozen=True):
    """A WABA, and all ways in which it is shared with solutions of the viewer's app."""

    node: WabaNode
    paths: tuple[SharePath, ...]


class PhoneNumberNode(msgspec.Struct, frozen=True):
    """A phone number of a WABA."""

    id: str
    display_phone_number: str


class PhoneNumberSight(msgspec.Struct, frozen=True):
    """A phone number is seen by whoever sees its WABA."""

    node: PhoneNumberNode
    waba: WabaSight


class SystemUserNode(msgspec.Struct, frozen=True):
    """A system user."""

    id: SystemUserId
    name: str


class GranteeNode(msgspec.Struct, frozen=True):
    """Whom a granular token speaks for: the customer as seen by one app. `id` is the token's subject."""

    id: str
    client_business_id: BusinessId


Sight: TypeAlias = BusinessSight | AppNode | SolutionNode | WabaSight | PhoneNumberSight | SystemUserNode
"""What was found under an id, with what decides who sees it."""


def bare(sight: Sight) -> object:
    """The node itself."""
    return sight.node if isinstance(sight, BusinessSight | WabaSight | PhoneNumberSight) else sight


Item = TypeVar("Item")

Position = tuple[str, ...]
"""Where in a list: the key of the last row that was looked at; empty at either end."""


class Slice(msgspec.Struct, frozen=True):
    """A part of a list: at most `limit` items after `position`, or `backwards` before it."""

    limit: int
    position: Position = ()
    backwards: bool = False


class Scan(msgspec.Struct, Generic[Item], frozen=True):
    """Rows in the order that was asked for, and the position from which to go on; None at the end of the list."""

    rows: Sequence[tuple[Position, Item]]
    more_from: Position | None


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """Items in the list's order, and the positions to ask for the pages around by; None where there is none to ask from.

    A page may have fewer items than asked for, or none, and yet a next one: the search for more has an end.
    """

    items: tuple[Item, ...]
    before: Position | None
    after: Position | None
    has_previous: bool
    has_next: bool
