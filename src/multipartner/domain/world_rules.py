"""What must hold in a declared world before it can be applied. Pure; every breach is told, with its place.

A world stands for itself: what it refers to, it declares.
"""

import re
import unicodedata
from collections.abc import Callable, Container, Iterator, Sequence

import msgspec

from multipartner.domain.model import WabaId
from multipartner.domain.world import VERSION, Connection, Share, Solution, World

_ID = re.compile(r"[0-9]{1,64}", re.ASCII)
_UNSEEN = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Bidirectional controls: text that shows as other text than it is."""

Path = tuple[str | int, ...]


class Problem(msgspec.Struct, frozen=True):
    """What is wrong, and where; `refers_to` names the section in which a reference found nothing."""

    path: Path
    text: str
    refers_to: str = ""


class Contradiction(msgspec.Struct, frozen=True):
    """What a declared entity (its section and id) says against a fact that does not change."""

    section: str
    id: str
    text: str


def problems(world: World) -> list[Problem]:
    """All that is wrong with a world, in the order of the file; empty when it can be applied."""
    found: list[Problem] = []
    if world.version != VERSION:
        found.append(Problem(("version",), f"must be {VERSION}"))
    for check in _CHECKS:
        found.extend(check(world))
    return found


def _businesses(world: World) -> Iterator[Problem]:
    yield from _repeated(("businesses",), [b.id for b in world.businesses])
    wabas: set[str] = set()
    numbers: set[str] = set()
    for i, business in enumerate(world.businesses):
        at: Path = ("businesses", i)
        yield from _identity(at, business.id, business.name)
        for j, waba in enumerate(business.wabas):
            yield from _identity((*at, "wabas", j), waba.id, waba.name)
            yield from _taken((*at, "wabas", j, "id"), waba.id, wabas)
            for k, number in enumerate(waba.phone_numbers):
                here: Path = (*at, "wabas", j, "phone_numbers", k)
                yield from _well_formed((*here, "id"), number.id)
                yield from _named((*here, "display_phone_number"), number.display_phone_number, (1, 32))
                yield from _taken((*here, "id"), number.id, numbers)


def _apps(world: World) -> Iterator[Problem]:
    businesses = {b.id for b in world.businesses}
    yield from _repeated(("apps",), [a.id for a in world.apps])
    for i, app in enumerate(world.apps):
        at: Path = ("apps", i)
        yield from _identity(at, app.id, app.name)
        yield from _known((*at, "business"), app.business, businesses, "businesses")
        for name in ("calls_per_hour", "calls_per_business_per_hour"):
            calls = getattr(app, name)
            if calls is not None and not 1 <= calls < 2**62:
                yield Problem((*at, name), "must be at least 1")


def _system_users(world: World) -> Iterator[Problem]:
    businesses = {b.id for b in world.businesses}
    yield from _repeated(("system_users",), [u.id for u in world.system_users])
    for i, user in enumerate(world.system_users):
        yield from _identity(("system_users", i), user.id, user.name)
        yield from _known(("system_users", i, "business"), user.business, businesses, "businesses")


def _solutions(world: World) -> Iterator[Problem]:
    apps = {a.id for a in world.apps}
    yield from _repeated(("solutions",), [s.id for s in world.solutions])
    for i, solution in enumerate(world.solutions):
        at: Path = ("solutions", i)
        yield from _well_formed((*at, "id"), solution.id)
        yield from _named((*at, "name"), solution.name, (2, 75))
        yield from _known((*at, "owner", "app"), solution.owner.app, apps, "apps")
        yield from _known((*at, "partner", "app"), solution.partner.app, apps, "apps")
        if solution.owner.app == solution.partner.app:
            yield Problem((*at, "partner", "app"), "must be another app than the owner's")


def _connections(world: World) -> Iterator[Problem]:
    businesses, apps = {b.id for b in world.businesses}, {a.id for a in world.apps}
    seen: set[Connection] = set()
    for i, connection in enumerate(world.connections):
        yield from _known(("connections", i, "business"), connection.business, businesses, "businesses")
        yield from _known(("connections", i, "app"), connection.app, apps, "apps")
        if connection in seen:
            yield Problem(("connections", i), f"{connection.business} and {connection.app} are connected above")
        seen.add(connection)


def _shares(world: World) -> Iterator[Problem]:
    owned = {b.id: {w.id for w in b.wabas} for b in world.businesses}
    solutions = {s.id: s for s in world.solutions}
    seen: set[tuple[str, str]] = set()
    for i, share in enumerate(world.shares):
        at: Path = ("shares", i)
        yield from _known((*at, "business"), share.business, owned, "businesses")
        yield from _known((*at, "solution"), share.solution, solutions, "solutions")
        if (share.business, share.solution) in seen:
            yield Problem(at, f"{share.business} shares with {share.solution} above")
        seen.add((share.business, share.solution))
        yield from _shared_wabas(at, share, owned.get(share.business))
        if not share.permissions:
            yield Problem((*at, "permissions"), "must name at least one")
        yield from _repeats((*at, "permissions"), [p.value for p in share.permissions])
        yield from _revoked_apps(at, share, solutions.get(share.solution))


def _shared_wabas(at: Path, share: Share, owned: set[WabaId] | None) -> Iterator[Problem]:
    if not share.wabas:
        yield Problem((*at, "wabas"), "must name at least one")
    yield from _repeats((*at, "wabas"), share.wabas)
    for j, waba in enumerate(share.wabas if owned is not None else ()):
        if owned is not None and waba not in owned:
            yield Problem((*at, "wabas", j), f"business {_shown(share.business)} owns no WABA {_shown(waba)}", "businesses")


def _revoked_apps(at: Path, share: Share, solution: Solution | None) -> Iterator[Problem]:
    yield from _repeats((*at, "revoked_apps"), share.revoked_apps)
    if solution is None:
        return
    for j, app in enumerate(share.revoked_apps):
        if app not in (solution.owner.app, solution.partner.app):
            yield Problem((*at, "revoked_apps", j), f"{_shown(app)} is no app of solution {_shown(solution.id)}", "solutions")


_CHECKS: tuple[Callable[[World], Iterator[Problem]], ...] = (
    _businesses,
    _apps,
    _system_users,
    _solutions,
    _connections,
    _shares,
)


def _identity(at: Path, entity_id: str, name: str) -> Iterator[Problem]:
    yield from _well_formed((*at, "id"), entity_id)
    yield from _named((*at, "name"), name, (1, 200))


def _well_formed(path: Path, entity_id: str) -> Iterator[Problem]:
    if _ID.fullmatch(entity_id) is None:
        yield Problem(path, "must be 1 to 64 ASCII digits in quotes")


def _named(path: Path, name: str, length: tuple[int, int]) -> Iterator[Problem]:
    """Length is counted in Unicode code points."""
    shortest, longest = length
    if not shortest <= len(name) <= longest:
        yield Problem(path, f"must have {shortest} to {longest} characters, has {len(name)}")
    elif name != name.strip():
        yield Problem(path, "must not begin or end with a space")
    for char in name:
        if unicodedata.category(char) in _UNSEEN or char in _TURNING:
            yield Problem(path, f"must not contain U+{ord(char):04X}")
            break


def _known(path: Path, entity_id: str, known: Container[object], section: str) -> Iterator[Problem]:
    if entity_id not in known:
        yield Problem(path, f"no {_shown(entity_id)} in {section}", section)


def _taken(path: Path, entity_id: str, seen: set[str]) -> Iterator[Problem]:
    if entity_id in seen:
        yield Problem(path, f"{_shown(entity_id)} is declared above")
    seen.add(entity_id)


def _repeated(at: Path, ids: Sequence[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for i, entity_id in enumerate(ids):
        yield from _taken((*at, i, "id"), entity_id, seen)


def _repeats(at: Path, values: Sequence[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for i, value in enumerate(values):
        yield from _taken((*at, i), value, seen)


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:40] + "...")
