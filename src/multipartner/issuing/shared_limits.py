"""The limiter of several hosts: calls are spent from leases, so that a warm answer asks nobody (decision record 0018).

Everything is counted in this process as well, as by `Limiter`: that is what holds while the shared counts are away.
"""

from typing import Final

from multipartner.domain.leases import CALLS_WINDOW_S, SECOND_NS, Cut, Lease, cut
from multipartner.domain.limits import Counter
from multipartner.domain.model import AppId, BusinessId, Caller, Instant
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.cache import SingleFlight
from multipartner.issuing.failures import FailureReports, Link, Tasks, shared_key
from multipartner.issuing.limits import BUSINESSES_PER_APP, MAX_KEYS, Limiter, Quota, address_key, business_key
from multipartner.storage.ports import SharedCounts, SharedCountsUnavailable

LOOK_EVERY_NS: Final = 5 * SECOND_NS
DENIED_NS: Final = 10 * SECOND_NS
"""A full count is asked again after so long at the latest: the limit may have been raised, or the server emptied."""

_WITHOUT = 1 << 62


class SharedQuota(Quota, gc=False, kw_only=True):
    """Where one app's calls for one business are counted, here and in common.

    The limits of `Quota` are this process's parts, for when the shared counts are away. `reserve`: calls for the business
    within an hour that ask nobody.
    """

    link: Link
    whole_app_limit: int
    whole_business_limit: int
    app_lease: Lease
    reserve: int
    business_lease: Lease | None = None

    @property
    def percents(self) -> tuple[int, int]:
        """Whole percent used of both limits: by all processes as last seen, and at least by this one."""
        app, business = self.app.total, self.business.total
        if not self.link.up:
            return app * 100 // self.app_limit, business * 100 // self.business_limit
        # Within the reserve nobody was asked, and what an older lease saw may be long over.
        lease = self.business_lease if business >= self.reserve else None
        percent = business * 100 // self.whole_business_limit
        return (
            self.app_lease.percent(app, self.whole_app_limit),
            percent if lease is None else lease.percent(business, self.whole_business_limit),
        )


