"""The limiter that the settings ask for: of one host, or of several with a Valkey or Redis between them."""

import hashlib

from multipartner.issuing.limits import Limiter
from multipartner.issuing.shared_limits import SharedLimiter
from multipartner.settings import Settings
from multipartner.storage.ports import SharedCountsUnavailable
from multipartner.storage.shared_limits import SharedLimitsRefused, ValkeyCounts


def limiter_of(settings: Settings, workers: int) -> Limiter:
    """Make it; nothing is connected yet. Raises SharedLimitsRefused."""
    counts = _counts(settings)
    if counts is None:
        return Limiter(settings.failures_per_hour, workers)
    refuse = settings.limits_when_away == "refuse"
    return SharedLimiter(counts, settings.failures_per_hour, workers, refuse_when_away=refuse)


async def check_limits(settings: Settings) -> tuple[str, ...]:
    """See that the shared limits can be reached. A warning when they cannot and are not insisted on.

    Raises SharedLimitsRefused.
    """
    try:
        counts = _counts(settings)
        if counts is None:
            return ()
        try:
            await counts.check()
        finally:
            await counts.close()
    except SharedLimitsRefused as error:
        raise SharedLimitsRefused(f"MULTIPARTNER_LIMITS_URL: {error}") from None
    except SharedCountsUnavailable as error:
        told = f"MULTIPARTNER_LIMITS_URL: the server does not answer ({error})"
        if settings.limits_when_away == "refuse":
            raise SharedLimitsRefused(f"{told}; start it, or set limits_when_away=count") from None
        return (f"{told}; until it does, each worker counts its part of the limits alone",)
    return ()


def _counts(settings: Settings) -> ValkeyCounts | None:
    if settings.limits_url is None:
        return None
    issuer = hashlib.sha256(settings.issuer_url.encode()).hexdigest()[:16]
    return ValkeyCounts(settings.limits_url.get_secret_value(), settings.limits_prefix or f"multipartner:{issuer}")
