"""Real processes on one store: killed at any point, racing for leases, forking."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from client.store.conftest import Opener
from client.store.stored import NOW_S, kept, nth
from multipartner.client.store import SqliteTokenStore

SCRIPT = Path(__file__).with_name("processes.py")
KILL_AT = [*range(1, 700, 19), *(int(700 * 1.4**step) for step in range(1, 10))]
"""Steps of SQLite's machine: densely while the store is opened and made, then ever further into the writing."""


@contextmanager
def process(role: str, path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-X", "faulthandler", str(SCRIPT), role, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def told(started: "subprocess.Popen[str]") -> dict[str, Any]:
    assert started.stdout is not None
    line = started.stdout.readline()
    assert line, "the process ended without a word"
    return dict(json.loads(line))


def send(started: "subprocess.Popen[str]", line: str) -> None:
    assert started.stdin is not None
    started.stdin.write(line + "\n")
    started.stdin.flush()


class Acknowledged:
    """What a writer said before it died: what is certain of each tenant, and the one thing that may be done."""

    def __init__(self) -> None:
        self.generations: dict[int, int | None] = {}
        self.begun: dict[str, Any] | None = None

    def hear(self, line: dict[str, Any]) -> None:
        if "begun" in line:
            self.begun = line
        if "done" in line:
            self.begun = None
            self.generations[line["tenant"]] = line.get("generation")

    def allows(self, tenant: int, generation: int | None) -> bool:
        allowed = {self.generations.get(tenant)}
        if self.begun is not None and self.begun["tenant"] == tenant:
            allowed.add(self.begun.get("generation"))
        return generation in allowed


def _check(store: SqliteTokenStore, acknowledged: Acknowledged) -> None:
    for tenant in range(3):
        found = store.load(nth(tenant), NOW_S)
        assert acknowledged.allows(tenant, found.generation if found is not None else None), (tenant, found)
        assert found is None or found.text == "x" * 900 + str(found.generation)
        if found is not None:
            acknowledged.generations[tenant] = found.generation
    acknowledged.begun = None


def _heals(store: SqliteTokenStore) -> None:
    """Every lease of the dead is free when it ends, and the file is whole."""
    for tenant in range(3):
        assert store.lease(nth(tenant), NOW_S + 60, NOW_S + 30) is not None
        store.release(nth(tenant))
    assert store._opened is not None
    assert store._opened.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ((counted, kept_),) = store._opened.connection.execute("SELECT tokens, (SELECT count(*) FROM token) FROM store").fetchall()
    assert counted == kept_


def test_killed_at_any_step_it_loses_nothing(opener: Opener, path: Path) -> None:
    """Attack 77: `kill -9` at any step of any statement, opening included: it opens again, what was acknowledged is there."""
    with process("writer", path) as writer:
        for step in KILL_AT:
            _one_round(writer, opener, path, step)


def _one_round(writer: "subprocess.Popen[str]", opener: Opener, path: Path, step: int) -> None:
    acknowledged = Acknowledged()
    for tenant in range(3):
        acknowledged.generations[tenant] = None
    send(writer, str(step))
    while "end" not in (line := told(writer)):
        acknowledged.hear(line)
    assert line["end"] == -signal.SIGKILL
    store = opener()
    _check(store, acknowledged)
    _heals(store)
    store.close()
    for file in list(path.parent.iterdir()):
        file.unlink()


@pytest.mark.parametrize("seed", range(4))
def test_killed_from_outside_it_loses_nothing(opener: Opener, path: Path, seed: int) -> None:
    """Attack 77: `kill -9` of a writer at a random moment, again and again on one file: nothing acknowledged is lost."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    acknowledged = Acknowledged()
    with process("writer", path) as writer:
        for _ in range(4):
            send(writer, "0")
            pid, after = told(writer)["pid"], rng.randrange(5, 150)
            while "end" not in (line := told(writer)):
                acknowledged.hear(line)
                after -= 1
                if after == 0:
                    os.kill(pid, signal.SIGKILL)
            assert line["end"] == -signal.SIGKILL
            store = opener()
            _check(store, acknowledged)
            _heals(store)
            store.close()


def test_of_two_that_race_one_publishes_each_generation(opener: Opener, path: Path) -> None:
    """Two processes that want the same tenants: each generation is published exactly once, and none is skipped."""
    store = opener()
    first = [kept(store, nth(tenant)).generation for tenant in range(3)]
    with process("racer", path) as one, process("racer", path) as two:
        for racer in (one, two):
            assert told(racer) == {"ready": True}
        for racer in (one, two):
            send(racer, json.dumps([generation + 100 for generation in first]))
        published = [tuple(pair) for racer in (one, two) for pair in told(racer)["published"]]

    assert sorted(published) == [(tenant, first[tenant] + step) for tenant in range(3) for step in range(1, 101)]


def test_a_fork_shares_nothing(opener: Opener, path: Path) -> None:
    """A child has no lease and no lock of its parent's, opens its own connection, and its end leaves the parent's whole."""
    opener().close()
    with process("forker", path) as forker:
        said = {line["who"]: line for line in (told(forker), told(forker))}

    assert said["child"] == {"who": "child", "stolen": False, "leased_too": None, "published": True, "own_news": 0}
    assert said["parent"] == {"who": "parent", "status": 0, "published": True, "forgot": 1, "checked": [["ok"]]}


def test_many_may_make_it_at_once(opener: Opener, path: Path) -> None:
    """Processes that start together on an empty place all get the one store that comes of it."""
    with process("opener", path) as a, process("opener", path) as b, process("opener", path) as c:
        started = (a, b, c)
        for each in started:
            assert told(each) == {"ready": True}
        for each in started:
            send(each, "go")
        assert [told(each) for each in started] == [{"failed": None}] * 3
    assert kept(opener()).generation
