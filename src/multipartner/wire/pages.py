"""Pages of lists: `limit`, `after` and `before` in, `data` and `paging` out (contract: CursorPaging; facts: graph-wire 3)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from multipartner.domain.reasons import Reason, Refusal
from multipartner.wire.ask import ID_PATTERN
from multipartner.wire.graph_ask import ParameterRefused, Parameters
from multipartner.wire.solutions import encode

DEFAULT_LIMIT: Final = 25
MOST_LIMIT: Final = 100

SORTS: Final = tuple(f"{what}.{way}" for what in ("creation_time", "last_onboarded_time") for way in ("asc", "desc"))
"""What the contract sorts phone numbers by; neither instant is known."""

_ID: Final = re.compile(ID_PATTERN)
_MOST_FILTERS: Final = 4


class PageAsked(msgspec.Struct, frozen=True):
    """Which page: how many at most, and the cursor that it begins at, if any."""

    limit: int
    cursor: str
    backwards: bool


def page_asked(given: Parameters) -> PageAsked:
    """Read the parameters; `first` and `last` are the names that one operation of the contract has. Raises ParameterRefused."""
    after, before = given.text("after") or "", given.text("before") or ""
    if after and before:
        raise refused("before")
    limit = given.number("limit", MOST_LIMIT)
    first, last = given.number("first", MOST_LIMIT), given.number("last", MOST_LIMIT)
    sizes = [size for size in (limit, first, last) if size is not None]
    if len(sizes) > 1:
        raise refused("limit")
    # `last` alone would ask for a list's end, which is found by going through it.
    if (first is not None and before) or (last is not None and not before):
        raise refused("last" if last is not None else "first")
    return PageAsked(sizes[0] if sizes else DEFAULT_LIMIT, after or before, backwards=bool(before))


def partners_asked(given: Parameters) -> frozenset[str] | Refusal:
    """Read `filtering=[{"field":"partners","operator":"ALL","value":["<id>"]}]`; empty without it.

    What is no such list is refused as malformed, another field or operator as not available. Raises ParameterRefused.
    """
    text = given.text("filtering")
    if not text:
        return frozenset()
    try:
        filters = msgspec.json.decode(text, type=list[_Filter])
    except (msgspec.DecodeError, RecursionError) as error:
        raise refused("filtering") from error
    if len(filters) > _MOST_FILTERS:
        raise refused("filtering")
    found: set[str] = set()
    for each in filters:
        if each.field != "partners" or each.operator != "ALL":
            return Refusal(Reason.FILTER_UNAVAILABLE, fact="filtering")
        if isinstance(each.value, str) or len(each.value) > _MOST_FILTERS:
            raise refused("filtering")
        found |= set(each.value)
    if not all(_ID.fullmatch(value) for value in found):
        raise refused("filtering")
    return frozenset(found)


def unavailable(given: Parameters, *names: str) -> Refusal | None:
    """Refuse what the contract can narrow or sort a list by and the facts cannot. Raises ParameterRefused."""
    found = next((name for name in names if given.text(name) is not None), None)
    return None if found is None else Refusal(Reason.FILTER_UNAVAILABLE, fact=found)


def refused(name: str, fact: str = "") -> ParameterRefused:
    """Refuse a parameter for its shape."""
    return ParameterRefused(Refusal(Reason.INVALID_PARAMETER, fact=fact or name, parameter=name))


class Ends(msgspec.Struct, frozen=True):
    """Cursors of a page's ends, and on which sides there is more."""

    before: str
    after: str
    has_previous: bool
    has_next: bool


def listed(data: Sequence[Mapping[str, Any]], ends: Ends | None, url: str, parameters: Mapping[str, str]) -> bytes:
    """Print a page. `url` is the list's own address as configured; `parameters` are repeated in the addresses of its neighbours.

    They never hold a credential. A page without ends, that of an empty list, has no `paging`.
    """
    if ends is None:
        return encode({"data": data})
    paging: dict[str, Any] = {"cursors": {"before": ends.before, "after": ends.after}}
    if ends.has_previous:
        paging["previous"] = f"{url}?{urlencode({**parameters, 'before': ends.before})}"
    if ends.has_next:
        paging["next"] = f"{url}?{urlencode({**parameters, 'after': ends.after})}"
    return encode({"data": data, "paging": paging})


class _Filter(msgspec.Struct, forbid_unknown_fields=True):
    field: str
    operator: str
    value: list[str] | str
