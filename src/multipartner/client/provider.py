"""The provider: `get` and `aget` over one flow, with a few threads of its own that fetch.

A hit is one look-up, one clock and one comparison, in the caller's own thread or loop. Everything else goes through one lock, and
nothing is waited for under it. Fetches belong to the provider: a caller who stops waiting, a loop that ends or a task that is
cancelled takes nothing from those who still wait.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec

from multipartner.client.clocks import SystemClock
from multipartner.client.crew import Crew
from multipartner.client.errors import LifetimeTooShort, ProviderClosed, TokenUnavailable, WaitTimedOut, WrongAccount, error_of
from multipartner.client.failures import Failure, Kind
from multipartner.client.flights import Flight
from multipartner.client.flow import Flow
from multipartner.client.gates import RetryPolicy, Uniform
from multipartner.client.hooks import Hook
from multipartner.client.keys import Account, TokenKey
from multipartner.client.policy import RefreshPolicy
from multipartner.client.ports import Clock, Moment, Ports, TokenStore, Transport
from multipartner.client.rejecting import matching
from multipartner.client.telling import Explanation, Health, explained, health_of
from multipartner.client.tokens import IN_USE, AccessToken
from multipartner.client.transport import HttpTransport
from multipartner.client.verdicts import Await, Refuse, Serve, Verdict

T = TypeVar("T")

_DEFAULT_TIMEOUT_S: Final = 10.0


class Options(msgspec.Struct, frozen=True):
    """How a provider works. `sweeps`: refresh what is in use even when nobody asks at the right moment."""

    policy: RefreshPolicy = RefreshPolicy()
    retry: RetryPolicy = RetryPolicy()
    most_tokens: int = 250_000
    workers: int = 8
    sweeps: bool = True
    salt: bytes = b""
    uniform: Uniform = random.uniform


class TokenProvider:
    """Fresh tokens for all tenants of one account. Safe across threads, event loops and fork; close it, or use it in a `with`.

    `store` lets tokens outlive the process, and several processes share them. Raises nothing of the network: see `get`.
    """

    def __init__(
        self,
        account: Account,
        options: Options | None = None,
        *,
        store: TokenStore | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
        hooks: Sequence[Hook] = (),
    ) -> None:
        self.account = account
        self._options = options = options or Options()
        clock = clock or SystemClock()
        self._boot = clock.boot
        now = Moment(clock.boot(), clock.wall())
        self._flow = Flow(options.policy, options.retry, now, options.uniform, most=options.most_tokens, salt=options.salt)
        self._flow.sweeps = options.sweeps
        self._tokens = self._flow.table.tokens
        self._crew = Crew(account, self._flow, Ports(transport or HttpTransport(), store, clock), hooks, options.workers)

    # asking

    def key(self, solution_id: str, business_id: str) -> TokenKey:
        """Name a tenant's token: keep it, it is what `get` takes. Raises ValueError for what is not digits."""
        return self.account.key(solution_id, business_id)

    def get(self, key: TokenKey, *, min_ttl_s: float = 0.0, timeout_s: float = _DEFAULT_TIMEOUT_S) -> AccessToken:
        """Return a token that lives for `min_ttl_s` seconds and a margin; waits only when there is none, up to `timeout_s`.

        Raises TokenUnavailable in one of its forms (`errors`), WrongAccount, ProviderClosed, TypeError for what is no key.
        """
        try:
            token = self._tokens[key]
        except KeyError:
            pass
        else:
            if self._boot() < token.refresh_at and not min_ttl_s:
                token.used = IN_USE
                return token
        return self._get(key, min_ttl_s, timeout_s)

    async def aget(self, key: TokenKey, *, min_ttl_s: float = 0.0, timeout_s: float = _DEFAULT_TIMEOUT_S) -> AccessToken:
        """`get` for coroutines, of any event loop: never blocks it."""
        try:
            token = self._tokens[key]
        except KeyError:
            pass
        else:
            if self._boot() < token.refresh_at and not min_ttl_s:
                token.used = IN_USE
                return token
        return await self._aget(key, min_ttl_s, timeout_s)

    def _get(self, key: TokenKey, min_ttl_s: float, timeout_s: float) -> AccessToken:
        deadline = self._boot() + timeout_s
        waited: Flight | None = None
        while True:
            verdict = self._want(key, min_ttl_s, deadline, waited)
            if isinstance(verdict, Serve):
                if verdict.wait_for is not None:
                    self._crew.wait_for(verdict.wait_for, self._boot() + self._options.policy.soft_wait_s)
                return self._newest(key, verdict)
            waited = self._flight(key, verdict, waited, min_ttl_s)
            if not self._crew.wait_for(waited, deadline):
                raise self._timed_out(key)

    async def _aget(self, key: TokenKey, min_ttl_s: float, timeout_s: float) -> AccessToken:
        deadline = self._boot() + timeout_s
        waited: Flight | None = None
        while True:
            verdict = self._want(key, min_ttl_s, deadline, waited)
            if isinstance(verdict, Serve):
                if verdict.wait_for is not None:
                    await self._wait_for(verdict.wait_for, self._options.policy.soft_wait_s)
                return self._newest(key, verdict)
            waited = self._flight(key, verdict, waited, min_ttl_s)
            if not await self._wait_for(waited, deadline - self._boot()):
                raise self._timed_out(key)

    def _want(self, key: TokenKey, min_ttl_s: float, deadline: float, waited: Flight | None) -> Verdict:
        self._check_own(key)
        with self._crew.lock:
            if self._crew.closed:
                raise ProviderClosed("the provider is closed")
            if waited is not None and isinstance(waited.result, Failure):
                # Those who waited share the failure, whatever may have been begun by now.
                verdict: Verdict = Refuse(waited.result, self._flow.again_at(key, waited.result, self._boot()))
            else:
                verdict = self._flow.want(key, self._boot(), min_ttl_s, deadline)
                self._crew.wake()
        self._crew.emit()
        return verdict

    def _newest(self, key: TokenKey, served: Serve) -> AccessToken:
        token = self._tokens.get(key) if served.wait_for is not None else None
        return served.token if token is None else token

    def _flight(self, key: TokenKey, verdict: Await | Refuse, waited: Flight | None, min_ttl_s: float) -> Flight:
        """Return what to wait for; raises what there is to say instead."""
        if isinstance(verdict, Refuse):
            raise self._refused(key, verdict)
        brought = waited.result if waited is not None else None
        # One that lives long enough and is gone all the same was rejected or evicted since: its successor is waited for.
        if isinstance(brought, AccessToken) and self._boot() + min_ttl_s >= brought.until:
            raise LifetimeTooShort(key, None, None, "the newest token does not live long enough")
        return verdict.flight

    def _refused(self, key: TokenKey, verdict: Refuse) -> TokenUnavailable:
        retry_at_s = self._crew.now().wall + verdict.retry_at - self._boot()
        if verdict.too_short:
            return LifetimeTooShort(key, None, retry_at_s, "the newest token does not live long enough")
        return error_of(key, verdict.failure, retry_at_s)

    def _timed_out(self, key: TokenKey) -> WaitTimedOut:
        return WaitTimedOut(key, Failure(Kind.TRANSIENT, detail="no answer within timeout_s"), self._crew.now().wall)

    async def _wait_for(self, flight: Flight, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def wake() -> None:
            # One way only: the loop may have ended, the task may be gone; the flight does not care.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_set, done)

        with self._crew.lock:
            if flight.result is not None or self._crew.closed:
                return True
            flight.waiters.append(wake)
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await done
        except TimeoutError:
            return flight.result is not None
        finally:
            with self._crew.lock, suppress(ValueError):
                flight.waiters.remove(wake)
        return True

    # telling

    def reject(self, token: AccessToken, key: TokenKey) -> bool:
        """A resource server answered 401 to this token. Returns whether `get` hands out another one from now on.

        Late news of an older token fetches nothing, nor does the first refusal of one that is a few seconds old, nor a second
        refusal within a minute.
        """
        _check_key(key)
        return self._change(lambda: self._flow.reject(key, token.fingerprint, self._boot()))

    def forget(
        self, keys: Iterable[TokenKey] | None = None, *, business_id: str | None = None, solution_id: str | None = None
    ) -> int:
        """Drop tokens, here and in the store, because what they stand for has ended. Returns how many keys were known.

        Raises ProviderClosed: the store is closed then as well.
        """
        self._check_open()
        matches = matching(keys, business_id, solution_id)
        known = self._change(lambda: self._flow.forget(matches))
        self._crew.forget_stored(known)
        return len(known)

    def revive(
        self, keys: Iterable[TokenKey] | None = None, *, business_id: str | None = None, solution_id: str | None = None
    ) -> None:
        """Forget refusals, because the customer has just shared: the next call asks at once."""
        matches = matching(keys, business_id, solution_id)
        self._change(lambda: self._flow.revive(matches))

    def prefetch(self, keys: Iterable[TokenKey], *, per_s: float = 50.0) -> int:
        """Begin to fetch what is not there, in the background, so many a second and as the quota allows. Returns how many.

        Raises WrongAccount, ProviderClosed, and ValueError for a `per_s` that is no rate.
        """
        if not per_s > 0:
            raise ValueError("per_s must be more than 0")
        # Not under the lock: `keys` may be a generator of the caller's, which may take its time or ask this provider.
        listed = list(keys)
        for key in listed:
            self._check_own(key)
        self._check_open()
        return self._change(lambda: self._flow.prefetch(listed, self._boot(), per_s))

    def explain(self, key: TokenKey) -> Explanation:
        """Say what is known of a key, what would happen now, and when it is fetched next; without any secret."""
        _check_key(key)
        return self._change(lambda: explained(self._flow, key, self._crew.now()))

    def health(self) -> Health:
        """Say how the account is: tokens, runway, gate, breaker. Walks through all tokens: for a scrape, not for each call."""
        return self._change(lambda: health_of(self._flow, self._crew.now()))

    def close(self) -> None:
        """Stop the threads, end every wait and every later `get` with ProviderClosed, let go of tokens, connections and store.

        Does not raise.
        """
        self._crew.close()

    def _check_own(self, key: TokenKey) -> None:
        _check_key(key)
        if key.account != self.account.id:
            raise WrongAccount("the key was made for another account, or for another caller token: make it with `key`")

    def _check_open(self) -> None:
        if self._crew.closed:
            raise ProviderClosed("the provider is closed")

    def _change(self, act: Callable[[], T]) -> T:
        with self._crew.lock:
            result = act()
            self._crew.wake()
        self._crew.emit()
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.to_thread(self.close)


def _set(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)


def _check_key(key: object) -> None:
    if not isinstance(key, TokenKey):
        raise TypeError("key is a TokenKey: make it with `provider.key(solution_id, business_id)`")
