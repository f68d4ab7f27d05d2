"""The limiter of the corridor: per address for failures, per app, and per app and business (design: one hour, sliding)."""

import functools
import hashlib
import ipaddress

import msgspec

from multipartner.domain.limits import Counter, SlidingWindow
from multipartner.domain.model import AppId, BusinessId, Caller, Instant
from multipartner.domain.reasons import Reason, Refusal

MAX_KEYS = 100_000
BUSINESSES_PER_APP = 250_000
"""Not below the default of `cache_size`: an answer whose counter was forgotten goes the long way."""


class Quota(msgspec.Struct, gc=False):
    """Where one app's calls for one business are counted in this process, and what they are held against."""

    business_id: BusinessId
    app: Counter
    app_limit: int
    business: Counter
    business_limit: int

    @property
    def percents(self) -> tuple[int, int]:
        """Whole percent used of the app's limit, and of its limit for this business."""
        return self.app.total * 100 // self.app_limit, self.business.total * 100 // self.business_limit


class Limiter:
    """Counts in this process. With several workers each has its part of every limit, and at least one call.

    The stated error: the sum is exceeded only by a limit smaller than the number of workers, and an app whose connections
    all end at one worker is refused early.
    """

    def __init__(self, failures_per_hour: int, workers: int = 1) -> None:
        self._workers = workers
        self._failures_per_hour = max(1, failures_per_hour // workers)
        self._failures = SlidingWindow(MAX_KEYS)
        self._apps = SlidingWindow(MAX_KEYS)
        self._businesses: dict[AppId, SlidingWindow] = {}

    def address(self, address: str, now: Instant) -> tuple[Refusal, int] | None:
        """Refuse, with seconds to wait, an address that failed too often."""
        if not self._failures:
            return None
        key = address_key(address)
        if self._failures.used(key, now.boot_ns) < self._failures_per_hour:
            return None
        return Refusal(Reason.ADDRESS_LIMITED, fact=f"address {key}"), self._failures.retry_after_s(key, now.boot_ns)

    def failed(self, address: str, now: Instant) -> None:
        """Count a failed authentication."""
        self._failures.counter(address_key(address), now.boot_ns).add()

    def quota(self, caller: Caller, business_id: BusinessId, now: Instant) -> Quota:
        """Find where a caller's calls for a business are counted. An app over its limit takes no room for new businesses."""
        app = self._apps.counter(caller.app_id, now.boot_ns)
        app_limit = _part_of(caller.calls_per_hour, self._workers)
        business_limit = _part_of(caller.calls_per_business_per_hour, self._workers)
        if app.total < app_limit:
            business = self._counted(caller.app_id).counter(business_key(business_id), now.boot_ns)
        else:
            business = Counter(app.step, kept=False)
        return Quota(business_id, app, app_limit, business, business_limit)

    def _counted(self, app_id: AppId) -> SlidingWindow:
        """The businesses of one app: each app has room of its own, or one could make another's counts be forgotten."""
        window = self._businesses.get(app_id)
        if window is None:
            window = self._businesses[app_id] = SlidingWindow(BUSINESSES_PER_APP)
        return window

    async def call(self, caller: Caller, quota: Quota, now: Instant) -> tuple[Refusal, int] | None:
        """Count one call of a known caller, or refuse it, with seconds to wait."""
        return self._call_here(caller, quota, now)

    def _call_here(self, caller: Caller, quota: Quota, now: Instant) -> tuple[Refusal, int] | None:
        if Limiter.admits(self, quota, now):
            return None
        if quota.app.total >= quota.app_limit:
            fact = f"{quota.app.total} of {quota.app_limit} calls in this process"
            return Refusal(Reason.APP_LIMITED, fact), self._apps.retry_after_s(caller.app_id, now.boot_ns)
        fact = f"{quota.business.total} of {quota.business_limit} calls in this process"
        wait_s = self._counted(caller.app_id).retry_after_s(business_key(quota.business_id), now.boot_ns)
        return Refusal(Reason.APP_BUSINESS_LIMITED, fact), wait_s

    def admits(self, quota: Quota, now: Instant) -> bool:
        """Count one call, if it is within both limits and its counters were not forgotten; otherwise count nothing."""
        app, business = quota.app, quota.business
        step = self._apps.step_at(now.boot_ns)
        if step != app.step:
            app.advance(step)
        if step != business.step:
            business.advance(step)
        if app.total >= quota.app_limit or business.total >= quota.business_limit or not (app.kept and business.kept):
            return False
        app.add()
        business.add()
        return True


@functools.lru_cache(maxsize=4096)
def _part_of(limit: int, workers: int) -> int:
    # One number for all of an app's quotas: each would keep two of its own otherwise.
    return max(1, limit // workers)


def business_key(business_id: BusinessId) -> str | bytes:
    """What a business is counted by. An id may have thousands of digits; a key in memory may not."""
    return business_id if len(business_id) <= 32 else hashlib.sha256(business_id.encode()).digest()


@functools.lru_cache(maxsize=4096)
def address_key(address: str) -> str:
    """Whom failures are counted for: an IPv4 address, or the /64 an IPv6 address lies in (attack 52)."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(parsed) >> 64 << 64)}/64"
