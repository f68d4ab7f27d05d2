"""Reading what a viewer reaches: single nodes by their id, and lists of them. `domain.visibility` decides each of them."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from multipartner.domain.graph import Role, SolutionNode, Viewer
from multipartner.domain.model import AppId, BusinessId, SolutionId, SystemUserId, WabaId
from multipartner.domain.nodes import (
    BusinessSight,
    NodeKind,
    Page,
    PhoneNumberNode,
    Position,
    Scan,
    Sight,
    Slice,
    WabaSight,
)
from multipartner.domain.reasons import Reason, Refusal
from multipartner.domain.visibility import has_partners, lists_customers, live_paths, visible
from multipartner.issuing.paging import among, page, scanned, window
from multipartner.storage.graph_ports import GraphReader, Window

__all__ = ["Reading"]

CUSTOMERS_AT_ONCE: Final = 50
FEWEST_CUSTOMERS: Final = 10
"""Connected businesses in one scan for shared WABAs, at most and at least: otherwise as many as the page has items."""

_GAPS: Final = frozenset("+-")

Resolver = Callable[[Viewer, str], Awaitable[Sight | None]]


class Reading:
    """Reads for viewers that were let in. Every method raises StorageUnavailable.

    What there is not and what the viewer does not see are one refusal, after the same number of reads.
    """

    def __init__(self, reader: GraphReader) -> None:
        self._reader = reader
        self._resolvers: dict[NodeKind, Resolver] = {
            NodeKind.BUSINESS: lambda viewer, id_: reader.business(BusinessId(id_), viewer.app_id),
            NodeKind.APP: lambda _, id_: reader.app_node(AppId(id_)),
            NodeKind.SOLUTION: lambda _, id_: reader.solution_node(SolutionId(id_)),
            NodeKind.WABA: lambda viewer, id_: reader.waba(WabaId(id_), viewer.app_id),
            NodeKind.PHONE_NUMBER: lambda viewer, id_: reader.phone_number(id_, viewer.app_id),
            NodeKind.SYSTEM_USER: lambda _, id_: reader.system_user(SystemUserId(id_)),
        }

    async def node(self, viewer: Viewer, node_id: str) -> Sight | Refusal:
        """Whatever has this id."""
        # An id that nothing has is looked for as well: finding out that it is nobody's takes what somebody else's takes.
        kind = await self._reader.kind_of(node_id) or NodeKind.WABA
        return _seen(viewer, await self._resolvers[kind](viewer, node_id))

    async def solution(self, viewer: Viewer, node_id: str) -> SolutionNode | Refusal:
        """A solution."""
        return _seen(viewer, await self._reader.solution_node(SolutionId(node_id)))

    async def customers(self, viewer: Viewer, node_id: str, part: Slice) -> Page[BusinessSight] | Refusal:
        """The businesses that are connected to the viewer's app."""

        async def scan(part: Slice) -> Scan[BusinessSight]:
            ahead = window(part)
            return scanned(part, await self._reader.connected_businesses(viewer.app_id, ahead), lambda sight: sight.node.id)

        refusal = lists_customers(viewer, node_id)
        return refusal or await page(part, scan, lambda sight: visible(viewer, sight) is None)

    async def solutions_of_app(
        self, viewer: Viewer, node_id: str, roles: frozenset[Role], part: Slice
    ) -> Page[SolutionNode] | Refusal:
        """The solutions in which the app of this id, the viewer's own, has one of these roles."""

        async def scan(part: Slice) -> Scan[SolutionNode]:
            found = await self._reader.solutions_of_app(viewer.app_id, roles, window(part))
            return scanned(part, found, lambda node: node.id)

        app = _seen(viewer, await self._reader.app_node(AppId(node_id)))
        if isinstance(app, Refusal):
            return app
        return await page(part, scan, lambda node: visible(viewer, node) is None)

    async def owned_wabas(self, viewer: Viewer, node_id: str, find: str | None, part: Slice) -> Page[WabaSight] | Refusal:
        """The WABAs that a business owns; `find`: at most the one with this id."""
        business = _seen(viewer, await self._reader.business(BusinessId(node_id), viewer.app_id))
        if isinstance(business, Refusal):
            return business
        owner = business.node.id

        async def scan(part: Slice) -> Scan[WabaSight]:
            if find is not None:
                waba = await self._reader.waba(WabaId(find), viewer.app_id)
                return among(part, [waba] if waba is not None and waba.node.owner.id == owner else [], _id_of)
            if owner == viewer.business_id:
                return scanned(part, await self._reader.wabas_of(owner, viewer.app_id, window(part)), _id_of)
            # A customer's: those that are not shared must not show, and neither that there are such.
            return among(part, await self._reader.shared_wabas(viewer.app_id, owner, owner), _id_of)

        return await page(part, scan, lambda sight: visible(viewer, sight) is None)

    async def client_wabas(
        self, viewer: Viewer, node_id: str, partners: frozenset[str], find: str | None, part: Slice
    ) -> Page[WabaSight] | Refusal:
        """The WABAs that customers share with the viewer's app, if the business is the app's own; of another one none are known.

        `partners`: only what is shared with solutions that have all of these, apps or businesses. `find` as above.
        """

        async def scan(part: Slice) -> Scan[WabaSight]:
            if node_id != viewer.business_id:
                return Scan((), None)
            if find is not None:
                waba = await self._reader.waba(WabaId(find), viewer.app_id)
                return among(part, [waba] if waba is not None else [], _id_of)
            return await self._shared(viewer, part)

        def sees(sight: WabaSight) -> bool:
            paths = live_paths(viewer, sight)
            return bool(paths) and sight.node.owner.id != node_id and has_partners(paths, partners)

        business = _seen(viewer, await self._reader.business(BusinessId(node_id), viewer.app_id))
        return business if isinstance(business, Refusal) else await page(part, scan, sees)

    async def phone_numbers(self, viewer: Viewer, node_id: str, part: Slice) -> Page[PhoneNumberNode] | Refusal:
        """The phone numbers of a WABA."""
        waba = _seen(viewer, await self._reader.waba(WabaId(node_id), viewer.app_id))
        if isinstance(waba, Refusal):
            return waba
        owner, waba_id = waba.node.owner.id, waba.node.id

        async def scan(part: Slice) -> Scan[PhoneNumberNode]:
            return scanned(part, await self._reader.phone_numbers(owner, waba_id, window(part)), lambda node: node.id)

        return await page(part, scan, lambda _: True)

    async def solutions_of_waba(self, viewer: Viewer, node_id: str, part: Slice) -> Page[SolutionNode] | Refusal:
        """The solutions with which a WABA is shared now, of those the viewer's app is a party to."""
        waba = _seen(viewer, await self._reader.waba(WabaId(node_id), viewer.app_id))
        if isinstance(waba, Refusal):
            return waba
        nodes = [path.solution for path in live_paths(viewer, waba)]

        async def scan(part: Slice) -> Scan[SolutionNode]:
            return among(part, nodes, lambda node: node.id)

        return await page(part, scan, lambda _: True)

    async def _shared(self, viewer: Viewer, part: Slice) -> Scan[WabaSight]:
        """Shared WABAs by owner and id. Beside a WABA's own, positions are after (+) and before (-) all of an owner's."""
        beyond = "-" if part.backwards else "+"
        business_id, place = part.position or ("", beyond)
        if place != beyond:
            first = last = BusinessId(business_id)
            more_from: Position | None = (business_id, beyond)
        else:
            ahead = Window(min(max(part.limit, FEWEST_CUSTOMERS), CUSTOMERS_AT_ONCE), business_id, part.backwards)
            found = [sight.node.id for sight in await self._reader.connected_businesses(viewer.app_id, ahead)]
            if not found:
                return Scan((), None)
            first, last = (found[-1], found[0]) if part.backwards else (found[0], found[-1])
            more_from = (found[-1], beyond) if len(found) == ahead.most else None
        wabas = await self._reader.shared_wabas(viewer.app_id, first, last)
        rows = sorted((((sight.node.owner.id, sight.node.id), sight) for sight in wabas), key=lambda row: row[0])
        if place not in _GAPS:
            rows = [row for row in rows if (row[0] < part.position if part.backwards else row[0] > part.position)]
        return Scan(rows[::-1] if part.backwards else rows, more_from)


Known = TypeVar("Known", bound=Sight)


def _seen(viewer: Viewer, sight: Known | None) -> Known | Refusal:
    if sight is None:
        return Refusal(Reason.NODE_UNKNOWN)
    return visible(viewer, sight) or sight


def _id_of(sight: WabaSight) -> str:
    return sight.node.id
