"""What reading over the API asks of a store, each method in one statement. Every promise holds for every backend."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from multipartner.domain.graph import AppNode, Role, SolutionNode
from multipartner.domain.model import AppId, BusinessId, SolutionId, SystemUserId, WabaId
from multipartner.domain.nodes import (
    BusinessSight,
    NodeKind,
    PhoneNumberNode,
    PhoneNumberSight,
    SystemUserNode,
    WabaSight,
)


class Window(msgspec.Struct, frozen=True):
    """At most `most` rows whose id comes after `position`, nearest first; `backwards` before it. "" is either end."""

    most: int
    position: str = ""
    backwards: bool = False


class GraphReader(Protocol):
    """Single things are None when there is none. Every method raises StorageUnavailable.

    What is read is what was acknowledged before, unless the feed cannot be confirmed: whoever asks has polled it.
    `app_id` is the viewer's: facts about shares and connections are those of that app.
    """

    async def kind_of(self, node_id: str) -> NodeKind | None:
        """What an id names."""
        ...

    async def app_node(self, app_id: AppId) -> AppNode | None:
        """An app."""
        ...

    async def system_user(self, system_user_id: SystemUserId) -> SystemUserNode | None:
        """A system user."""
        ...

    async def business(self, business_id: BusinessId, app_id: AppId) -> BusinessSight | None:
        """A business."""
        ...

    async def solution_node(self, solution_id: SolutionId) -> SolutionNode | None:
        """A solution with its apps."""
        ...

    async def waba(self, waba_id: WabaId, app_id: AppId) -> WabaSight | None:
        """A WABA."""
        ...

    async def phone_number(self, phone_number_id: str, app_id: AppId) -> PhoneNumberSight | None:
        """A phone number with its WABA."""
        ...

    async def phone_numbers(self, owner: BusinessId, waba_id: WabaId, window: Window) -> Sequence[PhoneNumberNode]:
        """The phone numbers of a WABA, by id."""
        ...

    async def connected_businesses(self, app_id: AppId, window: Window) -> Sequence[BusinessSight]:
        """The businesses that are connected to an app, by id."""
        ...

    async def solutions_of_app(self, app_id: AppId, roles: frozenset[Role], window: Window) -> Sequence[SolutionNode]:
        """The solutions in which an app has one of these roles, by id."""
        ...

    async def wabas_of(self, business_id: BusinessId, app_id: AppId, window: Window) -> Sequence[WabaSight]:
        """A business's WABAs, by id."""
        ...

    async def shared_wabas(self, app_id: AppId, first: BusinessId, last: BusinessId) -> Sequence[WabaSight]:
        """All WABAs that connected businesses, from the first to the last one by id, share with solutions of an app."""
        ...
