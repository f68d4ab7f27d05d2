"""What a provider tells of itself: events, why a key is as it is, and how the whole account is. No token, no secret."""

from typing import Final

import msgspec

from multipartner.client.failures import Failure
from multipartner.client.flow import Flow
from multipartner.client.keys import TokenKey
from multipartner.client.ports import Moment

EVENTS: Final = frozenset(
    {
        "miss",
        "refresh_ok",
        "refresh_fail",
        "adopted",
        "non_advancing",
        "lease_wait",
        "negative_hit",
        "denied",
        "throttled",
        "refused",
        "purged",
        "degraded",
        "rejected",
        "poisoned",
        "forgotten",
        "evicted",
        "gate_closed",
        "credential_rejected",
        "clock_step",
        "store_unavailable",
        "store_row_unopened",
        "unexpected",
    }
)
"""The names that hooks are told; a hit tells none, since it is shorter than telling."""


class Explanation(msgspec.Struct, frozen=True):
    """Why a key is as it is. Instants are Unix seconds by the API's clock; None for never or not known."""

    solution_id: str
    business_id: str
    state: str
    """`fresh`, `due`, `refreshing`, `fetching`, `refused` or `absent`."""
    why: str
    generation: int = 0
    fingerprint: str = ""
    expires_at_s: int | None = None
    refresh_at_s: float | None = None
    handed_out_until_s: float | None = None
    retry_at_s: float | None = None
    failure: Failure | None = None
    gate_opens_at_s: float | None = None
    probe_at_s: float | None = None


class Health(msgspec.Struct, frozen=True):
    """How an account is.

    `runway_s`: if the API were down from now on, seconds until the first token in use is gone; None when none is.
    `runway_p5_s`: until one in twenty is.
    """

    tokens: int
    in_use: int
    expired: int
    runway_s: float | None
    runway_p5_s: float | None
    queued: int
    under_way: int
    refused: int
    gate_closed_s: float
    usage_percent: int
    credential_rejected: bool
    retry_budget: int


def explained(flow: Flow, key: TokenKey, now: Moment) -> Explanation:
    """Explain one key."""
    token, state = flow.table.tokens.get(key), flow.table.states.get(key)
    name, why = _state(flow, key, now.boot)

    def unix(at: float) -> float | None:
        return None if at == float("inf") or at <= now.boot else flow.clock.at(at)

    return Explanation(
        key.solution_id,
        key.business_id,
        name,
        why,
        token.generation if token else 0,
        token.fingerprint if token else "",
        token.expires_at_s if token else None,
        unix(token.refresh_at) if token else None,
        unix(token.until) if token else None,
        unix(state.retry_at) if state else None,
        state.failure if state else None,
        unix(flow.gate.opens_at),
        unix(flow.breaker.probe_at),
    )


def _state(flow: Flow, key: TokenKey, now: float) -> tuple[str, str]:
    token, state = flow.table.tokens.get(key), flow.table.states.get(key)
    flight = state.flight if state is not None else None
    if token is not None and now < token.until:
        if flight is not None:
            return "refreshing", "the token is handed out while its successor is fetched"
        if state is not None and state.failure is not None:
            return "due", f"the last refresh failed ({state.failure.kind.value}); the token is handed out until its time"
        return ("fresh", "its refresh is not due") if now < token.refresh_at else ("due", "whoever asks next begins the refresh")
    if flight is not None:
        return "fetching", "there is no token that lives; one is being fetched"
    if state is not None and state.failure is not None and now < state.retry_at:
        return "refused", f"the API refused ({state.failure.kind.value}); nobody asks again before retry_at_s"
    if flow.breaker.failure is not None:
        return "refused", "the API does not take the caller token; rare probes alone go out"
    if now < flow.gate.opens_at:
        return "refused", "the app's quota is used up until gate_opens_at_s"
    return "absent", "nobody asked, or it was forgotten; whoever asks next fetches it"


def health_of(flow: Flow, now: Moment) -> Health:
    """Sum an account up."""
    tokens = list(flow.table.tokens.values())
    lives = sorted(token.until - now.boot for token in tokens if token.used and token.until > now.boot)
    states = flow.table.states.values()
    return Health(
        tokens=len(tokens),
        in_use=len(lives),
        expired=sum(token.until <= now.boot for token in tokens),
        runway_s=_finite(lives[0]) if lives else None,
        runway_p5_s=_finite(lives[len(lives) // 20]) if lives else None,
        queued=sum(state.flight is not None and state.flight.entry > 0 for state in states),
        under_way=sum(state.flight is not None for state in states),
        refused=sum(state.failure is not None and now.boot < state.retry_at for state in states),
        gate_closed_s=max(flow.gate.opens_at - now.boot, 0.0),
        usage_percent=flow.gate.percent,
        credential_rejected=flow.breaker.failure is not None,
        retry_budget=flow.budget.left,
    )


def _finite(seconds: float) -> float | None:
    return None if seconds == float("inf") else seconds
