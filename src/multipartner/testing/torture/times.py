"""Probes of time: tokens that do not get newer, clocks that are set."""

from multipartner.testing.torture.stage import TENANT, Stage, tenants


def non_advancing_expiry(stage: Stage) -> None:
    """A new token is due, and the endpoint gives the same one again. 820 asks are served with at most 4 calls.

    Where the clock can be turned: so it goes on until shortly before the end, with at most 2 calls at each of 8 moments.
    """
    stage.upstream.repeats = True
    stage.early()
    before = stage.calls
    stage.pestered()
    calls = stage.calm() - before
    stage.claim(calls <= 4, f"{calls} calls that brought the same token")
    for _ in range(8 if stage.turns else 0):
        before = stage.calls
        stage.clock.turn(stage.adapter.early_left_s / 12)
        stage.served(stage.ask([TENANT] * 8, repeats=10))
        calls = stage.calm() - before
        stage.claim(calls <= 2, f"{calls} calls that brought the same token, at one moment")


def clock_step(stage: Stage) -> None:
    """The machine's wall clock is set two hours ahead, then four back, under 100 living tokens.

    Ahead: at most 10 calls for all of them, and at most 2 for a tenant that is new. Back: when they have ended, nobody gets one.
    """
    crowd = tenants(100)
    stage.served(stage.ask(crowd))
    before = stage.calm()
    stage.clock.step(7200)
    stage.served(stage.ask(crowd))
    calls = stage.calm() - before
    stage.claim(calls <= 10, f"{calls} calls for 100 living tokens after the clock was set ahead")
    stage.served(stage.ask([TENANT] * 4, repeats=10))
    calls = stage.calm() - before - calls
    stage.claim(calls <= 2, f"{calls} calls for one new tenant after the clock was set ahead")
    stage.clock.step(-14_400)
    stage.served(stage.ask(crowd))
    stage.calm()
    stage.clock.turn(stage.upstream.life_s + 1)
    stage.served(stage.ask(crowd))


def suspended(stage: Stage) -> None:
    """The machine sleeps between a call and its answer, for longer than the token lives. Nobody gets the dead token.

    Those who waited through it may get an error; whoever asks then gets a token that lives, with at most two more calls. No wrong
    idea of the endpoint's time stays behind: the next token is not handed out past its end.
    """
    gate = stage.upstream.hold(first=1)
    crowd = stage.ask([TENANT] * 4)
    stage.upstream.arrived(1, stage.adapter.patience_s)
    stage.all_wait(crowd)
    stage.clock.turn(stage.upstream.life_s + 1)
    gate.open()
    stage.perhaps(crowd)
    stage.served(stage.ask([TENANT] * 4))
    calls = stage.calm()
    stage.claim(calls <= 3, f"{calls} calls for one token")
    stage.clock.turn(stage.upstream.life_s + 1)
    stage.served(stage.ask([TENANT] * 4))
