"""The provider's threads: that none is lost, none turns in circles, and whatever befalls a fetch reaches who waits for it."""

import ast
import inspect
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client.driving import ACCOUNT, BAD_CALLER, KEY, LIMITED, Api, FakeTransport, TurnedClock, middle
from multipartner.client import (
    Account,
    CredentialRejected,
    Options,
    ProviderClosed,
    RetryPolicy,
    Secret,
    Throttled,
    TokenProvider,
    UpstreamTransient,
    WrongAccount,
)
from multipartner.client.keys import TokenKey
from multipartner.client.ports import Response, Stored
from multipartner.client.telling import EVENTS

KEYS = [ACCOUNT.key("7", str(number)) for number in range(20)]


class CountingClock(TurnedClock):
    """Counts how often a thread lay down to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0
        self.is_restless = threading.Event()

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:  # noqa: ARG002 - the port's
        self.waits += 1
        if self.waits > 2000:
            self.is_restless.set()
        with self._guard:
            self._waiting.add(condition)
        # Whoever keeps time is woken by a notification or by a turn of the clock, not by itself.
        condition.wait(5.0)


class FaultyTransport(FakeTransport):
    """Raises what it is told to, as no transport should."""

    fault: BaseException | None = None

    def fetch(self, account: Account, key: TokenKey) -> Response:
        if self.fault is not None:
            raise self.fault
        return super().fetch(account, key)


class FaultyStore:
    """A store with a fault of its own in every method."""

    released = 0

    def load(self, key: TokenKey, now_s: int) -> Stored | None:
        raise KeyError(key, now_s)

    def lease(self, key: TokenKey, until_s: int, now_s: int) -> int | None:
        raise KeyError(key, until_s, now_s)

    def publish(self, key: TokenKey, token: Stored) -> bool:
        raise KeyError(key, token)

    def release(self, key: TokenKey) -> None:
        self.released += 1
        raise KeyError(key)

    def forget(self, keys: Sequence[TokenKey]) -> None:
        raise KeyError(keys)

    def digest(self, key: TokenKey) -> bytes:
        raise KeyError(key)

    def forgotten(self) -> frozenset[bytes] | None:
        raise KeyError

    def close(self) -> None:
        pass


class LeasingStore(FaultyStore):
    """Works until a token is published."""

    def load(self, key: TokenKey, now_s: int) -> Stored | None:  # noqa: ARG002 - the port's
        return None

    def lease(self, key: TokenKey, until_s: int, now_s: int) -> int | None:  # noqa: ARG002 - the port's
        return 0


class Crewed:
    def __init__(self, store: FaultyStore | None = None, workers: int = 3) -> None:
        self.api, self.clock = Api(), CountingClock()
        self.transport = FaultyTransport(self.api, self.clock)
        self.events: list[str] = []
        self.provider = TokenProvider(
            ACCOUNT,
            Options(sweeps=False, uniform=middle, retry=RetryPolicy(attempts=1), workers=workers),
            transport=self.transport,
            store=store,
            clock=self.clock,
            hooks=[lambda name, _: self.events.append(name)],
        )


@pytest.fixture
def make() -> Iterator[Callable[..., Crewed]]:
    made: list[Crewed] = []

    def make(store: FaultyStore | None = None, workers: int = 3) -> Crewed:
        made.append(Crewed(store, workers))
        return made[-1]

    yield make
    for crewed in made:
        crewed.provider.close()


@pytest.mark.parametrize("fault", [RuntimeError("https://graph.example/?business_id=1"), SystemExit(1)], ids=["error", "exit"])
def test_a_transport_with_a_fault_is_told_and_ends_no_thread(make: Callable[..., Crewed], fault: BaseException) -> None:
    """Whatever a transport raises reaches the caller as passing, without its text; more often than there are threads."""
    crewed = make(workers=1)
    crewed.transport.fault = fault
    for key in KEYS[:5]:
        with pytest.raises(UpstreamTransient) as told:
            crewed.provider.get(key)
        assert type(fault).__name__ in str(told.value)
        assert "graph.example" not in str(told.value)
    crewed.transport.fault = None

    assert crewed.provider.get(KEYS[5]).reveal() == "5-1"
    assert crewed.events.count("unexpected") == 5


@pytest.mark.parametrize("store", [FaultyStore, LeasingStore])
def test_a_store_with_a_fault_keeps_nobody_from_a_token(make: Callable[..., Crewed], store: Callable[[], FaultyStore]) -> None:
    """A store that raises what its port does not name is as one that cannot be reached."""
    crewed = make(store(), workers=1)
    for number, key in enumerate(KEYS[:3]):
        assert crewed.provider.get(key).reveal() == f"{number}-1"
    crewed.provider.forget(KEYS[:1])
    crewed.clock.turn(2)

    assert crewed.provider.get(KEYS[4]).reveal() == "4-1"
    assert crewed.events.count("store_unavailable") == 5


def test_the_lease_of_a_fetch_that_broke_is_given_back(make: Callable[..., Crewed]) -> None:
    """A transport's fault must not leave other processes waiting for a lease to end."""
    store = LeasingStore()
    crewed = make(store)
    crewed.transport.fault = RuntimeError()
    with pytest.raises(UpstreamTransient):
        crewed.provider.get(KEY)

    assert store.released == 1


