"""The way in to all operations but the token's: address limit, who asks, app's limit; and the way out of a refusal."""

from collections.abc import Awaitable, Callable

import msgspec

from multipartner.domain.events import RefusalRecord
from multipartner.domain.graph import Presented, Viewer
from multipartner.domain.model import Permission, Secret, names_of
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.grants import Grants
from multipartner.issuing.limits import Limiter, Quota
from multipartner.issuing.viewers import Authenticated, Viewers
from multipartner.storage.ports import StorageUnavailable, Trail


class Entered(msgspec.Struct, frozen=True):
    """Somebody who was let in, and where the call was counted."""

    viewer: Viewer
    quota: Quota


class TurnedAway(msgspec.Struct, frozen=True):
    """A refusal before anything was read or changed; `viewer` and `quota` are there once somebody is known."""

    refusal: Refusal
    retry_after_s: int = 0
    viewer: Viewer | None = None
    quota: Quota | None = None


class Management:
    """Stations 2 and 3 of reading and changing: who may come in at all. What they may see or do is decided behind it."""

    def __init__(self, grants: Grants, viewers: Viewers, limiter: Limiter, trail: Trail) -> None:
        self._grants = grants
        self._viewers = viewers
        self._limiter = limiter
        self._trail = trail

    async def enter(self, presented: Presented) -> Entered | TurnedAway:
        """Let somebody in, or not.

        Calls count against the app, and against its limit for one business under the id of its own business.
        """
        return await self._enter(presented, self._viewers)

    async def enter_client(self, presented: Presented, app_id: str, secret: Secret) -> Entered | TurnedAway:
        """Let an app in that comes as an OAuth client, with its secret instead of a token."""
        return await self._enter(presented, lambda asking: self._viewers.client(asking, app_id, secret))

    async def _enter(
        self, presented: Presented, who: Callable[[Presented], Awaitable[Authenticated | Refusal]]
    ) -> Entered | TurnedAway:
        limited = self._limiter.address(presented.address, presented.now)
        if limited is not None:
            return TurnedAway(*limited)
        try:
            self._grants.catch_up(presented.now.boot_ns)
            known = await who(presented)
        except StorageUnavailable as error:
            return TurnedAway(Refusal(Reason.FACTS_UNAVAILABLE, fact=str(error)))
        if isinstance(known, Refusal):
            self._limiter.failed(presented.address, presented.now)
            return TurnedAway(known)
        viewer, caller = known.viewer, known.caller
        quota = self._limiter.quota(caller, known.app.business_id, presented.now)
        limited = await self._limiter.call(caller, quota, presented.now)
        if limited is not None:
            return TurnedAway(*limited, viewer, quota)
        if known.app.suspended:
            return TurnedAway(Refusal(Reason.APP_SUSPENDED), 0, viewer, quota)
        if Permission.MANAGEMENT not in viewer.permissions:
            carried = " ".join(names_of(viewer.permissions)) or "nothing"
            return TurnedAway(Refusal(Reason.PERMISSION_MISSING, fact=f"the token carries {carried}"), 0, viewer, quota)
        return Entered(viewer, quota)

    def refused(self, presented: Presented, refusal: Refusal, viewer: Viewer | None) -> None:
        """Keep a refusal for `explain`."""
        tenant = viewer.tenant if viewer else None
        self._trail.refused(
            RefusalRecord(
                presented.trace_id,
                presented.now.wall_s,
                refusal.reason,
                refusal.fact,
                presented.address[:64],
                viewer.credential_id if viewer else "",
                viewer.app_id if viewer else "",
                tenant.solution_id if tenant else "",
                tenant.business_id if tenant else "",
                presented.version,
                presented.query_token,
                presented.operation,
                presented.node_id[:64],
            )
        )
