"""One page of a list, gathered from scans of the store: by keys, in either direction, with an end to the work."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from multipartner.domain.nodes import Page, Position, Scan, Slice
from multipartner.storage.graph_ports import Window

MOST_SCANS: Final = 4
"""So many times a page is looked for; if it is not full then, it is given as it is, with a way to go on."""

Item = TypeVar("Item")


def window(part: Slice) -> Window:
    """The store's word for a part of a list that lies in the order of one id."""
    return Window(part.limit, part.position[0] if part.position else "", part.backwards)


def scanned(part: Slice, found: Sequence[Item], id_of: Callable[[Item], str]) -> Scan[Item]:
    """What such a window had."""
    rows = [((id_of(item),), item) for item in found]
    return Scan(rows, rows[-1][0] if len(rows) == part.limit else None)


def among(part: Slice, whole: Sequence[Item], id_of: Callable[[Item], str]) -> Scan[Item]:
    """Find the part of a list that was read whole."""
    # Sorted here: ids are ASCII digits, and the text order of a database depends on its collation.
    found = sorted((((id_of(item),), item) for item in whole), key=lambda row: row[0], reverse=part.backwards)
    if part.position:
        found = [row for row in found if (row[0] < part.position if part.backwards else row[0] > part.position)]
    return Scan(found, None)


async def page(part: Slice, scan: Callable[[Slice], Awaitable[Scan[Item]]], sees: Callable[[Item], bool]) -> Page[Item]:
    """Gather one page. What is not for this viewer leaves no trace in it, and none in its ends."""
    items: list[Item] = []
    near: Position | None = None
    far, here = near, part.position
    for _ in range(MOST_SCANS):
        # One more than fits: so it is known whether there is a next page.
        found = await scan(Slice(part.limit + 1, here, part.backwards))
        for position, item in found.rows:
            if not sees(item):
                continue
            if len(items) == part.limit:
                return _made(part, items, (near, far), more=True)
            near, far = near or position, position
            items.append(item)
        if found.more_from is None:
            return _made(part, items, (near, far), more=False)
        far = here = found.more_from
    return _made(part, items, (near, far), more=True)


def _made(part: Slice, items: list[Item], ends: tuple[Position | None, Position | None], *, more: bool) -> Page[Item]:
    far = ends[1]
    near = ends[0] or far
    came = bool(part.position)
    if part.backwards:
        return Page(tuple(items[::-1]), far, near, has_previous=more, has_next=came)
    return Page(tuple(items), near, far, has_previous=came, has_next=more)
