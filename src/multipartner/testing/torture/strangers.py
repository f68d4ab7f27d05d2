"""Probes of tokens in the wrong hands, or given back: two apps, late refusals, a forked child."""

import os
import select
import signal
import threading
import warnings
from collections.abc import Callable

import msgspec

from multipartner.testing.torture.stage import APP, OTHER_APP, TENANT, Stage, tenants


def mixed_up_tenants(stage: Stage) -> None:
    """Two apps ask for the same 20 tenants at the same moment. Each gets its own tokens: 40 calls, none wrong."""
    apps = [(stage.provider, APP), (stage.make(OTHER_APP), OTHER_APP)]
    gate = stage.upstream.hold()
    crowds = [stage.ask(tenants(20), app=app) for app in apps]
    for crowd in crowds:
        stage.all_wait(crowd)
    gate.open()
    for crowd in crowds:
        stage.served(crowd)
    calls = stage.calm()
    stage.claim(calls == 40, f"{calls} calls for 20 tenants of two apps")


def late_401(stage: Stage) -> None:
    """A resource server's 401 ends one token and no other.

    Late news of an old one: no call, and the new one stays. 16 refusals of the newest at once: one call.
    """
    old = stage.one()
    _later(stage)
    _reject(stage, old, 1)
    new = stage.newer_than(old)
    stage.claim(new != old, "the rejected token is handed out again")
    calls = stage.calm()
    stage.claim(calls == 2, f"{calls - 1} calls after one rejection")
    _reject(stage, old, 16)
    stage.claim(stage.one() == new, "late news of an old token ended the new one")
    stage.claim(stage.calm() == calls, f"{stage.calls - calls} calls after late news of an old token")
    _later(stage)
    _reject(stage, new, 16)
    got = stage.served(stage.ask([TENANT] * 16))
    stage.claim(new not in got, "a token that 16 callers rejected is handed out again")
    stage.claim(stage.calm() == calls + 1, f"{stage.calls - calls} calls after 16 rejections of one token")


def rejected_in_flight(stage: Stage) -> None:
    """A token is rejected while a refresh is under way that will bring the same one again. It is not handed out again."""
    stage.upstream.repeats = True
    old = stage.early()
    before = stage.calls
    gate = stage.upstream.hold(first=1)
    asked = stage.ask([TENANT])
    stage.upstream.arrived(before + 1, stage.adapter.patience_s)
    stage.all_wait(asked)
    stage.upstream.repeats = False
    _reject(stage, old, 1)
    gate.open()
    stage.served(asked)
    stage.calm()
    got = stage.refused(stage.ask([TENANT] * 8))
    stage.claim(old not in got, "the rejected token came back, and is handed out again")
    if stage.turns:
        stage.clock.turn(stage.adapter.pause_s)
    stage.claim(stage.newer_than(old) != old, "no other token after a rejection")


def _later(stage: Stage) -> None:
    # A fresh token may be refused because news of it has not got everywhere; a provider may wait a while before it believes that.
    if stage.turns:
        stage.clock.turn(120)


def _reject(stage: Stage, token: str | None, count: int) -> None:
    together = threading.Barrier(count)

    def reject() -> None:
        together.wait()
        stage.provider.reject(TENANT, token)

    threads = [threading.Thread(target=reject, name="torture-reject", daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(stage.adapter.patience_s)


def fork(stage: Stage) -> None:
    """The process forks while a token is being fetched.

    The child gets that tenant's and another one's within the adapter's patience, over no connection of its parent.
    """
    kept, other = tenants(2)
    gate = stage.upstream.hold(tenant=TENANT, first=1)
    under_way = stage.ask([TENANT])
    stage.upstream.arrived(1, stage.adapter.patience_s)
    # Another connection than the held one: an idle one, which the child would be glad to find.
    stage.one(kept)
    before = {call.connection for call in stage.upstream.calls} - {0}
    mark = stage.calls

    def child() -> list[list[str]]:
        return [[stage.provider.get(tenant)] for tenant in (kept, TENANT, other)]

    told = _in_child(child, stage.adapter.patience_s)
    stage.hung += told is None
    stage.claim(told is not None, "the child hangs")
    if told is not None:
        error = told[0] if isinstance(told[0], str) else None
        stage.claim(error is None, f"the child fails: {error}")
    shared = before & {call.connection for call in stage.upstream.calls[mark:]}
    stage.claim(not shared, "the child asks over its parent's connection")
    gate.open()
    stage.served(under_way)
    stage.one(kept)


def _in_child(act: Callable[[], object], within_s: float) -> list[object] | None:
    """Return what a forked child finds, the text of its error, or None if it hangs and had to be ended."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # From 3.12 on Python warns of forks with threads: that is what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _run_in_child(act, writer)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], within_s)
        told = os.read(reader, 65536) if ready else b""
        if not ready:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    finally:
        os.close(reader)
    if not ready:
        return None
    found: list[object] = msgspec.json.decode(told) if told else ["it ended without a word"]
    return found


def _run_in_child(act: Callable[[], object], writer: int) -> None:
    try:
        found = act()
    except BaseException as error:  # noqa: BLE001 - the child must not go on as the parent does
        found = [f"{type(error).__name__}: {error}"]
    try:
        os.write(writer, msgspec.json.encode(found))
    finally:
        os._exit(0)
