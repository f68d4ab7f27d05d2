"""Processes that use one store, started by `test_store_processes.py` with the name of what they do; they speak JSON lines.

Each forks for what is to die, so that the price of starting Python is paid once.
"""

import json
import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

from client.store.stored import KEYS, NOW_S, nth, token
from multipartner.client.store import SqliteTokenStore


def say(**what: Any) -> None:
    # One write: a line is there whole or not at all, however the process ends.
    os.write(1, json.dumps(what).encode() + b"\n")


def writer(path: Path) -> None:
    """For each line: fork a writer that kills itself at that step of SQLite's machine (0: it is killed from outside)."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _write(path, int(line))
            os._exit(0)
        say(pid=child)
        _, status = os.waitpid(child, 0)
        say(end=os.waitstatus_to_exitcode(status))


def _write(path: Path, kill_at: int) -> None:
    left = kill_at

    def count_down() -> int:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "sqlite3.connect/handle" and kill_at:
            sys.setprofile(lambda *_: arm(arguments[0]))

    def arm(connection: sqlite3.Connection) -> None:
        # The event comes a moment before the connection is ready: this is the return from `connect`.
        sys.setprofile(None)
        connection.set_progress_handler(count_down, 1)

    # From the first statement of opening on: also a store that is half made must open again.
    sys.addaudithook(watch)
    store = SqliteTokenStore(path, KEYS)
    for turn in range(3000):
        key = nth(turn % 3)
        if turn % 10 == 9:
            say(begun="forget", tenant=turn % 3)
            store.forget([key])
            say(done="forget", tenant=turn % 3)
            continue
        generation = store.lease(key, NOW_S + 30, NOW_S)
        if generation is None:
            continue
        made = token(generation + 1, "x" * 900 + str(generation + 1))
        say(begun="publish", tenant=turn % 3, generation=made.generation)
        if store.publish(key, made):
            say(done="publish", tenant=turn % 3, generation=made.generation)


def racer(path: Path) -> None:
    """Lease and publish until each tenant has had its generations; say what was published."""
    store = SqliteTokenStore(path, KEYS)
    say(ready=True)
    limits = json.loads(sys.stdin.readline())
    published = []
    open_ = set(range(len(limits)))
    while open_:
        for tenant in sorted(open_):
            generation = store.lease(nth(tenant), NOW_S + 30, NOW_S)
            if generation is None:
                os.sched_yield()
                continue
            if generation >= limits[tenant]:
                store.release(nth(tenant))
                open_.remove(tenant)
                break
            # What would be the call: the others get their chance.
            os.sched_yield()
            if store.publish(nth(tenant), token(generation + 1)):
                published.append((tenant, generation + 1))
    say(published=published)


def forker(path: Path) -> None:
    """A parent that holds a lease and whose other thread is inside the store forks; say what both saw."""
    store = SqliteTokenStore(path, KEYS)
    first = store.lease(nth(0), NOW_S + 30, NOW_S)
    assert first is not None
    entered, leave = threading.Event(), threading.Event()

    def inside() -> None:
        with store._connected():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=inside)
    thread.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        _child(store, first)
        # Not os._exit: what is torn down at the end must not close the parent's connection either.
        sys.exit(0)
    leave.set()
    thread.join()
    _, status = os.waitpid(child, 0)
    published = store.publish(nth(0), token(first + 1))
    assert store._opened is not None
    checked = store._opened.connection.execute("PRAGMA integrity_check").fetchall()
    say(who="parent", status=status, published=published, forgot=len(store.forgotten() or ()), checked=checked)
    store.close()


def _child(store: SqliteTokenStore, first: int) -> None:
    assert store._opened is not None
    inherited = store._opened.connection
    store.close()
    # Raises on a connection that was closed, and touches no file on one that was not.
    assert inherited.total_changes >= 0
    stolen = store.publish(nth(0), token(first + 1, "stolen"))
    leased_too = store.lease(nth(0), NOW_S + 30, NOW_S)
    own = store.lease(nth(1), NOW_S + 30, NOW_S)
    published = own is not None and store.publish(nth(1), token(own + 1))
    store.forget([nth(2)])
    say(who="child", stolen=stolen, leased_too=leased_too, published=published, own_news=len(store.forgotten() or ()))


def opener(path: Path) -> None:
    """Open a store that may be made by others at the same moment; say what went wrong."""
    say(ready=True)
    sys.stdin.readline()
    try:
        SqliteTokenStore(path, KEYS).load(nth(0), NOW_S)
    except (sqlite3.Error, OSError, Exception) as error:  # noqa: BLE001 - whatever it is, the test shows it
        say(failed=repr(error))
    else:
        say(failed=None)


if __name__ == "__main__":
    {"writer": writer, "racer": racer, "forker": forker, "opener": opener}[sys.argv[1]](Path(sys.argv[2]))
