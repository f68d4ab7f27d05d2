"""The operations that read what a token reaches: nodes by their id, lists of them, and `/me`.

The shape of a request is judged first, then who sees what, then whether it can be told: so an answer about fields or filters
tells nobody that something is there.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from multipartner.domain.graph import Role, ViewerKind
from multipartner.domain.nodes import GranteeNode, Page, Slice, WabaSight, bare
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.cursors import CursorRefused, Cursors
from multipartner.issuing.reading import Reading
from multipartner.web.graph_operations import NodeReader, Operation, Operations, Work
from multipartner.wire import fields, nodes, pages
from multipartner.wire import solutions as wire

ME: Final = "/me"

_PAGED: Final = frozenset({"fields", "limit", "after", "before"})
_FIND: Final = frozenset({"find", "business_type"})
_REPEATED: Final = ("fields", "role", "find", "filtering")

Found = Page[Any] | Refusal


class _List(msgspec.Struct, frozen=True):
    """One list: its path's edge, its items' kind, how to read it, what narrows it, and what was asked for in vain."""

    edge: str
    kind: fields.Kind
    fetch: Callable[[Slice], Awaitable[Found]]
    narrowed: tuple[str, ...] = ()
    unavailable: Refusal | None = None


class Reads:
    """Runs them. `base` is the service's configured address: those of neighbouring pages begin with it.

    `others` read nodes that `reading` does not know.
    """

    def __init__(self, reading: Reading, cursors: Cursors, base: str, others: Sequence[NodeReader] = ()) -> None:
        self._reading = reading
        self._cursors = cursors
        self._base = base
        self._others = others

    def operations(self) -> Operations:
        """All of them, by edge and method."""
        reads = {
            "": Operation("getNode", frozenset({"fields"}), self.node),
            ME: Operation("getMe", frozenset({"fields"}), self.me),
            "partners": Operation("getSolutionPartners", frozenset(), self.partners),
            "connected_client_businesses": Operation("getConnectedClientBusinesses", _PAGED, self.customers),
            "whatsapp_business_solutions": Operation(
                "getApplicationWhatsAppBusinessSolutions", _PAGED | {"role"}, self.solutions_of_app
            ),
            "owned_whatsapp_business_accounts": Operation(
                "getOwnedWhatsAppBusinessAccounts", _PAGED | _FIND | {"first", "last"}, self.owned_wabas
            ),
            "client_whatsapp_business_accounts": Operation(
                "getClientWhatsAppBusinessAccounts", _PAGED | _FIND | {"filtering"}, self.client_wabas
            ),
            "phone_numbers": Operation(
                "getWhatsAppBusinessAccountPhoneNumbers", _PAGED | {"filtering", "sort"}, self.phone_numbers
            ),
            "solutions": Operation("listWabaSolutions", _PAGED, self.solutions_of_waba),
        }
        return {edge: {"GET": operation} for edge, operation in reads.items()}

    async def node(self, work: Work) -> bytes | Refusal:
        """`GET /{id}`, whatever it names."""
        found = await self._node(work, work.presented.node_id)
        if not isinstance(found, Refusal) or found.reason is not Reason.NODE_UNKNOWN:
            return found
        for other in self._others:
            told = await other(work)
            if told is not None:
                return told
        return found

    async def me(self, work: Work) -> bytes | Refusal:
        """`GET /me`: the system user of a caller token; of a granular one the customer that it speaks for."""
        viewer = work.viewer
        if viewer.kind is ViewerKind.APP:
            return Refusal(Reason.CREDENTIAL_NOT_ENOUGH, fact=viewer.kind.value)
        if viewer.tenant is None:
            return await self._node(work, viewer.id)
        return _printed(nodes.GRANTEE, GranteeNode(viewer.id, viewer.tenant.business_id), work)

    async def partners(self, work: Work) -> bytes | Refusal:
        """`GET /{Solution-ID}/partners`."""
        node = await self._reading.solution(work.viewer, work.presented.node_id)
        if isinstance(node, Refusal):
            return node
        return wire.encode({"data": [fields.printed(wire.PARTNER, node, fields.default(wire.PARTNER))]})

    async def customers(self, work: Work) -> bytes | Refusal:
        """`GET /{Application-ID}/connected_client_businesses`; under the id of the app's own business it is the same."""
        fetch = partial(self._reading.customers, work.viewer, work.presented.node_id)
        return await self._list(work, _List("connected_client_businesses", nodes.CUSTOMER, fetch))

    async def solutions_of_app(self, work: Work) -> bytes | Refusal:
        """`GET /{Application-ID}/whatsapp_business_solutions`."""
        role = work.parameters.choice("role", tuple(each.value for each in Role))
        roles = frozenset({Role(role)} if role else Role)
        fetch = partial(self._reading.solutions_of_app, work.viewer, work.presented.node_id, roles)
        return await self._list(work, _List("whatsapp_business_solutions", wire.SOLUTION, fetch, (role or "",)))

    async def owned_wabas(self, work: Work) -> bytes | Refusal:
        """`GET /{Business-ID}/owned_whatsapp_business_accounts`."""
        find = work.parameters.id("find")
        vain = pages.unavailable(work.parameters, "business_type")
        fetch = partial(self._reading.owned_wabas, work.viewer, work.presented.node_id, find)
        return await self._list(work, _List("owned_whatsapp_business_accounts", nodes.WABA, fetch, (find or "",), vain))

    async def client_wabas(self, work: Work) -> bytes | Refusal:
        """`GET /{Business-ID}/client_whatsapp_business_accounts`."""
        find = work.parameters.id("find")
        asked = pages.partners_asked(work.parameters)
        vain = pages.unavailable(work.parameters, "business_type")
        partners: frozenset[str] = frozenset()
        if isinstance(asked, Refusal):
            vain = asked
        else:
            partners = asked
        fetch = partial(self._reading.client_wabas, work.viewer, work.presented.node_id, partners, find)
        narrowed = (find or "", *sorted(partners))
        return await self._list(work, _List("client_whatsapp_business_accounts", nodes.WABA, fetch, narrowed, vain))

    async def phone_numbers(self, work: Work) -> bytes | Refusal:
        """`GET /{WABA-ID}/phone_numbers`."""
        work.parameters.choice("sort", pages.SORTS)
        vain = pages.unavailable(work.parameters, "sort")
        filters = pages.partners_asked(work.parameters)
        if filters:
            # Numbers have no partners, and what else the contract filters them by is not known.
            vain = filters if isinstance(filters, Refusal) else Refusal(Reason.FILTER_UNAVAILABLE, fact="filtering")
        fetch = partial(self._reading.phone_numbers, work.viewer, work.presented.node_id)
        return await self._list(work, _List("phone_numbers", nodes.PHONE_NUMBER, fetch, (), vain))

    async def solutions_of_waba(self, work: Work) -> bytes | Refusal:
        """`GET /{WABA-ID}/solutions`."""
        fetch = partial(self._reading.solutions_of_waba, work.viewer, work.presented.node_id)
        return await self._list(work, _List("solutions", wire.SOLUTION, fetch))

    async def _node(self, work: Work, node_id: str) -> bytes | Refusal:
        fields.read(work.parameters.text("fields") or "id")
        sight = await self._reading.node(work.viewer, node_id)
        if isinstance(sight, Refusal):
            return sight
        found = bare(sight)
        return _printed(nodes.KINDS[type(found)], found, work)

    async def _list(self, work: Work, about: _List) -> bytes | Refusal:
        given, presented = work.parameters, work.presented
        fields.read(given.text("fields") or "id")
        asked = pages.page_asked(given)
        of = (presented.operation, presented.node_id, *about.narrowed)
        page = await about.fetch(await self._slice(work, of, asked))
        if isinstance(page, Refusal):
            return page
        chosen = fields.chosen(about.kind, given.text("fields"))
        if isinstance(chosen, Refusal):
            return chosen
        if about.unavailable is not None:
            return about.unavailable
        items = (item.node if isinstance(item, WabaSight) else item for item in page.items)
        data = [fields.printed(about.kind, item, chosen) for item in items]
        url = f"{self._base}/{presented.version}/{presented.node_id}/{about.edge}"
        return pages.listed(data, await self._ends(work, of, page), url, _repeated(work, asked))

    async def _slice(self, work: Work, of: tuple[str, ...], asked: pages.PageAsked) -> Slice:
        if not asked.cursor:
            return Slice(asked.limit)
        try:
            position = await self._cursors.take(work.viewer, of, asked.cursor, work.presented.now.wall_s)
        except CursorRefused as error:
            raise pages.refused("before" if asked.backwards else "after", f"cursor: {error}") from error
        return Slice(asked.limit, position, asked.backwards)

    async def _ends(self, work: Work, of: tuple[str, ...], page: Page[Any]) -> pages.Ends | None:
        if page.before is None or page.after is None:
            return None
        positions = (page.before, page.after)
        before, after = await self._cursors.give(work.viewer, of, positions, work.presented.now.wall_s)
        return pages.Ends(before, after, page.has_previous, page.has_next)


def _printed(kind: fields.Kind, node: object, work: Work) -> bytes | Refusal:
    chosen = fields.chosen(kind, work.parameters.text("fields"))
    return chosen if isinstance(chosen, Refusal) else wire.encode(fields.printed(kind, node, chosen))


def _repeated(work: Work, asked: pages.PageAsked) -> dict[str, str]:
    """What the addresses of neighbouring pages repeat: never a credential."""
    given = {name: work.parameters.text(name) for name in _REPEATED}
    return {name: value for name, value in given.items() if value} | {"limit": str(asked.limit)}
