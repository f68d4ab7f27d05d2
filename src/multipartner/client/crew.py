"""The threads that fetch, the lock around the flow, and what forks and closes do to both."""

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from multipartner.client.fetching import Briefing, Fetcher
from multipartner.client.flights import Again, Fetched, Flight, FlightQueue
from multipartner.client.flow import Flow
from multipartner.client.keys import Account, TokenKey
from multipartner.client.policy import ExpiryAbsurd, life_of, plan, share_of
from multipartner.client.ports import Moment, Ports, Stored, StoreUnavailable
from multipartner.client.tokens import NEVER

Hook = Callable[[str, TokenKey | None], None]
"""Told an event's name (`telling.EVENTS`) and the key, if it is one key's. What it raises is dropped."""

_JOIN_S: Final = 15.0
_TICK: Final = "tick"


class Crew:
    """Runs flights of one flow in at most `workers` threads, begun when they are needed.

    Whoever calls the flow holds `lock` and calls `wake` before letting go of it, and `emit` after.
    """

    def __init__(
        self,
        account: Account,
        flow: Flow,
        ports: Ports,
        hooks: Sequence[Hook],
        workers: int,
    ) -> None:
        self.flow = flow
        self.clock = ports.clock
        self.closed = False
        self._transport = ports.transport
        self._store = ports.store
        self._hooks = tuple(hooks)
        self._workers = workers
        self._fetch = Fetcher(account, ports.transport, ports.store, self.now, self._kept)
        self._renew()
        _CREWS.add(self)

    def _renew(self) -> None:
        self.lock = threading.Lock()
        self._work = threading.Condition(self.lock)
        self._done = threading.Condition(self.lock)
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._keeps_time = False

    def now(self) -> Moment:
        """Read both clocks."""
        return Moment(self.clock.boot(), self.clock.wall())

    def wake(self) -> None:
        """Tell the threads of new flights and the waiters of settled ones. With the lock."""
        settled, self.flow.settled = self.flow.settled, []
        for flight in settled:
            waiters, flight.waiters = flight.waiters, []
            for waiter in waiters:
                waiter()
        if settled:
            self._done.notify_all()
        waiting = len(self.flow.queue)
        if waiting and not self._idle and len(self._threads) < self._workers and not self.closed:
            thread = threading.Thread(target=self._run, name="multipartner-tokens", daemon=True)
            self._threads.append(thread)
            thread.start()
        elif waiting:
            self._work.notify()

    def emit(self) -> None:
        """Tell the hooks what happened. Without the lock: a hook may call the provider."""
        while self.flow.told:
            with suppress(IndexError):
                name, key = self.flow.told.pop(0)
                for hook in self._hooks:
                    with suppress(Exception):
                        hook(name, key)

    def wait_for(self, flight: Flight, deadline: float) -> bool:
        """Wait for a flight's result until then (seconds since boot). Without the lock."""
        with self.lock:
            while flight.result is None and not self.closed:
                left_s = deadline - self.clock.boot()
                if left_s <= 0:
                    return False
                self.clock.wait(self._done, left_s)
            return True

    def forget_stored(self, keys: Sequence[TokenKey]) -> None:
        """Delete tokens from the store; if it cannot be reached, they end there by their expiry. Without the lock."""
        if self._store is not None and keys:
            try:
                self._store.forget(keys)
            except StoreUnavailable:
                with self.lock:
                    self.flow.tell("store_unavailable")

    def close(self) -> None:
        """End every wait, let the threads finish what they are at, let go of connections and store."""
        with self.lock:
            self.closed = True
            for state in self.flow.table.states.values():
                if state.flight is not None:
                    self.flow.settle(state.flight, Again())
            self.wake()
            self._work.notify_all()
            self._done.notify_all()
            threads = list(self._threads)
        self.emit()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(timeout=_JOIN_S)
        self._transport.close()
        if self._store is not None:
            self._store.close()

    # in the threads

    def _run(self) -> None:
        lock = self.lock
        while True:
            with lock:
                task = self._next()
                self.wake()
                briefing = self._briefing(task) if isinstance(task, Flight) else None
            self.emit()
            if isinstance(task, Flight) and briefing is not None:
                self._fly(task, briefing)
            elif task == _TICK:
                self._hear()
            else:
                return

    def _next(self) -> Flight | str | None:
        """Wait for something to do: a flight, once a second a tick, or None when closed. One idle thread looks at the clock."""
        while not self.closed:
            flight = self.flow.take(self.now())
            if flight is not None:
                return flight
            now = self.clock.boot()
            if self.flow.sweep(now):
                return _TICK
            self.wake()
            keeps_time, self._keeps_time = not self._keeps_time, True
            self._idle += 1
            try:
                self.clock.wait(self._work, max(self.flow.next_at(now) - now, 0.001) if keeps_time else None)
            finally:
                self._idle -= 1
                if keeps_time:
                    self._keeps_time = False
                    self._work.notify()
        return None

    def _briefing(self, flight: Flight) -> Briefing:
        state, token = self.flow.table.state(flight.key), self.flow.table.tokens.get(flight.key)
        generation = max(state.generation, token.generation if token is not None else 0)
        rejected = frozenset(print_ for print_, _ in state.rejected)
        return Briefing(generation, rejected, self.flow.clock.at(self.clock.boot()))

    def _fly(self, flight: Flight, briefing: Briefing) -> None:
        outcome, stored = self._fetch(flight.key, briefing)
        with self.lock:
            if not stored:
                self.flow.tell("store_unavailable", flight.key)
            self.flow.land(flight, outcome, self.clock.boot())
            forget, self.flow.to_forget = self.flow.to_forget, []
            self.wake()
        self.forget_stored(forget)
        self.emit()

    def _kept(self, key: TokenKey, fetched: Fetched, generation: int) -> Stored:
        """Plan as landing will, for the other processes: by the API's clock."""
        flow, t0_s = self.flow, self.flow.clock.at(fetched.sent.boot)
        try:
            life_s = life_of(fetched.expires_at_s, t0_s)
        except ExpiryAbsurd:
            return Stored(fetched.text, fetched.expires_at_s, int(t0_s), generation)
        planned = plan(flow.policy, share_of(key, generation, flow.salt), life_s, flow.horizon_s)
        return Stored(fetched.text, fetched.expires_at_s, int(t0_s + planned.refresh_s), generation)

    def _hear(self) -> None:
        """Drop what other processes forgot."""
        if self._store is None:
            return
        try:
            digests = self._store.forgotten()
        except StoreUnavailable:
            return
        if digests is None or digests:
            store = self._store
            with self.lock:
                self.flow.forget(lambda key: digests is None or store.digest(key) in digests)
                self.wake()
            self.emit()

    def renew_in_child(self) -> None:
        """After a fork: tokens stay, threads and connections are the parent's, and so is what was under way."""
        self._renew()
        now = self.clock.boot()
        self.flow.queue = FlightQueue()
        self.flow.settled = []
        for key, state in self.flow.table.states.items():
            if state.flight is not None:
                state.flight = None
                token = self.flow.table.tokens.get(key)
                if token is not None and token.refresh_at < NEVER:
                    token.refresh_at = now
        self._transport.abandon()
        if self._store is not None:
            self._store.close()


_CREWS: "weakref.WeakSet[Crew]" = weakref.WeakSet()
_held: list[threading.Lock] = []


def _before_fork() -> None:
    # A flow that another thread is changing must not be what the child gets.
    _held.extend(crew.lock for crew in list(_CREWS) if crew.lock.acquire(timeout=5.0))


def _after_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_in_child() -> None:
    _held.clear()
    for crew in list(_CREWS):
        crew.renew_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
