"""One attempt of a flight: the store first, then the lease, then the API. Runs in the provider's threads, without its lock."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from multipartner.client.failures import Failure, Kind, classify, date_of, usage_of
from multipartner.client.flights import Adopted, Elsewhere, Failed, Fetched, Outcome
from multipartner.client.keys import Account, TokenKey, fingerprint
from multipartner.client.ports import Moment, Response, Stored, TokenStore, Transport, TransportFailed
from multipartner.wire.answer import AnswerMalformed, parse

_LEASE_S: Final = 30
"""Connecting, reading and a little: who holds the lease longer has died."""
_PASSING: Final = frozenset({Kind.TRANSIENT, Kind.THROTTLED})


class Briefing(msgspec.Struct, frozen=True):
    """What is known of a key when an attempt begins: the newest generation, fingerprints refused of late, the API's Unix time."""

    generation: int
    rejected: frozenset[str]
    server_s: float

    def takes(self, stored: Stored) -> bool:
        """Tell whether another process's token makes a call needless."""
        return self.server_s < stored.refresh_at_s and self.stands_in(stored)

    def stands_in(self, stored: Stored) -> bool:
        """Tell whether it is better than none: news to this process, alive, and not refused, though its refresh is due."""
        return stored.generation > self.generation and fingerprint(stored.text) not in self.rejected


Plan = Callable[[TokenKey, Fetched, int], Stored]
"""Says how a fetched token of that generation is kept."""


class Fetcher:
    """Makes attempts for one account."""

    def __init__(
        self, account: Account, transport: Transport, store: TokenStore | None, now: Callable[[], Moment], plan: Plan
    ) -> None:
        self._account = account
        self._transport = transport
        self._store = store
        self._now = now
        self._plan = plan

    def __call__(self, key: TokenKey, briefing: Briefing) -> tuple[Outcome, bool]:
        """Try once; return the outcome, and whether the store, if there is one, did its part."""
        if self._store is None:
            return self._ask(key), True
        try:
            stored = self._store.load(key, int(briefing.server_s))
            leased = self._from_store(self._store, key, briefing, stored)
        except Exception:  # noqa: BLE001 - StoreUnavailable, or a fault of somebody's own store: neither keeps from asking
            return self._ask(key), False
        if not isinstance(leased, int):
            return leased, True
        outcome, stored_too = self._under_lease(self._store, key, leased)
        if isinstance(outcome, Failed) and outcome.failure.kind in _PASSING and stored is not None and briefing.stands_in(stored):
            # A process that starts in an outage hands out what still lives; its refresh is tried again as any other.
            return _adopted(stored), stored_too
        return outcome, stored_too

    def _from_store(self, store: TokenStore, key: TokenKey, briefing: Briefing, stored: Stored | None) -> Outcome | int:
        """Return what another process has, or the generation under whose lease to ask."""
        now_s = int(briefing.server_s)
        if stored is not None and briefing.takes(stored):
            return _adopted(stored)
        leased = store.lease(key, now_s + _LEASE_S, now_s)
        if leased is None:
            return Elsewhere()
        if leased > (stored.generation if stored is not None else leased):
            # Somebody published between the two statements: what is there now is what was wanted.
            stored = store.load(key, now_s)
            if stored is not None and briefing.takes(stored):
                store.release(key)
                return _adopted(stored)
        return leased

    def _under_lease(self, store: TokenStore, key: TokenKey, generation: int) -> tuple[Outcome, bool]:
        try:
            outcome = self._ask(key)
        except BaseException:
            with suppress(Exception):
                store.release(key)
            raise
        try:
            if not isinstance(outcome, Fetched):
                store.release(key)
                return outcome, True
            fetched = msgspec.structs.replace(outcome, generation=generation + 1)
            # Whether it was published or somebody else's newer one is there: this one is good for this process.
            store.publish(key, self._plan(key, fetched, generation + 1))
        except Exception:  # noqa: BLE001 - as above
            return outcome, False
        return fetched, True

    def _ask(self, key: TokenKey) -> Outcome:
        sent = self._now()
        try:
            response = self._transport.fetch(self._account, key)
        except TransportFailed as error:
            return Failed(Failure(Kind.TRANSIENT, detail=str(error)), sent)
        return outcome_of(response, sent)


def _adopted(stored: Stored) -> Adopted:
    return Adopted(stored.text, stored.expires_at_s, stored.refresh_at_s, stored.generation)


def outcome_of(response: Response, sent: Moment) -> Fetched | Failed:
    """Read an answer: either form of the 200 body, or what failed."""
    usage, date_s = usage_of(response.headers), date_of(response.headers)
    if response.status == 200:
        try:
            token, expires_at_s = parse(response.body)
        except AnswerMalformed:
            return Failed(classify(response), sent, date_s, usage)
        return Fetched(token.reveal(), expires_at_s, sent, usage, date_s)
    return Failed(classify(response), sent, date_s, usage)
