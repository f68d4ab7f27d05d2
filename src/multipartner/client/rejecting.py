"""What is known to be wrong: tokens that resource servers refused, tenants that left, and those that came back."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from multipartner.client.flights import Again
from multipartner.client.keys import TokenKey
from multipartner.client.table import KeyState
from multipartner.client.tokens import AccessToken

if TYPE_CHECKING:
    from multipartner.client.flow import Flow

Matches = Callable[[TokenKey], bool]

YOUNG_S: Final = 5.0
"""Replicas of a resource server may not know a token yet that is younger than this."""
_STAND_IN_S: Final = 2.0
_POISON_S: Final = 60.0


def reject(flow: "Flow", key: TokenKey, rejected: str, now: float) -> bool:
    """A resource server refused the token with this fingerprint. Returns whether another one is handed out from now on.

    An older token's late refusal changes nothing. A young token's first refusal does not end it: its predecessor, if there
    is one that lives, stands in for two seconds. A second token refused within a minute, or the same one when the API gave it
    again, stays: fetching more of them would not help, and the caller has to be told.
    """
    token = flow.table.tokens.get(key)
    if token is None or token.fingerprint != rejected:
        return token is not None
    state = flow.table.state(key)
    if now - token.fetched_at < YOUNG_S and state.doubted != rejected:
        state.doubted = rejected
        return _stand_in(flow, key, state, token, now)
    seen = [print_ for print_, at in state.rejected if now - at < _POISON_S]
    state.rejected = [(print_, at) for print_, at in state.rejected if now - at < _POISON_S] + [(rejected, now)]
    if seen:
        flow.tell("poisoned", key)
        return False
    state.generation = token.generation
    state.previous = state.aside = None
    flow.table.drop(key)
    _overtake(flow, state)
    flow.tell("rejected", key)
    return True


def _stand_in(flow: "Flow", key: TokenKey, state: KeyState, token: AccessToken, now: float) -> bool:
    before = state.previous
    if before is None or now + _STAND_IN_S >= before.until:
        return False
    state.previous, state.aside = None, token
    before.refresh_at = now + _STAND_IN_S
    flow.table.put(key, before)
    return True


def _overtake(flow: "Flow", state: KeyState) -> None:
    if state.flight is not None:
        state.flight.overtaken = True
        flow.settle(state.flight, Again())
        state.flight = None


def forget(flow: "Flow", matches: Matches) -> list[TokenKey]:
    """Drop every token and every memory of the keys that match; what is under way for them is not published."""
    known = {key for key in (*flow.table.tokens, *flow.table.states) if matches(key)}
    for key in known:
        state = flow.table.states.pop(key, None)
        if state is not None:
            _overtake(flow, state)
        if flow.table.drop(key) is not None:
            flow.tell("forgotten", key)
    return list(known)


def revive(flow: "Flow", matches: Matches) -> None:
    """Forget refusals of the keys that match: the next call asks at once."""
    for key, state in flow.table.states.items():
        if matches(key) and state.failure is not None:
            state.failure, state.times, state.denials, state.retry_at = None, 0, 0, 0.0


def matching(
    keys: Iterable[TokenKey] | None = None, business_id: str | None = None, solution_id: str | None = None
) -> Callable[[TokenKey], bool]:
    """Return what tells the keys that are meant; everything that is given must agree. Raises ValueError when nothing is."""
    if keys is None and business_id is None and solution_id is None:
        raise ValueError("name keys, a business_id or a solution_id")
    listed = None if keys is None else frozenset(keys)

    def matches(key: TokenKey) -> bool:
        named = listed is None or key in listed
        return named and business_id in (None, key.business_id) and solution_id in (None, key.solution_id)

    return matches
