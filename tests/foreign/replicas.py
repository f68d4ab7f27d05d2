"""Three `multipartner serve` on one PostgreSQL, callers that never stop asking, and clocks that a test sets."""

import base64
import contextlib
import http.client
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from deployment import ACT, DemoDeployment
from foreign.proxying import NAME
from multipartner.partnering.credentials import create_resource_server
from serving import OWNER_APP, OWNER_USER, SHARING, SHARING_TOO, Answer, Served, eventually, lives, path_of, serving

ISSUER = "https://tokens.example"
MANY = 100_000_000
BUSINESSES = (SHARING, SHARING_TOO)
THREADS = 6
CLOCKS_APART_S = 10
START_S = 30

_TURNED_CLOCK = Path(__file__).with_name("turned_clock")


@dataclass
class Replicas:
    """The running replicas, each on an address of its own that stays the same when it is started again.

    On 127.0.0.1 a client's connection could take the port of a replica that is down.
    """

    deployment: DemoDeployment
    settings: dict[str, object]
    environments: Sequence[dict[str, str]] = ({}, {}, {})
    served: list[Served] = field(default_factory=list)
    _stacks: list[contextlib.ExitStack] = field(default_factory=list)

    @property
    def places(self) -> list[str]:
        return [urlsplit(one.url).netloc for one in self.served]

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as all_of_them:
            all_of_them.callback(self.close)
            for number in range(3):
                self._stacks.append(contextlib.ExitStack())
                self.served.append(self._start(number))
            all_of_them.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for stack in self._stacks:
            stack.close()

    def _start(self, number: int, port: int = 0) -> Served:
        where = {"host": f"127.0.0.{11 + number}", "port": port}
        served = self._stacks[number].enter_context(serving(self.deployment, self.environments[number], **self.settings, **where))
        eventually(lambda: served.ready().status == 200, START_S)
        return served

    def restart(self, number: int) -> None:
        """Start one that has ended where it was, and wait until it is ready."""
        self._stacks[number].close()
        self.served[number] = self._start(number, self.served[number].port)

    def kill(self, number: int) -> None:
        """Kill -9 a replica, all of its processes."""
        pids = self.signal(number, signal.SIGKILL)
        eventually(lambda: not any(lives(pid) for pid in pids))

    def signal(self, number: int, what: signal.Signals) -> list[int]:
        """Send a signal to all processes of a replica; returns their ids."""
        pids = [self.served[number].pid, *self.served[number].workers()]
        for pid in pids:
            os.kill(pid, what)
        return pids

    def answered(self, number: int) -> float:
        """How many token requests one replica answered with 200."""
        return self.served[number].metric('multipartner_requests_total{reason="",route="access_token",status="200"}')


class Asker:
    """One client of the proxy, on one kept connection; introspection asks with a resource server's credential."""

    def __init__(self, url: str, source: str = "127.0.0.1") -> None:
        parts = urlsplit(url)
        self._http = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20, source_address=(source, 0))

    def get(self, path: str, token: str = "", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._ask("GET", path, named | ({"Authorization": f"Bearer {token}"} if token else {}))

    def introspect(self, credential: str, token: str) -> Answer:
        headers = {"Authorization": f"Basic {credential}", "Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", "/oauth/introspect", headers, urlencode({"token": token}))

    def _ask(self, method: str, path: str, headers: dict[str, str], body: str | None = None) -> Answer:
        self._http.request(method, path, body, headers | {"Host": NAME})
        answer = self._http.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def close(self) -> None:
        self._http.close()


class Load:
    """Threads that ask for tokens and introspect them, on kept and on new connections, until closed.

    `seen` counts what came: a status, or the name of what broke. `tokens` are all that were given.
    """

    def __init__(self, url: str, caller: str, server: str) -> None:
        self.seen: Counter[str] = Counter()
        self.tokens: set[str] = set()
        self.now_s: Callable[[], int] = lambda: int(time.time())
        self._url, self._caller, self._server = url, caller, server
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    @property
    def answered(self) -> int:
        return sum(self.seen.values())

    def more(self, requests: int = 200) -> None:
        """Wait until so many more were answered."""
        target = self.answered + requests
        eventually(lambda: self.answered >= target, START_S)

    def lost(self) -> dict[str, int]:
        """What was not answered as it should be."""
        return {
            what: count for what, count in self.seen.items() if what not in {"GET 200", "POST 200 active", "POST 200 expired"}
        }

    def _ask(self, number: int) -> None:
        asker = Asker(self._url)
        while not self._done.is_set():
            what, token = self._once(asker, BUSINESSES[number % 2])
            with self._lock:
                self.seen.update(what)
                self.tokens |= token
            if number >= THREADS // 2:  # as clients that make a connection for each call
                asker.close()
        asker.close()

    def _once(self, asker: Asker, business: str) -> tuple[list[str], set[str]]:
        what = "GET"
        try:
            given = asker.get(path_of(business), self._caller)
            if given.status != 200:
                return [f"GET {given.status}"], set()
            token = str(given.json["access_token"])
            what = "POST"
            told = asker.introspect(self._server, token)
        except (OSError, http.client.HTTPException) as error:
            asker.close()
            return [*(["GET 200"] if what == "POST" else []), f"{what} {type(error).__name__}"], set()
        return ["GET 200", f"POST {told.status}{self._life(told, given.json['expires_at'])}"], {token}

    def _life(self, told: Answer, expires_at_s: int) -> str:
        if told.status != 200:
            return ""
        if told.json["active"]:
            return " active"
        # Between the two questions a test may have turned the clocks by a token's whole life.
        return " expired" if self.now_s() + CLOCKS_APART_S >= expires_at_s else " dead"


@dataclass(frozen=True)
class Callers:
    """Who asks: a caller token, and a resource server's credential as Basic authentication writes it."""

    token: str = field(repr=False)
    server: str = field(repr=False)


def callers_of(deployment: DemoDeployment) -> Callers:
    token = deployment.caller_token(OWNER_USER, OWNER_APP)
    made = deployment.operate(lambda o: create_resource_server(o.store, o.master, ACT, "gateway"))
    credential = f"{made.id}:{made.text.reveal()}"
    return Callers(token, base64.b64encode(credential.encode()).decode())


class Clocks:
    """Wall clocks of processes: a file adds the same to all of them, so no two ever differ by more than their offsets.

    Boot and monotonic time stay true.
    """

    def __init__(self, folder: Path, offsets_s: Sequence[int]) -> None:
        self._file = folder / "clock"
        self.turned_s = 0
        self.turn(0)
        self.environments = [
            {"PYTHONPATH": str(_TURNED_CLOCK), "TURNED_CLOCK_FILE": str(self._file), "TURNED_CLOCK_OFFSET_S": str(offset_s)}
            for offset_s in offsets_s
        ]

    def turn(self, seconds: int) -> None:
        """Let all clocks go forward at once."""
        self.turned_s += seconds
        new = self._file.with_suffix(".new")
        new.write_text(str(self.turned_s))
        new.rename(self._file)


@contextlib.contextmanager
def load(url: str, callers: Callers) -> Iterator[Load]:
    with contextlib.closing(Load(url, callers.token, callers.server)) as running:
        running.more()
        yield running


def settings(**more: Any) -> dict[str, object]:
    return {
        "issuer": ISSUER,
        "trusted_proxies": "127.0.0.1",
        # Three replicas that start, a database, a proxy and the load share two processors: for a second somebody may have none.
        "stale_for_s": 5,
        "calls_per_hour": MANY,
        "calls_per_business_per_hour": MANY,
        **more,
    }
