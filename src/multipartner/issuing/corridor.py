"""The five stations in order. What happens between two of them is here, and nothing else is.

parse -> address limit -> authenticate -> app limit -> facts -> authorize -> issue -> respond
"""

from collections.abc import Sequence

import msgspec

from multipartner.domain.authorize import authorize
from multipartner.domain.events import RefusalRecord
from multipartner.domain.model import AppId, Ask, BusinessId, Caller, Facts, Instant, SolutionId, Tenant
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.authenticate import Authenticator, Known
from multipartner.issuing.cache import BoundedCache, SingleFlight
from multipartner.issuing.issue import GrantEntry, Issuing, Rendered
from multipartner.issuing.keyring import KeyRing
from multipartner.issuing.limits import Limiter, Quota
from multipartner.storage.ports import Change, ChangeKind, Reader, StorageUnavailable, Trail, TrailUnavailable


class Warm(msgspec.Struct, frozen=True):
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
    """The stations that keep something."""

    authenticate: Authenticator
    limiter: Limiter
    ring: KeyRing
    issue: Issuing


class Corridor:
    """Stations 2 to 4 for one process, and the caches they share. All its caches are dropped by the change feed."""

    def __init__(self, reader: Reader, trail: Trail, stations: Stations, cache_size: int) -> None:
        self._reader = reader
        self._trail = trail
        self._authenticate = stations.authenticate
        self._limiter = stations.limiter
        self._ring = stations.ring
        self._issue = stations.issue
        self._grants: BoundedCache[Tenant, GrantEntry] = BoundedCache(cache_size)
        self._loads: SingleFlight[tuple[Tenant, int], GrantEntry] = SingleFlight()
        self._epoch = 0
        self._apps_of: dict[SolutionId, set[AppId]] = {}

    async def __call__(self, ask: Ask) -> Outcome:
        """Walk an ask through; never raises for what a store, a trail or a caller can do."""
        limited = self._limiter.address(ask.address, ask.now)
        if limited is not None:
            return self._refused(ask, Outcome(limited[0], retry_after_s=limited[1]))
        try:
            self.catch_up(ask.now.boot_ns)
            known = await self._authenticate(ask)
        except StorageUnavailable as error:
            return self._refused(ask, Outcome(Refusal(Reason.FACTS_UNAVAILABLE, fact=str(error))))
        if isinstance(known, Refusal):
            if known.reason not in _NO_FAILURE:
                self._limiter.failed(ask.address, ask.now)
            return self._refused(ask, Outcome(known))
        caller = known.caller
        quota = self._limiter.quota(caller, ask.business_id, ask.now)
        limited = self._limiter.call(caller, quota, ask.now)
        if limited is not None:
            return self._refused(ask, Outcome(limited[0], caller, quota, limited[1]))
        try:
            entry = await self.entry(Tenant(caller.app_id, ask.solution_id, ask.business_id))
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
            self._forget(changes)
        rendered, entry, known = warm.rendered, warm.entry, warm.known
        if not entry.alive or not rendered.starts_at_s <= now.wall_s < rendered.renews_at_s:
            return False
        if self._limiter.address(address, now) is not None or not self._authenticate.again(known, token, now.wall_s):
            return False
        entry.touched = known.touched = True
        return self._limiter.admits(warm.quota, now)

    @property
    def cached_grants(self) -> int:
        """Tenants whose facts are in memory."""
        return len(self._grants)

    async def entry(self, tenant: Tenant) -> GrantEntry:
        """Facts of a tenant, from memory or, once for all who wait, from the store. Raises StorageUnavailable."""
        entry = self._grants.get(tenant)
        if entry is not None:
            entry.touched = True
            return entry
        epoch = self._epoch
        return await self._loads.run((tenant, epoch), lambda: self._load(tenant, epoch))

    async def _load(self, tenant: Tenant, epoch: int) -> GrantEntry:
        entry = self._grants.get(tenant)
        if entry is not None:
            # Taken over from a cancelled leader, after another one did the work already.
            return entry
        entry = GrantEntry(await self._reader.facts(tenant), {})
        # Only what can lead to a token is kept: refusals cost a read each, are counted by the limiter, and a customer who
        # shares is served by the next request. A load that a change overtook serves its waiters and is not kept.
        if _is_worth_keeping(entry.facts) and epoch == self._epoch:
            self._grants.put(tenant, entry)
            self._apps_of.setdefault(tenant.solution_id, set()).add(tenant.app_id)
        return entry

    def catch_up(self, boot_ns: int) -> None:
        """Drop what acknowledged changes made stale. Raises StorageUnavailable when nobody can tell."""
        changes = self._reader.poll(boot_ns)
        if changes:
            self._forget(changes)

    def _forget(self, changes: Sequence[Change]) -> None:
        self._epoch += 1
        for change in changes:
            _FORGET[change.kind](self, change)

    def forget_share(self, change: Change) -> None:
        """A share, its WABAs or its grants changed."""
        solution_id = SolutionId(change.key1)
        for app_id in self._apps_of.get(solution_id, ()):
            self._grants.drop(Tenant(app_id, solution_id, BusinessId(change.key2)))

    def forget_solution(self, change: Change) -> None:
        """A solution changed, and with it every grant of it."""
        self._grants.drop_where(lambda tenant: tenant.solution_id == change.key1)
        self._apps_of.pop(SolutionId(change.key1), None)

    def forget_app(self, change: Change) -> None:
        """An app changed, and with it its callers and grants."""
        self._authenticate.forget_app(change.key1)
        self._grants.drop_where(lambda tenant: tenant.app_id == change.key1)

    def forget_connection(self, change: Change) -> None:
        """A connection was made or ended; the app's limit follows the number of them."""
        self._authenticate.forget_app(change.key1)
        app_id = AppId(change.key1)
        for solution_id, apps in self._apps_of.items():
            if app_id in apps:
                self._grants.drop(Tenant(app_id, solution_id, BusinessId(change.key2)))

    def forget_credential(self, change: Change) -> None:
        """A credential changed."""
        self._authenticate.forget(change.key1)

    def forget_keys(self, _change: Change) -> None:
        """The key ring changed; rendered tokens stay good, a dropped key's die by the deployment's generation."""
        self._ring.forget()

    def forget_everything(self, _change: Change) -> None:
        """Too much changed to tell apart."""
        self._ring.forget()
        self._authenticate.forget_all()
        self._grants.clear()
        self._apps_of.clear()

    def forget_nothing(self, _change: Change) -> None:
        """Nothing here depends on it."""

    def turned_away(self, refusal: Refusal, trace_id: str, address: str, now: Instant) -> None:
        """Keep, for `explain`, a refusal of a request that never became an ask."""
        self._trail.refused(RefusalRecord(trace_id, now.wall_s, refusal.reason, refusal.fact, address))

    def _refused(self, ask: Ask, outcome: Outcome) -> Outcome:
        refusal, caller = outcome.refusal, outcome.caller
        if refusal is not None:
            self._trail.refused(
                RefusalRecord(
                    ask.trace_id,
                    ask.now.wall_s,
                    refusal.reason,
                    refusal.fact,
                    ask.address,
                    caller.credential_id if caller else "",
                    caller.app_id if caller else "",
                    ask.solution_id[:64],
                    ask.business_id[:64],
                    ask.version,
                    ask.query_token,
                )
            )
        return outcome


def _is_worth_keeping(facts: Facts) -> bool:
    solution, share = facts.solution, facts.share
    return (
        share is not None and share.active and solution is not None and solution.permissions_of(facts.tenant.app_id) is not None
    )


_NO_FAILURE = frozenset({Reason.PROOF_MISSING, Reason.PROOF_INVALID})
"""Refusals of station 2 whose token was good: they are the app's affair, not an address guessing."""

_FORGET = {
    ChangeKind.DEPLOYMENT: Corridor.forget_everything,
    ChangeKind.APP: Corridor.forget_app,
    ChangeKind.CREDENTIAL: Corridor.forget_credential,
    ChangeKind.SOLUTION: Corridor.forget_solution,
    ChangeKind.CONNECTION: Corridor.forget_connection,
    ChangeKind.SHARE: Corridor.forget_share,
    ChangeKind.SIGNING_KEY: Corridor.forget_keys,
    ChangeKind.RESOURCE_SERVER: Corridor.forget_nothing,
    ChangeKind.EVERYTHING: Corridor.forget_everything,
}