class SharedLimiter(Limiter):
    """Counts with all other processes of the deployment. Time is the boot clock of the requests that come.

    The stated error (docs/operations.md): within any hour a limit is not exceeded, as long as there are no more than 32
    processes and their wall clocks agree to 10 s; a call counts for 60 to 65 minutes; a process may hold one percent of a
    limit unspent, and the reserves of a business's limit are 5 percent. Failures: one percent and a second per process more.
    """

    def __init__(self, counts: SharedCounts, failures_per_hour: int, workers: int = 1, *, refuse_when_away: bool = False) -> None:
        super().__init__(failures_per_hour, workers)
        self.link = Link()
        self._counts = counts
        self._refuse_when_away = refuse_when_away
        self._leases: dict[AppId, tuple[Lease, dict[str | bytes, Lease]]] = {}
        self._flights: SingleFlight[str, None] = SingleFlight()
        self._failures_limit = failures_per_hour
        self._tasks = Tasks()
        self._reports = FailureReports(counts, self.link, failures_per_hour, self._tasks)

    # Calls

    def quota(self, caller: Caller, business_id: BusinessId, now: Instant) -> Quota:
        """Find where a caller's calls for a business are counted. An app over its limit takes no room for new businesses."""
        app = self._apps.counter(caller.app_id, now.boot_ns)
        whole, whole_business = caller.calls_per_hour, caller.calls_per_business_per_hour
        lease, businesses = self._leases_of(caller.app_id, cut(whole))
        if now.boot_ns < lease.denied_until_ns and not lease.ready(now.boot_ns):
            business = Counter(app.step, kept=False)
        else:
            business = self._counted(caller.app_id).counter(business_key(business_id), now.boot_ns)
        # A limit as large as the app's cannot be reached before it: nobody is asked.
        parts = cut(whole_business, reserved=True) if whole_business < whole else None
        quota = SharedQuota(
            business_id,
            app,
            max(1, whole // self._workers),
            business,
            max(1, whole_business // self._workers),
            link=self.link,
            whole_app_limit=whole,
            whole_business_limit=whole_business,
            app_lease=lease,
            reserve=_WITHOUT if parts is None else parts.reserve,
        )
        if parts is not None and business.kept and business.total >= parts.reserve:
            quota.business_lease = _business_lease(businesses, caller.app_id, business_id, parts)
        return quota

    def _leases_of(self, app_id: AppId, parts: Cut) -> tuple[Lease, dict[str | bytes, Lease]]:
        """The leases of one app; each app has room of its own for those of its businesses."""
        found = self._leases.get(app_id)
        if found is None:
            found = self._leases[app_id] = (Lease(shared_key("app", parts, app_id), parts), {})
            if len(self._leases) > MAX_KEYS:
                del self._leases[next(iter(self._leases))]
        elif found[0].parts != parts:
            found[0].recut(shared_key("app", parts, app_id), parts)
        return found

    def admits(self, quota: Quota, now: Instant) -> bool:
        """Count one call, if what this process holds allows it; otherwise count nothing. Asks nobody."""
        if not self.link.up:
            return not self._refuse_when_away and super().admits(quota, now)
        return quota.app.kept and quota.business.kept and self._spend(quota, now)

    def _spend(self, quota: Quota, now: Instant) -> bool:
        assert isinstance(quota, SharedQuota)  # noqa: S101 - `quota` above makes no other
        boot_ns, app, business = now.boot_ns, quota.app, quota.business
        step = self._apps.step_at(boot_ns)
        if step != app.step:
            app.advance(step)
        if step != business.step:
            business.advance(step)
        lease = quota.app_lease
        if (lease.left <= 0 or boot_ns >= lease.ends_ns) and not lease.ready(boot_ns):
            return False
        if business.total >= quota.reserve:
            second = quota.business_lease
            if second is None or not second.ready(boot_ns):
                return False
            second.left -= 1
            if second.left == second.low:
                self._tasks.start(self._prefetch(second, boot_ns))
        lease.left -= 1
        app.add()
        business.add()
        if lease.left == lease.low:
            self._tasks.start(self._prefetch(lease, boot_ns))
        return True

    async def call(self, caller: Caller, quota: Quota, now: Instant) -> tuple[Refusal, int] | None:
        """Count one call of a known caller, or refuse it, with seconds to wait. Waits for the shared counts if need be."""
        assert isinstance(quota, SharedQuota)  # noqa: S101 - as above
        while self.link.up:
            lease = self._lacking(caller, quota, now.boot_ns)
            if lease is None:
                self._spend(quota, now)
                return None
            if now.boot_ns < lease.denied_until_ns:
                return _denied(lease, quota, now.boot_ns)
            try:
                await self._fill(lease, now.boot_ns)
            except SharedCountsUnavailable:
                break
        if not self._refuse_when_away:
            return self._call_here(caller, quota, now)
        if now.boot_ns < quota.app_lease.denied_until_ns:
            return _denied(quota.app_lease, quota, now.boot_ns)
        return Refusal(Reason.LIMITS_UNAVAILABLE, "the shared counts cannot be reached"), 1

    def _lacking(self, caller: Caller, quota: SharedQuota, boot_ns: int) -> Lease | None:
        """The lease without which the call cannot be spent; None when there are all."""
        if not quota.app_lease.ready(boot_ns):
            return quota.app_lease
        quota.business.advance(self._apps.step_at(boot_ns))
        if quota.business.total < quota.reserve:
            return None
        if quota.business_lease is None:
            parts = cut(caller.calls_per_business_per_hour, reserved=True)
            _, businesses = self._leases_of(caller.app_id, quota.app_lease.parts)
            quota.business_lease = _business_lease(businesses, caller.app_id, quota.business_id, parts)
        return None if quota.business_lease.ready(boot_ns) else quota.business_lease

    async def _prefetch(self, lease: Lease, boot_ns: int) -> None:
        try:
            await self._fill(lease, boot_ns)
        except SharedCountsUnavailable:
            return

    async def _fill(self, lease: Lease, boot_ns: int) -> None:
        """Take the next lease or learn that there is none; once, however many wait. Raises SharedCountsUnavailable."""
        lease.waiting += 1
        try:
            await self._flights.run(lease.key, lambda: self._take(lease, boot_ns))
        finally:
            lease.waiting -= 1

    async def _take(self, lease: Lease, boot_ns: int) -> None:
        try:
            await self._ask(lease, boot_ns)
        except SharedCountsUnavailable:
            self.link.lost()
            raise

    async def _ask(self, lease: Lease, boot_ns: int) -> None:
        key, parts = lease.key, lease.parts
        blocks = lease.wanted(boot_ns)
        granted = await self._counts.take(key, blocks, parts.blocks, CALLS_WINDOW_S)
        if not granted or boot_ns - lease.looked_ns > LOOK_EVERY_NS:
            used, free_in_s = await self._counts.look(key, parts.blocks, CALLS_WINDOW_S)
            lease.used, lease.looked_ns = used * parts.block, boot_ns
            room = parts.blocks - used
            if not granted and room > 0:
                blocks = min(blocks, room)
                granted = await self._counts.take(key, blocks, parts.blocks, CALLS_WINDOW_S)
            if not granted:
                lease.deny(boot_ns + min(DENIED_NS, int(free_in_s * SECOND_NS) + 1), boot_ns + int(free_in_s * SECOND_NS))
                lease.used = max(lease.used, parts.blocks * parts.block)
        if granted:
            lease.grant(blocks, boot_ns)

    # Failed authentications

    def address(self, address: str, now: Instant) -> tuple[Refusal, int] | None:
        """Refuse, with seconds to wait, an address that failed too often, here or elsewhere."""
        if not self._failures:
            return None
        key = address_key(address)
        wait_s = self._reports.over_s(key, now.boot_ns)
        if wait_s:
            return Refusal(Reason.ADDRESS_LIMITED, fact=f"address {key}, counted on all hosts"), wait_s
        limit = self._failures_limit if self.link.up else self._failures_per_hour
        if self._failures.used(key, now.boot_ns) < limit:
            return None
        return Refusal(Reason.ADDRESS_LIMITED, fact=f"address {key}"), self._failures.retry_after_s(key, now.boot_ns)

    def failed(self, address: str, now: Instant) -> None:
        """Count a failed authentication here, and tell the shared counts within a second."""
        super().failed(address, now)
        self._reports.add(address_key(address), now.boot_ns)

    async def report(self) -> None:
        """Tell the shared counts now of the addresses that failed most."""
        await self._reports.tell()

    # The link

    async def probe(self) -> None:
        """See whether the shared counts are there; once a second is enough to be back within two. Does not raise."""
        try:
            await self._counts.probe()
        except SharedCountsUnavailable:
            self.link.lost()
        else:
            self.link.up = True
            self._reports.soon()

    async def close(self) -> None:
        """Tell what is untold, if it can be told, and let go of the shared counts. Does not raise."""
        await self._tasks.end()
        await self._reports.tell()
        await self._counts.close()


def _business_lease(leases: dict[str | bytes, Lease], app_id: AppId, business_id: BusinessId, parts: Cut) -> Lease:
    key = business_key(business_id)
    lease = leases.get(key)
    if lease is None:
        lease = leases[key] = Lease(shared_key("business", parts, app_id, business_id), parts)
        if len(leases) > BUSINESSES_PER_APP:
            del leases[next(iter(leases))]
    elif lease.parts != parts:
        lease.recut(shared_key("business", parts, app_id, business_id), parts)
    return lease


def _denied(lease: Lease, quota: SharedQuota, boot_ns: int) -> tuple[Refusal, int]:
    app = lease is quota.app_lease
    limit = quota.whole_app_limit if app else quota.whole_business_limit
    fact = f"{lease.used} of {limit} calls on all hosts"
    return Refusal(Reason.APP_LIMITED if app else Reason.APP_BUSINESS_LIMITED, fact), lease.retry_after_s(boot_ns)
