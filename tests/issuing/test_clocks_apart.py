"""Replicas whose clocks differ by up to 5 s either way, over one real database (attack 47)."""

import asyncio
import base64
import itertools
from collections.abc import Iterator
from contextlib import ExitStack, closing

import jwt
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deployment import ACT, DemoDeployment
from fakes import ISSUER, NOON_S, Reply
from issuing.real_engine import RealService
from multipartner.crypto.signing import Verifier
from multipartner.domain.claims import SKEW_S, Claims, check, decode
from multipartner.domain.keyring import KEY_SET_MAX_AGE_S, PUBLISH_AHEAD_S
from multipartner.domain.lifetime import Lifetime, window_at
from multipartner.domain.model import AppId, BusinessId, Instant, SolutionId, Tenant
from multipartner.partnering.acting import Act
from multipartner.partnering.credentials import create_resource_server
from multipartner.partnering.keys import list_keys, retire, rotate
from multipartner.partnering.lives import restore_grant, revoke_grant
from multipartner.web.oauth import JWKS_PATH
from serving import OWNER_APP, OWNER_USER, SHARING, SOLUTION

pytestmark = pytest.mark.both_engines

APART_S = 5
LIFETIME = Lifetime(60, 20)
TENANT = Tenant(AppId(OWNER_APP), SolutionId(SOLUTION), BusinessId(SHARING))

apart = st.integers(-APART_S, APART_S)
three_apart = st.tuples(apart, apart, apart)
few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Replicas:
    """Three services on one deployment. True time is the test's; each replica's clock is off by its own offset."""

    def __init__(self, demo: DemoDeployment, stack: ExitStack) -> None:
        self.demo = demo
        self.caller = demo.caller_token(OWNER_USER, OWNER_APP)
        made = demo.operate(lambda o: create_resource_server(o.store, o.master, ACT, "gateway"))
        credential = base64.b64encode(f"{made.id}:{made.text.reveal()}".encode()).decode()
        runner = stack.enter_context(asyncio.Runner())
        lifetime = {"token_lifetime_s": LIFETIME.lifetime_s, "reissue_interval_s": LIFETIME.reissue_s}
        many = {"calls_per_hour": 10**9, "calls_per_business_per_hour": 10**9}
        self.all = [stack.enter_context(closing(RealService(demo, runner, credential, **lifetime, **many))) for _ in range(3)]

    def at(self, true_s: int, offsets_s: tuple[int, ...]) -> None:
        """Set the clocks."""
        for replica, offset_s in zip(self.all, offsets_s, strict=True):
            replica.now = Instant(true_s + offset_s, replica.now.boot_ns)

    def replies(self) -> list[Reply]:
        """What each says to the same caller."""
        return [replica.run(replica.token(self.caller, SHARING, SOLUTION)) for replica in self.all]

    def tokens(self) -> list[str]:
        replies = self.replies()
        assert {reply.status for reply in replies} == {200}, replies
        return [reply.json["access_token"] for reply in replies]

    def key_sets(self) -> list[dict[str, jwt.PyJWK]]:
        """What each publishes, by kid."""
        replies = [replica.run(replica.request(JWKS_PATH)) for replica in self.all]
        return [{str(key.key_id): key for key in jwt.PyJWKSet.from_dict(reply.json).keys} for reply in replies]


@pytest.fixture
def replicas(demo: DemoDeployment) -> Iterator[Replicas]:
    with ExitStack() as stack:
        yield Replicas(demo, stack)


def _claims(token: str, keys: dict[str, jwt.PyJWK]) -> Claims:
    """Read a token as an offline verifier does, with the published keys."""
    public = {kid: key.key.public_bytes_raw() for kid, key in keys.items()}
    return decode(Verifier(public).payload(token))


def test_clocks_apart_give_the_same_bytes(replicas: Replicas) -> None:
    """Replicas give the same token unless a window's border lies between their clocks; then both tokens are good everywhere."""

    @few
    @given(st.integers(0, 3600), three_apart)
    def hold(moment_s: int, offsets_s: tuple[int, ...]) -> None:
        true_s = NOON_S + moment_s
        replicas.at(true_s, offsets_s)
        tokens = replicas.tokens()
        windows = [window_at(TENANT, true_s + offset_s, LIFETIME) for offset_s in offsets_s]
        keys = replicas.key_sets()

        assert len(set(tokens)) == len(set(windows)) <= 2
        for (one, one_window), (other, other_window) in itertools.combinations(zip(tokens, windows, strict=True), 2):
            assert (one == other) == (one_window == other_window)
        for replica, offset_s, published in zip(replicas.all, offsets_s, keys, strict=True):
            for token in set(tokens):
                assert replica.introspect(token)["active"]
                check(_claims(token, published), ISSUER, ISSUER, true_s + offset_s)

    hold()


