"""Probes of an endpoint, or of one tenant, that fails."""

from multipartner.testing.torture.adapter import Ability
from multipartner.testing.torture.answers import CUT, DENIED, THROTTLED, UNAVAILABLE, Said
from multipartner.testing.torture.stage import TENANT, Stage, tenants

MOST_TRIES = 8


def failing_endpoint(stage: Stage) -> None:
    """A new token is due and the endpoint answers 500. 820 asks get the living token, with at most 8 calls.

    Where the clock can be turned: once the endpoint works, a new token comes before the old one ends; in an outage that outlasts
    the token nobody gets a dead one, and nobody hangs; and when that has ended, there are tokens again.
    """
    _outage(stage, UNAVAILABLE)


def cut_connections(stage: Stage) -> None:
    """As the failing endpoint, but each connection ends without an answer."""
    _outage(stage, CUT)


def throttled_endpoint(stage: Stage) -> None:
    """As the failing endpoint, but with 429 and `Retry-After: 60`; and nothing is asked before that time."""
    _outage(stage, THROTTLED)


def _outage(stage: Stage, said: Said) -> None:
    old = stage.early()
    before = stage.calls
    with stage.upstream.failing(said):
        stage.pestered()
        calls = stage.calm() - before
        stage.claim(calls <= MOST_TRIES, f"{calls} calls to an endpoint that fails")
    if not stage.turns:
        return
    _recovers(stage, old, said.retry_after_s or 0)
    with stage.upstream.failing(said):
        stage.clock.turn(stage.upstream.life_s + 1)
        got = stage.refused(stage.ask([TENANT] * 8))
        stage.claim(not got, "tokens are handed out after their expiry")
    stage.clock.turn(stage.adapter.pause_s)
    stage.claim(stage.one() is not None, "no token after the outage")


def _recovers(stage: Stage, old: str | None, wait_s: float) -> None:
    step_s = stage.adapter.early_left_s / 16
    before = stage.calls
    for at in range(13):
        stage.clock.turn(step_s)
        stage.one()
        if stage.upstream.arrived(before + 1, 0.05):
            stage.claim((at + 1) * step_s >= wait_s, f"asked again before the {wait_s:g} s that the endpoint named")
            break
    stage.claim(stage.newer_than(old) != old, "the endpoint works again, and no new token comes before the old one ends")


def dead_tenant(stage: Stage) -> None:
    """One tenant is refused (403). 400 asks in its pause: all are refused, with one call; another tenant is served meanwhile.

    Where the clock can be turned: a second later there is still no other call; after `pause_s` the tenant is asked for again, and
    served if it may be.
    """
    with stage.upstream.failing(DENIED, tenant=TENANT):
        got = stage.refused(stage.ask([TENANT] * 8, repeats=50))
        if stage.turns:
            stage.clock.turn(1.0)
            got += stage.refused(stage.ask([TENANT] * 8))
        calls = stage.calm()
        stage.claim(not got, "tokens for a tenant that is refused")
        stage.claim(calls == 1, f"{calls} calls for a tenant that is refused")
        if Ability.TENANTS in stage.adapter.abilities:
            stage.one(tenants(1)[0])
    if stage.turns:
        stage.clock.turn(stage.adapter.pause_s)
        stage.one()


def slow_neighbour(stage: Stage) -> None:
    """The endpoint does not answer for one tenant. Eight others, asked for meanwhile, do not wait for it."""
    gate = stage.upstream.hold(tenant=TENANT)
    slow = stage.ask([TENANT])
    stage.upstream.arrived(1, stage.adapter.patience_s)
    others = stage.ask(tenants(8))
    stage.waited = stage.held_up(others)
    stage.claim(stage.waited == 0, f"{stage.waited} of 8 tenants wait for another one's token")
    gate.open()
    stage.served(others)
    stage.served(slow)
