"""What a world file leaves out of an entity that can end: it stays as it is, so that an old file revives nothing. Pure."""

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from multipartner.domain.model import AppId, BusinessId, SolutionId
from multipartner.domain.world import App, Share, Solution, World

ShareKey = tuple[BusinessId, SolutionId]


class Unsaid(msgspec.Struct, frozen=True):
    """Whose `status`, and which shares' `revoked_apps`, a file leaves out; the world has their defaults in these places."""

    apps: frozenset[AppId] = frozenset()
    solutions: frozenset[SolutionId] = frozenset()
    shares: frozenset[ShareKey] = frozenset()
    revoked_apps: frozenset[ShareKey] = frozenset()


Entity = TypeVar("Entity", App, Solution)


def with_unsaid(now: World, world: World, unsaid: Unsaid) -> World:
    """Put what is `now` where the file is silent; for an entity that is new the defaults stay."""
    apps = {app.id: app for app in now.apps if app.id in unsaid.apps}
    solutions = {solution.id: solution for solution in now.solutions if solution.id in unsaid.solutions}
    shares = {_key(share): share for share in now.shares}
    return msgspec.structs.replace(
        world,
        apps=tuple(_with_status(app, apps.get(app.id)) for app in world.apps),
        solutions=tuple(_with_status(solution, solutions.get(solution.id)) for solution in world.solutions),
        shares=tuple(_share(share, shares.get(_key(share)), unsaid) for share in world.shares),
    )


def staying(world: World, filled: World) -> Iterator[str]:
    """One line for each end that the file leaves unsaid and that therefore stays; `filled` is what `with_unsaid` made."""
    for app, kept in zip(world.apps, filled.apps, strict=True):
        if kept.status is not app.status:
            yield f'app {app.id}: stays {kept.status.value}; write "status: active" to resume it'
    for solution, as_is in zip(world.solutions, filled.solutions, strict=True):
        if as_is.status is not solution.status:
            yield f'solution {solution.id}: stays {as_is.status.value}; write "status: ACTIVE" to activate it'
    for share, standing in zip(world.shares, filled.shares, strict=True):
        if standing.status is not share.status:
            what = f"share of {share.business} with solution {share.solution}"
            yield f'{what}: stays {standing.status.value}; write "status: active" to revive it'
        revoked = set(standing.revoked_apps) - set(share.revoked_apps)
        for revoked_app in sorted(revoked):
            what = f"grant of app {revoked_app} for business {share.business} in solution {share.solution}"
            yield f'{what}: stays revoked; write "revoked_apps: {sorted(revoked - {revoked_app})}" to restore it'


def _key(share: Share) -> ShareKey:
    return share.business, share.solution


def _with_status(entity: Entity, now: Entity | None) -> Entity:
    return entity if now is None else msgspec.structs.replace(entity, status=now.status)


def _share(share: Share, now: Share | None, unsaid: Unsaid) -> Share:
    if now is None:
        return share
    return msgspec.structs.replace(
        share,
        status=now.status if _key(share) in unsaid.shares else share.status,
        revoked_apps=now.revoked_apps if _key(share) in unsaid.revoked_apps else share.revoked_apps,
    )
