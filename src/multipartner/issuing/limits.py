"""The limiter of the corridor: per address for failures, per app, and per app and business (design: one hour, sliding)."""

import functools
import ipaddress

import msgspec

from multipartner.domain.limits import SlidingWindow
from multipartner.domain.model import BusinessId, Caller, Instant
from multipartner.domain.reasons import Reason, Refusal

MAX_KEYS = 100_000


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Calls of the hour and their limits in this process; `regain_s` (seconds) is 0 unless refused."""

    business_id: BusinessId
    app_used: int
    app_limit: int
    business_used: int
    business_limit: int
    regain_s: int = 0

    @property
    def app_percent(self) -> int:
        """Whole percent of the app's limit."""
        return self.app_used * 100 // self.app_limit

    @property
    def business_percent(self) -> int:
        """Whole percent of the app's limit for this business."""
        return self.business_used * 100 // self.business_limit


class Limiter:
    """Counts in this process. With several workers each has its part of every limit: the sum is never exceeded, and
    an app whose connections all end at one worker is refused early (the stated error of this limiter).
    """  # noqa: D205 - one thought

    def __init__(self, failures_per_hour: int, workers: int = 1) -> None:
        self._workers = workers
        self._failures_per_hour = max(1, failures_per_hour // workers)
        self._failures = SlidingWindow(MAX_KEYS)
        self._apps = SlidingWindow(MAX_KEYS)
        self._businesses = SlidingWindow(MAX_KEYS)

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

    def call(self, caller: Caller, business_id: BusinessId, now: Instant) -> tuple[Usage, Refusal | None]:
        """Count one call of a known caller, unless that refuses it."""
        boot_ns = now.boot_ns
        app_limit = max(1, caller.calls_per_hour // self._workers)
        business_limit = max(1, caller.calls_per_business_per_hour // self._workers)
        pair = (caller.app_id, business_id)
        app = self._apps.counter(caller.app_id, boot_ns)
        business = self._businesses.counter(pair, boot_ns)
        regain_s, refusal = 0, None
        if app.total >= app_limit:
            regain_s = self._apps.retry_after_s(caller.app_id, boot_ns)
            refusal = Refusal(Reason.APP_LIMITED, fact=f"{app.total} of {app_limit} calls in this process")
        elif business.total >= business_limit:
            regain_s = self._businesses.retry_after_s(pair, boot_ns)
            refusal = Refusal(Reason.APP_BUSINESS_LIMITED, fact=f"{business.total} of {business_limit} calls in this process")
        else:
            app.add()
            business.add()
        return Usage(business_id, app.total, app_limit, business.total, business_limit, regain_s), refusal


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
