"""The five stations in order. What happens between two of them is here, and nothing else is.

parse -> address limit -> authenticate -> app limit -> facts -> authorize -> issue -> respond
"""

import sys

import msgspec

from multipartner.domain.authorize import authorize
from multipartner.domain.events import RefusalRecord
from multipartner.domain.model import Ask, Caller, Instant, SolutionId, Tenant
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.authenticate import Authenticator, Known
from multipartner.issuing.grants import Grants
from multipartner.issuing.issue import GrantEntry, Issuing, Rendered
from multipartner.issuing.limits import Limiter, Quota
from multipartner.storage.ports import Reader, StorageUnavailable, Trail, TrailUnavailable


class Warm(msgspec.Struct, frozen=True, gc=False):
    """An answer that may be given again: to the same caller, of the same facts, in the same window."""

    known: Known
    entry: GrantEntry
    rendered: Rendered
    quota: Quota


class Outcome(msgspec.Struct, frozen=True):
    """What the respond station prints: a `warm` answer, or a refusal. `quota` is there for every known caller."""

    refusal: Refusal | None
    caller: Caller | None = None
    quota: Quota | None = None
    retry_after_s: int = 0
    warm: Warm | None = None


class Stations(msgspec.Struct, frozen=True):
    """The stations that keep something, and what is known of tenants."""

    authenticate: Authenticator
    limiter: Limiter
    grants: Grants
    issue: Issuing


class Corridor:
    """Stations 2 to 4 for one process."""

    def __init__(self, reader: Reader, trail: Trail, stations: Stations) -> None:
        self._reader = reader
        self._trail = trail
        self._authenticate = stations.authenticate
        self._limiter = stations.limiter
        self._issue = stations.issue
        self._grants = stations.grants

    async def __call__(self, ask: Ask) -> Outcome:
        """Walk an ask through; never raises for what a store, a trail or a caller can do."""
        limited = self._limiter.address(ask.address, ask.now)
        if limited is not None:
            return self._refused(ask, Outcome(limited[0], retry_after_s=limited[1]))
        try:
            self._grants.catch_up(ask.now.boot_ns)
            known = await self._authenticate(ask)
        except StorageUnavailable as error:
            return self._refused(ask, Outcome(Refusal(Reason.FACTS_UNAVAILABLE, fact=str(error))))
        if isinstance(known, Refusal):
            self._limiter.failed(ask.address, ask.now)
            return self._refused(ask, Outcome(known))
        caller = known.caller
        quota = self._limiter.quota(caller, ask.business_id, ask.now)
        limited = await self._limiter.call(caller, quota, ask.now)
        if limited is not None:
            return self._refused(ask, Outcome(limited[0], caller, quota, limited[1]))
        try:
            # Interned, as all its tenants would keep a text of their own otherwise.
            solution_id = SolutionId(sys.intern(ask.solution_id))
            entry = await self._grants.entry(Tenant(caller.app_id, solution_id, ask.business_id))
            permit = authorize(caller, ask, entry.facts, ask.now)
            if isinstance(permit, Refusal):
                return self._refused(ask, Outcome(permit, caller, quota))
            issued = await self._issue(permit, entry, caller, ask)
        except StorageUnavailable as error:
            return self._refused(ask, Outcome(Refusal(Reason.FACTS_UNAVAILABLE, fact=str(error)), caller, quota))
        except TrailUnavailable as error:
            return self._refused(ask, Outcome(Refusal(Reason.TRAIL_UNAVAILABLE, fact=str(error)), caller, quota))
        if isinstance(issued, Refusal):
            return self._refused(ask, Outcome(issued, caller, quota))
        return Outcome(None, caller, quota, warm=Warm(known, entry, issued, quota))

    def again(self, warm: Warm, token: bytes, address: str, now: Instant) -> bool:
        """Say whether a warm answer may be given again; False sends the request the long way, and nothing was counted.

        Each station is passed, by the result it had: the feed says that no fact changed since (`alive`), the token is
        compared, the window and the limits are checked. Authorization is pure, and its inputs are the same.
        """
        try:
            changes = self._reader.poll(now.boot_ns)
        except StorageUnavailable:
            return False
        if changes:
            self._grants.forget(changes)
        rendered, entry, known = warm.rendered, warm.entry, warm.known
        if not entry.alive or not rendered.starts_at_s <= now.wall_s < rendered.renews_at_s:
            return False
        if self._limiter.address(address, now) is not None or not self._authenticate.again(known, token, now.wall_s):
            return False
        entry.touched = known.touched = True
        return self._limiter.admits(warm.quota, now)

    def _refused(self, ask: Ask, outcome: Outcome) -> Outcome:
        refusal, caller = outcome.refusal, outcome.caller
        if refusal is not None:
            self._trail.refused(
                RefusalRecord(
                    ask.trace_id,
                    ask.now.wall_s,
                    refusal.reason,
                    refusal.fact,
                    ask.address[:64],
                    caller.credential_id if caller else "",
                    caller.app_id if caller else "",
                    ask.solution_id[:64],
                    ask.business_id[:64],
                    ask.version,
                    ask.query_token,
                )
            )
        return outcome
