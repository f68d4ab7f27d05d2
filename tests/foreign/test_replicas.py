"""Three replicas on one PostgreSQL behind nginx and behind HAProxy: one service, whatever becomes of any of them."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import jwt
import pytest

from deployment import DemoDeployment
from foreign.proxying import KINDS, Proxy, proxy
from foreign.replicas import BUSINESSES, ISSUER, Asker, Callers, Clocks, Replicas, callers_of, load, settings
from multipartner.domain.claims import SKEW_S
from multipartner.domain.keyring import KEY_SET_MAX_AGE_S, PUBLISH_AHEAD_S
from serving import OWNER_APP, SHARING, SOLUTION, Connection, eventually, get, path_of, run
from shared_limits_server import any_server, prefix

pytestmark = [pytest.mark.foreign, pytest.mark.parametrize("engine", ["postgresql"], indirect=True)]

FAILURES = 20
LIFETIME_S = 120
STEP_S = 15


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def callers(demo: DemoDeployment) -> Callers:
    return callers_of(demo)


@pytest.fixture
def replicas(demo: DemoDeployment) -> Iterator[Replicas]:
    with Replicas(demo, settings(failures_per_hour=FAILURES)) as started:
        yield started


@pytest.fixture
def front(kind: str, replicas: Replicas, tmp_path: Path) -> Iterator[Proxy]:
    folder = tmp_path / "proxy"
    folder.mkdir()
    with proxy(kind, replicas.places, folder) as started:
        yield started


@pytest.fixture
def shared() -> Iterator[dict[str, str]]:
    """Settings with which replicas count together."""
    with any_server() as url:
        yield {"limits_url": url, "limits_prefix": prefix()}


def test_replicas_answer_alike_and_in_turn(replicas: Replicas, front: Proxy, callers: Callers) -> None:
    """Each replica gives the same token to the byte, and the proxy lets all three take their turns."""
    direct = {get(one.url, path_of(SHARING), callers.token).body for one in replicas.served}
    with closing(Asker(front.url)) as asker:
        through = [asker.get(path_of(SHARING), callers.token) for _ in range(30)]

    assert {answer.status for answer in through} == {200}
    assert direct == {answer.body for answer in through}
    assert len(direct) == 1
    eventually(lambda: sum(replicas.answered(number) for number in range(3)) == 33)
    assert min(replicas.answered(number) for number in range(3)) >= 6


def test_rolling_restart_loses_nothing(replicas: Replicas, front: Proxy, callers: Callers) -> None:
    """Replicas that are stopped and started again one after the other under load cost no caller an answer."""
    with load(front.url, callers) as asking:
        for number in range(3):
            assert replicas.served[number].stop() == 0
            asking.more()
            replicas.restart(number)
            asking.more()
        eventually(lambda: min(replicas.answered(number) for number in range(3)) > 0)

    print(f"{front.kind}: rolling restart: {asking.answered} requests, lost {asking.lost()}")  # noqa: T201 - the figure, for -s
    assert asking.lost() == {}


def test_killed_replica_loses_nothing(replicas: Replicas, front: Proxy, callers: Callers) -> None:
    """A replica killed with -9 under load costs no caller an answer: what it had begun is asked again elsewhere."""
    with load(front.url, callers) as asking:
        for number in range(3):
            replicas.kill(number)
            asking.more()
            replicas.restart(number)
            asking.more()

    print(f"{front.kind}: three kills: {asking.answered} requests, lost {asking.lost()}")  # noqa: T201 - the figure, for -s
    assert asking.lost() == {}


def test_standing_replica_loses_nothing(replicas: Replicas, front: Proxy, callers: Callers) -> None:
    """A replica that stands still, neither answering nor gone, costs callers a wait and no answer."""
    replicas.signal(1, signal.SIGSTOP)
    try:
        with closing(Asker(front.url)) as asker:
            given = [asker.get(path_of(SHARING), callers.token) for _ in range(8)]
            told = [asker.introspect(callers.server, given[0].json["access_token"]) for _ in range(8)]
    finally:
        replicas.signal(1, signal.SIGCONT)

    assert {answer.status for answer in given} == {200}
    assert {(answer.status, answer.json["active"]) for answer in told} == {(200, True)}


def test_acknowledged_change_is_obeyed_by_all(replicas: Replicas, front: Proxy, callers: Callers, demo: DemoDeployment) -> None:
    """Attack 41: when `grant revoke` or `grant restore` has ended, every replica obeys within one second, under load."""
    lags_s = []
    connections = [Connection(one.url) for one in replicas.served]
    other = callers_of(demo)
    grant = ("--business", SHARING, "--solution", SOLUTION, "--app", OWNER_APP)
    with load(front.url, Callers(other.token, other.server)):
        for verb, status in [("revoke", 403), ("restore", 200)] * 3:
            ended = run("grant", verb, *grant, *demo.arguments)
            acknowledged = time.monotonic()
            assert ended.returncode == 0, ended.stderr
            for connection in connections:
                eventually(partial(_answers, connection, callers.token, status))
                lags_s.append(time.monotonic() - acknowledged)
    for connection in connections:
        connection.close()

    print(f"{front.kind}: longest lag {max(lags_s):.3f} s")  # noqa: T201 - the figure, for -s
    assert max(lags_s) <= 1


def _answers(connection: Connection, token: str, status: int) -> bool:
    return connection.get(path_of(SHARING), token).status == status


def test_a_spoofing_flood_is_one_address(replicas: Replicas, front: Proxy, callers: Callers) -> None:
    """Attack 52: whoever changes X-Forwarded-For with each bad token is shut out as one address, and nobody else is."""
    with closing(Asker(front.url, "127.0.0.5")) as flooding, closing(Asker(front.url, "127.0.0.6")) as other:
        flood = Counter(
            flooding.get(
                path_of(SHARING), f"bad{n}", X_Forwarded_For=f"203.0.113.{n % 250}", Forwarded=f"for=198.51.100.{n % 250}"
            ).status
            for n in range(6 * FAILURES)
        )
        shut_out = {flooding.get(path_of(SHARING), callers.token).status for _ in range(9)}
        served = {other.get(path_of(SHARING), callers.token).status for _ in range(9)}

    # Without shared limits each replica counts for itself.
    assert set(flood) == {401, 429}
    assert flood[401] <= len(replicas.served) * FAILURES
    assert shut_out == {429}
    assert served == {200}


def _refuses(url: str, address: str) -> bool:
    return get(url, path_of(SHARING), "bad", X_Forwarded_For=address).status == 429


def test_a_flood_gains_nothing_by_changing_replicas(
    kind: str, demo: DemoDeployment, callers: Callers, tmp_path: Path, shared: dict[str, str]
) -> None:
    """Attack 52: with shared limits failures that the proxy spreads over replicas shut an address out of all of them."""
    folder = tmp_path / "proxy"
    folder.mkdir()
    with (
        Replicas(demo, settings(failures_per_hour=FAILURES, **shared)) as replicas,
        proxy(kind, replicas.places, folder) as front,
        closing(Asker(front.url, "127.0.0.5")) as flooding,
        closing(Asker(front.url, "127.0.0.6")) as other,
    ):
        # A third of them each: no replica's own count is near the limit.
        flood = {flooding.get(path_of(SHARING), f"bad{n}").status for n in range(FAILURES + 1)}
        assert 401 in flood
        for one in replicas.served:
            # Each learns it from the answer to its next report: what fails meanwhile is the stated error.
            eventually(partial(_refuses, one.url, "127.0.0.5"))
            assert get(one.url, path_of(SHARING), callers.token, X_Forwarded_For="127.0.0.5").status == 429
        assert {other.get(path_of(SHARING), callers.token).status for _ in range(9)} == {200}


class Verifier:
    """An offline verifier as the key set tells it to be: it fetches the set when its max-age is over, and never before."""

    def __init__(self, proxy_url: str) -> None:
        self._url = proxy_url
        self._until_s = 0
        self._keys: dict[str, jwt.PyJWK] = {}
        self.verified = 0
        self.kids: Counter[str] = Counter()

    def verify(self, token: str, now_s: int) -> None:
        if now_s >= self._until_s:
            with closing(Asker(self._url)) as asker:
                fetched = asker.get("/.well-known/jwks.json")
            assert fetched.headers["cache-control"] == f"public, max-age={KEY_SET_MAX_AGE_S}"
            self._keys = {str(key.key_id): key for key in jwt.PyJWKSet.from_dict(fetched.json).keys}
            self._until_s = now_s + KEY_SET_MAX_AGE_S
        kid = str(jwt.get_unverified_header(token)["kid"])
        # Its clock is the test's: PyJWT would ask the machine's.
        options: jwt.types.Options = {"verify_exp": False, "verify_iat": False}
        claims = jwt.decode(token, self._keys[kid], ["EdDSA"], options, issuer=ISSUER, audience=ISSUER)
        assert claims["iat"] <= now_s + SKEW_S
        self.verified += 1
        self.kids[kid] += 1


def test_rotation_under_load_fails_no_verifier(kind: str, demo: DemoDeployment, callers: Callers, tmp_path: Path) -> None:
    """Attacks 28, 47: keys come and go, and no verifier that keeps to max-age refuses a token; clocks differ by 5 s."""
    clocks = Clocks(tmp_path, (0, -5, 5))
    folder = tmp_path / "proxy"
    folder.mkdir()
    started_s = int(time.time())
    verb = [*demo.arguments, "--json"]

    def now_s() -> int:
        return int(time.time()) + clocks.turned_s

    with (
        Replicas(demo, settings(token_lifetime_s=LIFETIME_S), clocks.environments) as replicas,
        proxy(kind, replicas.places, folder) as front,
        load(front.url, callers) as asking,
        closing(Asker(front.url)) as asker,
    ):
        asking.now_s = now_s
        verifiers = [Verifier(front.url) for _ in range(3)]
        alive: dict[str, int] = {}

        def pass_time(seconds: int) -> None:
            for step in range(seconds // STEP_S):
                clocks.turn(STEP_S)
                for business in BUSINESSES * 3:
                    given = asker.get(path_of(business), callers.token)
                    assert given.status == 200
                    alive[given.json["access_token"]] = given.json["expires_at"]
                for token in [token for token, expires_at_s in alive.items() if now_s() >= expires_at_s]:
                    del alive[token]
                # They fetch the key set at different times of its life.
                for verifier in verifiers[: 1 + step // 4]:
                    for token in alive:
                        verifier.verify(token, now_s())

        pass_time(3 * STEP_S)
        (old,) = verifiers[0].kids
        assert run("keys", "rotate", *verb, **clocks.environments[0]).returncode == 0
        pass_time(PUBLISH_AHEAD_S + 2 * LIFETIME_S)
        assert len(verifiers[0].kids) == 2
        assert run("keys", "retire", old, *verb, **clocks.environments[0]).returncode == 0
        pass_time(LIFETIME_S + SKEW_S + KEY_SET_MAX_AGE_S)
        published = [key["kid"] for key in asker.get("/.well-known/jwks.json").json["keys"]]

    turned = int(time.time()) + clocks.turned_s - started_s
    verified = sum(verifier.verified for verifier in verifiers)
    print(f"{kind}: {turned} s: {asking.answered} requests, lost {asking.lost()}; {verified} verifications, 0 failed")  # noqa: T201 - as above
    assert old not in published
    assert asking.lost() == {}