def test_idle_threads_rest_while_something_waits_for_its_time(make: Callable[..., Crewed]) -> None:
    """What may not go out yet wakes one thread, when it may; the others sleep."""
    crewed = make()
    crewed.transport.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(crewed.provider.get, key) for key in KEYS[:3]]
        for _ in waiting:
            assert crewed.transport.began.acquire(timeout=30)
        crewed.transport.gate.set()
        for future in waiting:
            future.result(30)
    assert crewed.provider.prefetch(KEYS[3:5], per_s=0.01) == 2

    # A time only for the wrong: two threads that wake each other lie down a thousand times in a tenth of it.
    assert not crewed.clock.is_restless.wait(0.3)
    crewed.clock.turn(100)
    assert crewed.provider.get(KEYS[4]).reveal() == "4-1"


@pytest.mark.parametrize(("answer", "error", "again_s"), [(BAD_CALLER, CredentialRejected, 30), (LIMITED, Throttled, 30)])
def test_who_waited_is_told_when_the_account_may_ask_again(
    make: Callable[..., Crewed], answer: Response, error: type[CredentialRejected | Throttled], again_s: float
) -> None:
    """An error whose cause is the account's has the time of breaker or gate, also for those whose fetch found it out."""
    crewed = make()
    crewed.api.answer = lambda _key, _wall: answer
    for _ in range(2):
        with pytest.raises(error) as told:
            crewed.provider.get(KEY)
        assert told.value.retry_at_s == pytest.approx(crewed.clock.wall() + again_s, abs=5)


def test_prefetch_takes_no_foreign_key_and_no_rate_that_is_none(make: Callable[..., Crewed]) -> None:
    """Another account's key would get this account's token; and prefetched for a closed provider nothing would come."""
    crewed = make()
    foreign = Account("https://graph.example", "1", Secret("another")).key("1", "2")
    with pytest.raises(WrongAccount):
        crewed.provider.prefetch([foreign])
    for rate in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="per_s"):
            crewed.provider.prefetch(KEYS, per_s=rate)
    assert crewed.provider.health().under_way == 0
    crewed.provider.close()
    with pytest.raises(ProviderClosed):
        crewed.provider.prefetch(KEYS)


def test_keys_may_come_from_a_generator_that_asks_the_provider(make: Callable[..., Crewed]) -> None:
    """What a caller hands in is read before the lock is taken."""
    crewed = make()
    keys = (key for key in KEYS[:3] if crewed.provider.explain(key).state == "absent")
    assert crewed.provider.prefetch(keys, per_s=1e9) == 3
    assert crewed.provider.get(KEYS[0]).reveal() == "0-1"
    assert crewed.provider.forget(key for key in KEYS[:1] if crewed.provider.explain(key).state == "fresh") == 1


def test_threads_import_nothing() -> None:
    """A child that is forked while another thread imports waits for that thread for ever: all is imported before."""
    program = """
import sys, socket, threading
from multipartner.client import Account, Secret, TokenProvider, TokenUnavailable
door = socket.create_server(("127.0.0.1", 0))
def serve():
    taken, _ = door.accept()
    taken.recv(65536)
    taken.sendall(b"HTTP/1.1 404 Not Found\\r\\ncontent-length: 2\\r\\nconnection: close\\r\\n\\r\\n{}")
threading.Thread(target=serve, daemon=True).start()
provider = TokenProvider(Account("http://localhost:%d" % door.getsockname()[1], "1", Secret("x")))
before = set(sys.modules)
try:
    provider.get(provider.key("1", "2"))
except TokenUnavailable as error:
    assert error.status == 404, error
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_event_is_told_and_every_one_told_has_a_name_in_the_list() -> None:
    """Whoever counts events by `telling.EVENTS` misses none, and waits for none that never comes."""
    told: set[str] = set()
    for path in Path(inspect.getfile(TokenProvider)).parent.glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in ("tell", "_tell"):
                told |= {str(part.value) for part in ast.walk(call.args[0]) if isinstance(part, ast.Constant)}

    assert told - {""} == EVENTS


def test_a_hook_that_asks_the_provider_misses_no_event() -> None:
    """Each of two thousand events is told once, however much there is to tell while a hook is at work."""
    told: list[str] = []
    api, clock = Api(), TurnedClock()
    states: set[str] = set()

    def hook(name: str, key: TokenKey | None) -> None:
        if key is not None:
            states.add(provider.explain(key).state)
        told.append(name)

    with TokenProvider(ACCOUNT, transport=FakeTransport(api, clock), clock=clock, hooks=[hook]) as provider:
        keys = [ACCOUNT.key("7", str(number)) for number in range(2000)]
        for key in keys:
            provider.get(key)
        provider.forget(keys)

        assert told.count("forgotten") == 2000
        assert "absent" in states