def test_no_clock_gives_a_token_more_life_than_its_own(replicas: Replicas) -> None:
    """A token is good on a replica until that replica's clock reads `exp`, whoever issued it; never a second longer."""

    @few
    @given(st.integers(0, 3600), three_apart, st.integers(-2 * APART_S, 2 * APART_S))
    def hold(moment_s: int, offsets_s: tuple[int, ...], around_s: int) -> None:
        replicas.at(NOON_S + moment_s, offsets_s)
        replies = replicas.replies()
        for reply in replies:
            exp_s = reply.json["expires_at"]
            replicas.at(exp_s + around_s, offsets_s)
            for replica, offset_s in zip(replicas.all, offsets_s, strict=True):
                assert replica.introspect(reply.json["access_token"])["active"] == (around_s + offset_s < 0)

    hold()


def test_an_operators_clock_may_be_off(replicas: Replicas) -> None:
    """Whatever an operator's clock says a withdrawal is obeyed; a change from over 60 s ahead is 500 until it is believable."""
    moments = itertools.count(NOON_S, 10_000)

    @settings(few, max_examples=8)
    @given(three_apart, st.integers(-2 * SKEW_S, 2 * SKEW_S))
    def hold(offsets_s: tuple[int, ...], operator_s: int) -> None:
        # Every example has a time of its own: what an operator ahead did would be in the next one's future.
        true_s = next(moments)
        act = Act("operator:test", true_s + operator_s)
        replicas.at(true_s, offsets_s)
        before = set(replicas.tokens())
        replicas.demo.operate(lambda o: revoke_grant(o.store, act, TENANT))
        assert {reply.status for reply in replicas.replies()} == {403}
        replicas.demo.operate(lambda o: restore_grant(o.store, act, TENANT))
        for reply, offset_s in zip(replicas.replies(), offsets_s, strict=True):
            expiry_s = window_at(TENANT, true_s + offset_s, LIFETIME).expires_at_s
            believed = act.now_s <= true_s + offset_s + SKEW_S and act.now_s < expiry_s
            assert reply.status == (200 if believed else 500)
            assert believed or reply.json["error"]["is_transient"]
        replicas.at(true_s + 3 * SKEW_S, offsets_s)
        after = set(replicas.tokens())

        assert not before & after
        for replica in replicas.all:
            assert all(replica.introspect(token)["active"] for token in after)
            assert not any(replica.introspect(token)["active"] for token in before)

    hold()


def test_rotation_holds_with_clocks_apart(replicas: Replicas) -> None:
    """Attack 28: no key signs before verifiers can have it, nor leaves before its tokens end, though all clocks differ."""
    moments = itertools.count(NOON_S, 100_000)

    @settings(few, max_examples=6)
    @example((APART_S, -APART_S, APART_S), -APART_S, KEY_SET_MAX_AGE_S - 1, LIFETIME.lifetime_s + APART_S)
    @given(three_apart, apart, st.integers(0, KEY_SET_MAX_AGE_S - 1), st.integers(0, LIFETIME.lifetime_s + APART_S))
    def hold(offsets_s: tuple[int, ...], operator_s: int, held_s: int, later_s: int) -> None:
        true_s = next(moments)
        replicas.at(true_s, offsets_s)
        fetched = replicas.key_sets()
        replicas.tokens()
        (old,) = {jwt.get_unverified_header(token)["kid"] for token in replicas.tokens()}
        new, _ = replicas.demo.operate(lambda o: rotate(o.store, o.master, Act("operator:test", true_s + operator_s)))
        replicas.at(true_s + held_s, offsets_s)
        for token, held in itertools.product(replicas.tokens(), fetched):
            _claims(token, held)
        assert all(new in published for published in replicas.key_sets())

        true_s += PUBLISH_AHEAD_S + 2 * LIFETIME.reissue_s
        replicas.at(true_s, offsets_s)
        last = replicas.tokens()
        assert {jwt.get_unverified_header(token)["kid"] for token in last} == {new}
        replicas.demo.operate(lambda o: retire(o.store, Act("operator:test", true_s + operator_s), old))
        # The slowest verifier believes a token of the old key for so long after the last window that it signed.
        replicas.at(true_s + later_s, offsets_s)
        assert all(old in published for published in replicas.key_sets())
        replicas.at(true_s + LIFETIME.lifetime_s + SKEW_S + APART_S + APART_S, offsets_s)
        assert not any(old in published for published in replicas.key_sets())
        assert len(replicas.demo.operate(lambda o: list_keys(o.store, true_s, LIFETIME.lifetime_s))) >= 2

    hold()
