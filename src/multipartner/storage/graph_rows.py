"""The port `graph_ports.GraphReader` over either engine's read side."""

from collections.abc import Iterable, Sequence
from typing import Final

from multipartner.domain.graph import AppNode, Role, SolutionNode
from multipartner.domain.model import AppId, BusinessId, SolutionId, SolutionStatus, SystemUserId, WabaId
from multipartner.domain.nodes import (
    BusinessNode,
    BusinessSight,
    NodeKind,
    PhoneNumberNode,
    PhoneNumberSight,
    SharePath,
    SystemUserNode,
    WabaNode,
    WabaSight,
)
from multipartner.storage import graph_queries as queries
from multipartner.storage.backend import ServingReader
from multipartner.storage.graph_ports import Window
from multipartner.storage.rows import Row, permissions

_WABA_COLUMNS: Final = 4
_SOLUTION_COLUMNS: Final = 9


class GraphRows:
    """See the port."""

    def __init__(self, reader: ServingReader) -> None:
        self._ask = reader.ask

    async def kind_of(self, node_id: str) -> NodeKind | None:
        """See the port."""
        found = await self._ask(queries.KIND_OF, {"node_id": node_id})
        return NodeKind(found[0][0]) if found else None

    async def app_node(self, app_id: AppId) -> AppNode | None:
        """See the port."""
        found = await self._ask(queries.APP_NODE, {"node_id": app_id})
        return AppNode(*found[0]) if found else None

    async def system_user(self, system_user_id: SystemUserId) -> SystemUserNode | None:
        """See the port."""
        found = await self._ask(queries.SYSTEM_USER, {"node_id": system_user_id})
        return SystemUserNode(*found[0]) if found else None

    async def business(self, business_id: BusinessId, app_id: AppId) -> BusinessSight | None:
        """See the port."""
        found = await self._ask(queries.BUSINESS, {"node_id": business_id, "app_id": app_id})
        return _business(found[0]) if found else None

    async def solution_node(self, solution_id: SolutionId) -> SolutionNode | None:
        """See the port."""
        found = await self._ask(queries.SOLUTION_NODE, {"node_id": solution_id})
        return solution_node(found[0]) if found else None

    async def waba(self, waba_id: WabaId, app_id: AppId) -> WabaSight | None:
        """See the port."""
        return next(iter(_wabas(await self._ask(queries.WABA, {"node_id": waba_id, "app_id": app_id}))), None)

    async def phone_number(self, phone_number_id: str, app_id: AppId) -> PhoneNumberSight | None:
        """See the port."""
        found = await self._ask(queries.PHONE_NUMBER, {"node_id": phone_number_id, "app_id": app_id})
        if not found:
            return None
        (waba,) = _wabas(row[2:] for row in found)
        return PhoneNumberSight(PhoneNumberNode(*found[0][:2]), waba)

    async def phone_numbers(self, owner: BusinessId, waba_id: WabaId, window: Window) -> Sequence[PhoneNumberNode]:
        """See the port."""
        found = await self._list(queries.PHONE_NUMBERS, window, business_id=owner, node_id=waba_id)
        return [PhoneNumberNode(*row) for row in found]

    async def connected_businesses(self, app_id: AppId, window: Window) -> Sequence[BusinessSight]:
        """See the port."""
        return [_business(row) for row in await self._list(queries.CONNECTED_BUSINESSES, window, app_id=app_id)]

    async def solutions_of_app(self, app_id: AppId, roles: frozenset[Role], window: Window) -> Sequence[SolutionNode]:
        """See the port."""
        # No id is empty, so an empty one leaves a role out.
        owner, partner = (app_id if role in roles else "" for role in (Role.OWNER, Role.PARTNER))
        found = await self._list(queries.SOLUTIONS_OF_APP, window, owner=owner, partner=partner)
        return [solution_node(row) for row in found]

    async def wabas_of(self, business_id: BusinessId, app_id: AppId, window: Window) -> Sequence[WabaSight]:
        """See the port."""
        return _wabas(await self._list(queries.WabasOf, window, node_id=business_id, app_id=app_id))

    async def shared_wabas(self, app_id: AppId, first: BusinessId, last: BusinessId) -> Sequence[WabaSight]:
        """See the port."""
        return _wabas(await self._ask(queries.SHARED_WABAS, {"app_id": app_id, "first": first, "last": last}))

    async def _list(self, about: "queries.Windowed | type[queries.WabasOf]", window: Window, **values: str) -> Sequence[Row]:
        question = about.backwards if window.backwards else about.forwards
        return await self._ask(question, {**values, "position": window.position, "most": window.most})


def _business(row: Row) -> BusinessSight:
    return BusinessSight(BusinessNode(*row[:2]), row[2])


def solution_node(row: Row) -> SolutionNode:
    """Build what the columns of a solution say."""
    id_, name, status, owner_id, owner_name, partner_id, partner_name, owner_messaging, partner_messaging = row
    return SolutionNode(
        id_,
        name,
        SolutionStatus(status),
        AppNode(owner_id, owner_name),
        AppNode(partner_id, partner_name),
        bool(owner_messaging),
        bool(partner_messaging),
    )


def share_path(row: Row) -> SharePath:
    """Build what the columns of a path say. An app without a grant's row has none."""
    owner_business, partner_business, share_status, granted, grant_status = row[_SOLUTION_COLUMNS:]
    return SharePath(
        solution_node(row[:_SOLUTION_COLUMNS]),
        (owner_business, partner_business),
        share_active=share_status == "ACTIVE",
        permissions=permissions(granted),
        grant_active=grant_status == "ACTIVE",
    )


def _wabas(found: Iterable[Row]) -> list[WabaSight]:
    """Gather the rows of each WABA, in the order of first sight."""
    nodes: dict[str, WabaNode] = {}
    paths: dict[str, list[SharePath]] = {}
    for row in found:
        id_, name, owner_id, owner_name = row[:_WABA_COLUMNS]
        nodes.setdefault(id_, WabaNode(id_, name, BusinessNode(owner_id, owner_name)))
        gathered = paths.setdefault(id_, [])
        if row[_WABA_COLUMNS] is not None:
            gathered.append(share_path(row[_WABA_COLUMNS:]))
    return [WabaSight(node, tuple(paths[id_])) for id_, node in nodes.items()]
