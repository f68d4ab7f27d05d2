"""When, and by whom, the state was made that a request was refused for: the newest change in the trail that made it."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from multipartner.domain.events import Event, EventKind, RefusalRecord
from multipartner.domain.model import USABLE_SOLUTION, SolutionStatus
from multipartner.domain.reasons import Reason
from multipartner.storage.trail_reading import Filter


class MadeSo(msgspec.Struct, frozen=True):
    """A change of facts: when (Unix seconds), by whom, its kind, and what it was in words."""

    at_s: int
    actor: str
    kind: str
    text: str


class _Maker(msgspec.Struct, frozen=True):
    """A kind of event that makes a state: with the refusal's own ids, and with one of the statuses, if some are named."""

    kind: EventKind
    text: str
    ids: tuple[str, ...]
    statuses: frozenset[str] = frozenset()

    def made(self, event: Event, record: RefusalRecord) -> bool:
        if event.kind is not self.kind or (self.statuses and event.detail.get("status") not in self.statuses):
            return False
        return all(_id_of(event, name) == getattr(record, name) for name in self.ids)


_APP, _SOLUTION, _SHARE = ("app_id",), ("solution_id",), ("business_id", "solution_id")
_UNUSABLE: Final = frozenset(status.value for status in set(SolutionStatus) - USABLE_SOLUTION)

_MAKERS: Final[Mapping[Reason, tuple[_Maker, ...]]] = {
    Reason.APP_SUSPENDED: (
        _Maker(EventKind.APP_SUSPENDED, "app suspended", _APP),
        _Maker(EventKind.APP_DECLARED, "app declared, suspended", _APP, frozenset({"suspended"})),
    ),
    Reason.SOLUTION_INACTIVE: (
        _Maker(EventKind.SOLUTION_DEACTIVATED, "solution deactivated", _SOLUTION),
        _Maker(EventKind.SOLUTION_CREATED, "solution created, not accepted yet", _SOLUTION),
        _Maker(EventKind.SOLUTION_REJECTED, "invitation rejected", _SOLUTION),
        _Maker(EventKind.SOLUTION_DECLARED, "solution declared, not active", _SOLUTION, _UNUSABLE),
    ),
    Reason.NOTHING_SHARED: (
        _Maker(EventKind.SHARE_REVOKED, "share withdrawn", _SHARE),
        _Maker(EventKind.SHARE_MADE, "share declared, withdrawn", _SHARE, frozenset({"withdrawn"})),
    ),
    Reason.GRANT_REVOKED: (
        _Maker(EventKind.GRANT_REVOKED, "grant revoked", ("app_id", *_SHARE)),
        _Maker(EventKind.SHARE_MADE, "share declared, without this grant", _SHARE),
    ),
    Reason.PERMISSION_MISSING: (_Maker(EventKind.CREDENTIAL_CREATED, "caller token made", ("credential_id",)),),
}


def is_made(reason: Reason) -> bool:
    """Whether it is a change of facts that makes what this reason refuses."""
    return reason in _MAKERS


def narrowest(record: RefusalRecord) -> Filter:
    """The filter that keeps every event which can have made it."""
    shared = set.intersection(*(set(maker.ids) for maker in _MAKERS[record.reason]))
    return Filter(**{name: getattr(record, name) for name in ("app_id", "solution_id", "business_id") if name in shared})


def may_make(reason: Reason, line: str) -> bool:
    """Whether an event, as `export` writes it, is of a kind that makes it; most of a trail is not."""
    return any(f'"{maker.kind.value}"' in line for maker in _MAKERS[reason])


def made_so(record: RefusalRecord, lines: Iterable[str]) -> MadeSo | None:
    """Find the newest change up to the refusal among events as `export` writes them; None if the trail does not have it."""
    makers = _MAKERS[record.reason]
    found: MadeSo | None = None
    for line in lines:
        if not may_make(record.reason, line):
            continue
        try:
            event = msgspec.json.decode(line, type=Event)
        except msgspec.DecodeError:  # written by a newer version: not what we look for
            continue
        if event.at_s > record.at_s:
            break
        maker = next((maker for maker in makers if maker.made(event, record)), None)
        if maker is not None:
            found = MadeSo(event.at_s, event.actor, event.kind.value, maker.text)
    return found


def _id_of(event: Event, name: str) -> str:
    return str(getattr(event, name, "") or event.detail.get(name, ""))
