"""The threads that fetch, the lock around the flow, and what forks and closes do to both."""

import os
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from multipartner.client.failures import Failure, Kind
from multipartner.client.fetching import Briefing, Fetcher
from multipartner.client.flights import Again, Failed, Fetched, Flight, FlightQueue, Outcome
from multipartner.client.flow import Flow
from multipartner.client.hooks import Hook, Teller
from multipartner.client.keys import Account, TokenKey
from multipartner.client.policy import ExpiryAbsurd, life_of, plan, share_of
from multipartner.client.ports import Moment, Ports, Stored
from multipartner.client.tokens import NEVER

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
        self._teller = Teller(self._hooks)
        self._work = threading.Condition(self.lock)
        self._tick = threading.Condition(self.lock)
        """The one idle thread that keeps time waits on this, until `_looks_at`; the other idle ones wait on `_work`."""
        self._done = threading.Condition(self.lock)
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._keeps_time = False
        self._looks_at = NEVER

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
        if not self._idle:
            if len(self.flow.queue) and len(self._threads) < self._workers and not self.closed:
                self._hire()
        elif not self._keeps_time:
            self._work.notify()
        elif self.flow.queue.is_ready:
            (self._work if self._idle > 1 else self._tick).notify()
        elif (self.flow.queue.next_at() or NEVER) < self._looks_at:
            self._tick.notify()

    def _hire(self) -> None:
        thread = threading.Thread(target=self._run, name="multipartner-tokens", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # No more threads here, or the interpreter ends: whoever asks next tries again, and the others' patience ends.
            self.flow.tell("unexpected")
        else:
            self._threads.append(thread)

    def emit(self) -> None:
        """Tell the hooks what happened. Without the lock: a hook may call the provider, and is not told within itself."""
        self._teller(self.flow.told)

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
            except Exception:  # noqa: BLE001 - StoreUnavailable, or a fault of somebody's own store
                with self.lock:
                    self.flow.tell("store_unavailable")
                self.emit()

    def close(self) -> None:
        """End every wait, let the threads finish what they are at, let go of tokens, connections and store."""
        with self.lock:
            self.closed = True
            for state in self.flow.table.states.values():
                if state.flight is not None:
                    self.flow.settle(state.flight, Again())
            # What a thread brings from here on is for flights that are settled, and is not kept.
            self.flow.table.let_go()
            self.wake()
            self._work.notify_all()
            self._tick.notify_all()
            self._done.notify_all()
            threads = list(self._threads)
        self.emit()
        give_up = time.monotonic() + _JOIN_S
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(timeout=max(give_up - time.monotonic(), 0.0))
        self._transport.close()
        if self._store is not None:
            self._store.close()

    # in the threads

    def _run(self) -> None:
        lock, threads = self.lock, self._threads
        try:
            self._work_on(lock)
        finally:
            with lock, suppress(ValueError):
                threads.remove(threading.current_thread())

    def _work_on(self, lock: threading.Lock) -> None:
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
            self._idle += 1
            try:
                self._rest(now)
            finally:
                self._idle -= 1
        return None

    def _rest(self, now: float) -> None:
        if self._keeps_time:
            self.wake()
            self.clock.wait(self._work, None)
            return
        self._keeps_time, self._looks_at = True, self.flow.next_at(now)
        self.wake()
        try:
            self.clock.wait(self._tick, max(self._looks_at - now, 0.001))
        finally:
            self._keeps_time, self._looks_at = False, NEVER
            # Another one keeps time while this one works.
            self._work.notify()

    def _briefing(self, flight: Flight) -> Briefing:
        state, token = self.flow.table.state(flight.key), self.flow.table.tokens.get(flight.key)
        generation = max(state.generation, token.generation if token is not None else 0)
        rejected = frozenset(print_ for print_, _ in state.rejected)
        return Briefing(generation, rejected, self.flow.clock.at(self.clock.boot()))

    def _fly(self, flight: Flight, briefing: Briefing) -> None:
        outcome: Outcome
        try:
            outcome, stored = self._fetch(flight.key, briefing)
            trouble = "" if stored else "store_unavailable"
        except BaseException as error:  # noqa: BLE001 - a fault of somebody's own transport must not leave callers waiting
            outcome, trouble = Failed(_unexpected(error), self.now()), "unexpected"
        with self.lock:
            if trouble:
                self.flow.tell(trouble, flight.key)
            try:
                self.flow.land(flight, outcome, self.clock.boot())
            except Exception as error:  # noqa: BLE001 - as above
                self.flow.crashed(flight, _unexpected(error), self.clock.boot())
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
            if digests is not None and not digests:
                return
            with self.lock:
                known = [*self.flow.table.tokens, *self.flow.table.states]
            # Without the lock: a digest for each of 100,000 keys takes a third of a second.
            meant = {key for key in known if digests is None or self._store.digest(key) in digests}
        except Exception:  # noqa: BLE001 - StoreUnavailable, or a fault of somebody's own store
            return
        with self.lock:
            self.flow.forget(meant.__contains__)
            self.wake()
        self.emit()

    def renew_in_child(self) -> None:
        """After a fork: tokens stay, threads and connections are the parent's, and so is what was under way."""
        self._renew()
        now = self.clock.boot()
        self.flow.queue = FlightQueue()
        self.flow.settled = []
        self.flow.told.clear()
        self.flow.to_forget = []
        for key, state in self.flow.table.states.items():
            if state.flight is not None:
                state.flight = None
                token = self.flow.table.tokens.get(key)
                if token is not None:
                    token.refresh_at = now
        self._transport.abandon()
        if self._store is not None:
            self._store.close()


def _unexpected(error: BaseException) -> Failure:
    return Failure(Kind.TRANSIENT, detail=f"unexpected {type(error).__name__}")


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
