"""Probes of many who ask for one token: cold, early, from two loops, with a leader who goes away."""

from typing import Final

from multipartner.testing.torture.report import Face
from multipartner.testing.torture.stage import TENANT, Stage

HERD: Final = {Face.SYNC: 64, Face.ASYNC: 1000}


def cold_herd(stage: Stage) -> None:
    """64 threads, or 1,000 tasks, ask for a token that is not there. One call; everybody gets its token."""
    gate = stage.upstream.hold()
    crowd = stage.ask([TENANT] * HERD[stage.face])
    stage.all_wait(crowd)
    gate.open()
    stage.served(crowd)
    calls = stage.calm()
    stage.claim(calls == 1, f"{calls} calls for one token")


def early_window(stage: Stage) -> None:
    """The same herd while the token lives and a new one is due, and the endpoint takes its time. One call; nobody waits."""
    old = stage.early()
    before = stage.calls
    gate = stage.upstream.hold()
    crowd = stage.ask([TENANT] * HERD[stage.face])
    stage.waited = stage.held_up(crowd)
    stage.upstream.arrived(before + 1, stage.adapter.patience_s)
    calls = stage.calm() - before
    gate.open()
    stage.served(crowd)
    stage.claim(stage.waited == 0, f"{stage.waited} callers wait though their token lives")
    stage.claim(calls == 1, f"{calls} calls to fetch one token early")
    stage.claim(calls == 0 or stage.newer_than(old) != old, "the new token is never handed out")


def two_loops(stage: Stage) -> None:
    """Tasks of two event loops ask one provider at once; later a third loop does, when both have ended. All are served.

    At most one call for each loop.
    """
    first, second, third = stage.another_loop(), stage.another_loop(), stage.another_loop()
    gate = stage.upstream.hold()
    crowds = [stage.ask([TENANT] * 4, loop=first)]
    stage.upstream.arrived(1, stage.adapter.patience_s)
    crowds.append(stage.ask([TENANT] * 4, loop=second))
    stage.all_wait(crowds[1])
    gate.open()
    for crowd in crowds:
        stage.served(crowd)
    calls = stage.calm()
    stage.claim(calls <= 2, f"{calls} calls for one token in two loops")
    for loop in (first, second):
        loop.close(stage.adapter.patience_s)
    other = TENANT._replace(business_id="2991847208473998")
    stage.served(stage.ask([TENANT, other], loop=third))


def cancelled_leader(stage: Stage) -> None:
    """The task whose ask began the call is cancelled while others wait. It ends at once; they are served; no second call."""
    gate = stage.upstream.hold()
    leader = stage.ask([TENANT])
    stage.upstream.arrived(1, stage.adapter.patience_s)
    others = stage.ask([TENANT] * 16)
    stage.all_wait(others)
    for caller in leader.callers:
        if caller.task is not None and stage.loop is not None:
            stage.loop.call(caller.task.cancel)
    stage.claim(not leader.finish(stage.adapter.patience_s), "the cancelled task does not end before the endpoint answers")
    calls = stage.calm()
    gate.open()
    stage.served(others)
    calls = max(calls, stage.calm())
    stage.claim(calls == 1, f"{calls} calls: the cancelled task took the first one with it")
