"""A world: businesses, apps, solutions and shares as someone declares them. Values and their rules, no file format.

The fields are named as in a world file. Declared is what is in force; an omitted field is the least, or the documented default.
What a file leaves unsaid of an entity that can end is told beside the world, by `world_unsaid`.
"""

import enum
from typing import NewType

import msgspec

from multipartner.domain.model import AppId, BusinessId, Permission, SolutionId, SolutionStatus, SystemUserId, WabaId

VERSION = 1
PhoneNumberId = NewType("PhoneNumberId", str)


class AppStatus(enum.Enum):
    """Whether an app may have tokens."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class ShareStatus(enum.Enum):
    """Whether a share still stands; a withdrawn one is kept, and so are its connections."""

    ACTIVE = "active"
    WITHDRAWN = "withdrawn"


class PhoneNumber(msgspec.Struct, frozen=True, omit_defaults=True):
    """A phone number of a WABA."""

    id: PhoneNumberId
    display_phone_number: str


class Waba(msgspec.Struct, frozen=True, omit_defaults=True):
    """A WhatsApp Business Account of the business it stands in."""

    id: WabaId
    name: str
    phone_numbers: tuple[PhoneNumber, ...] = ()


class Business(msgspec.Struct, frozen=True, omit_defaults=True):
    """A business portfolio, with what it owns."""

    id: BusinessId
    name: str
    wabas: tuple[Waba, ...] = ()


class App(msgspec.Struct, frozen=True, omit_defaults=True):
    """An app of a business. Limits are calls; None: the deployment's rule."""

    id: AppId
    business: BusinessId
    name: str
    status: AppStatus = AppStatus.ACTIVE
    require_appsecret_proof: bool = False
    calls_per_hour: int | None = None
    calls_per_business_per_hour: int | None = None


class SystemUser(msgspec.Struct, frozen=True, omit_defaults=True):
    """A system user of a business."""

    id: SystemUserId
    business: BusinessId
    name: str


class Side(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the two apps of a solution; management goes without saying, messaging does not."""

    app: AppId
    messaging: bool = False


class Solution(msgspec.Struct, frozen=True, omit_defaults=True):
    """A multi-partner solution; `status` as the contract spells it."""

    id: SolutionId
    name: str
    owner: Side
    partner: Side
    status: SolutionStatus = SolutionStatus.ACTIVE


class Connection(msgspec.Struct, frozen=True, omit_defaults=True):
    """A business that has dealt with an app."""

    business: BusinessId
    app: AppId


class Share(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a business shares with a solution, and the apps whose grant for it was revoked."""

    business: BusinessId
    solution: SolutionId
    wabas: tuple[WabaId, ...]
    permissions: tuple[Permission, ...]
    status: ShareStatus = ShareStatus.ACTIVE
    revoked_apps: tuple[AppId, ...] = ()


class World(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole world. In its normal form (see `normal`) two equal worlds are equal values."""

    version: int
    businesses: tuple[Business, ...] = ()
    apps: tuple[App, ...] = ()
    system_users: tuple[SystemUser, ...] = ()
    solutions: tuple[Solution, ...] = ()
    connections: tuple[Connection, ...] = ()
    shares: tuple[Share, ...] = ()


def normal(world: World) -> World:
    """Sort everything by id and leave out the connections that a share implies."""
    implied = implied_connections(world)
    return World(
        version=world.version,
        businesses=tuple(sorted((_normal_business(b) for b in world.businesses), key=_by_id)),
        apps=tuple(sorted(world.apps, key=_by_id)),
        system_users=tuple(sorted(world.system_users, key=_by_id)),
        solutions=tuple(sorted(world.solutions, key=_by_id)),
        connections=tuple(sorted(set(world.connections) - implied, key=lambda c: (c.business, c.app))),
        shares=tuple(sorted((_normal_share(s) for s in world.shares), key=lambda s: (s.business, s.solution))),
    )


def implied_connections(world: World) -> frozenset[Connection]:
    """Find what the shares imply: one connects its business to both apps of the solution, and a withdrawal keeps that."""
    apps = {s.id: (s.owner.app, s.partner.app) for s in world.solutions}
    return frozenset(Connection(share.business, app) for share in world.shares for app in apps.get(share.solution, ()))


def _by_id(entity: Business | App | SystemUser | Solution | Waba | PhoneNumber) -> str:
    return entity.id


def _normal_business(business: Business) -> Business:
    wabas = (msgspec.structs.replace(w, phone_numbers=tuple(sorted(w.phone_numbers, key=_by_id))) for w in business.wabas)
    return msgspec.structs.replace(business, wabas=tuple(sorted(wabas, key=_by_id)))


def _normal_share(share: Share) -> Share:
    return msgspec.structs.replace(
        share,
        wabas=tuple(sorted(share.wabas)),
        permissions=tuple(sorted(share.permissions, key=lambda p: p.value)),
        revoked_apps=tuple(sorted(share.revoked_apps)),
    )
