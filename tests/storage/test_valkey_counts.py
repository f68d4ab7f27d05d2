"""Counts in Valkey or Redis: what the port promises, which URLs are taken, and what an error tells."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import pytest

from multipartner.settings import SettingsError, load
from multipartner.storage.ports import SharedCountsUnavailable
from multipartner.storage.shared_limits import ANSWER_WITHIN_S, SharedLimitsRefused, ValkeyCounts
from shared_limits_server import LimitsServer, any_server, garbage_server, own_server, prefix


def _counting(url: str, action: Callable[[ValkeyCounts], Awaitable[None]], begin: str = "") -> None:
    async def run() -> None:
        counts = ValkeyCounts(url, begin or prefix())
        try:
            await action(counts)
        finally:
            await counts.close()

    asyncio.run(run())


def test_entries_are_taken_up_to_the_limit_and_no_further() -> None:
    """A take is all or nothing, and a look tells how many there are and when the oldest leaves."""

    async def action(counts: ValkeyCounts) -> None:
        entries, left_s = await counts.look("key", 5, 60)
        assert (entries, round(left_s)) == (0, 60)
        assert await counts.take("key", 3, 5, 60)
        assert not await counts.take("key", 3, 5, 60)
        assert await counts.take("key", 2, 5, 60)
        assert not await counts.take("key", 1, 5, 60)
        entries, left_s = await counts.look("key", 5, 60)
        assert (entries, round(left_s)) == (5, 60)
        assert await counts.take("other", 1, 5, 60)

    with any_server() as url:
        _counting(url, action)


def test_keys_begin_with_the_deployments_name_and_expire() -> None:
    """Two deployments on one server do not mix, and nothing stays for ever (attack 53)."""

    async def action(counts: ValkeyCounts) -> None:
        assert await counts.take("key", 1, 1, 60)
        await counts.probe()

    with own_server() as server:
        _counting(server.url, action, "one")
        _counting(server.url, action, "two")
        client = server.client()
        keys = client.keys()
        assert {key.decode().partition(":")[0] for key in keys} == {"one", "two"}
        assert all(0 < client.ttl(key) <= 60 for key in keys if not key.endswith(b"probe"))
        client.close()


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("valkey://host:6379/0", "RedisStorage"),
        ("valkeys://host:6379/0", "RedisStorage"),
        ("redis://user:pass@host:6379/2", "RedisStorage"),
        ("rediss://host:6379", "RedisStorage"),
        ("redis+unix:///run/redis.sock?db=1", "RedisStorage"),
        ("valkey+sentinel://:pass@one:26379,two:26379/primary", "RedisSentinelStorage"),
        ("redis+sentinel://one:26379/primary", "RedisSentinelStorage"),
        ("valkey+cluster://one:6379,two:6379", "RedisClusterStorage"),
        ("redis+cluster://one:6379", "RedisClusterStorage"),
    ],
)
def test_the_scheme_says_what_the_server_is(url: str, kind: str) -> None:
    """A URL of a server, a Sentinel or a Cluster is handed to the library as it is, with one driver for all."""
    assert load({"limits_url": url}).limits_url is not None
    counts = ValkeyCounts(url, "p")

    assert type(counts._storage).__name__ == kind
    assert type(counts._storage.bridge).__name__ == "ValkeyBridge"
    assert counts._storage.bridge.options_from_uri.locations or "unix" in url


@pytest.mark.parametrize(
    "url",
    ["", "host:6379", "memory://", "http://host", "valkey://", "valkey://a b", "memcached://host:1", "redis://x:secret@h\n"],
)
def test_a_url_of_something_else_stops_the_start(url: str) -> None:
    """A URL that names no Valkey or Redis is refused in one line that does not show it."""
    with pytest.raises(SettingsError) as refused:
        load({"limits_url": url})

    assert str(refused.value).startswith("MULTIPARTNER_LIMITS_URL: must be a URL such as valkey://host:6379/0")
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://x:secret@h:port/0",
        "valkey+sentinel://:secret@h:1",
        "valkey+cluster://:secret@",
        "valkey://:[secret@h:1",
        "valkey://:\N{ACCOUNT OF}secret@h:1",
    ],
    ids=str.__len__,
)
def test_a_url_that_the_library_does_not_take_is_one_line_without_it(url: str) -> None:
    """What the library says of a URL can hold the password, so it is not told."""
    with pytest.raises(SharedLimitsRefused) as refused:
        ValkeyCounts(url, "p")

    assert "secret" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_password_is_shown_nowhere() -> None:
    """Attack 57: settings, counts and errors print no password, whether it is wrong or the server is gone."""

    async def action(counts: ValkeyCounts) -> None:
        with pytest.raises(SharedLimitsRefused) as refused:
            await counts.check()
        assert "username-password" in str(refused.value)
        assert "se/cret" not in str(refused.value) + repr(counts) + repr(vars(counts)["_storage"])

    with own_server("--requirepass", "another") as server:
        url = server.url.replace("unix://", "unix://:se%2Fcret@")
        settings = load({"limits_url": url})
        assert "se%2Fcret" not in repr(settings) + str(settings.limits_url)
        _counting(url, action)


def test_a_server_that_was_killed_is_away_and_comes_back() -> None:
    """A killed server is told at once, a new one is found without a new start of ours."""
    with own_server() as server:
        _counting(server.url, lambda counts: _killed(counts, server))


async def _killed(counts: ValkeyCounts, server: LimitsServer) -> None:
    assert await counts.take("key", 1, 1, 60)
    server.kill()
    for _ in range(2):
        with pytest.raises(SharedCountsUnavailable):
            await counts.take("key", 1, 1, 60)
    server.start()
    assert await counts.take("key", 1, 1, 60)


def test_silence_is_not_waited_for() -> None:
    """A server that takes the question and never answers holds it up for the time-out, and all that wait with it together."""

    async def action(counts: ValkeyCounts) -> None:
        begun = time.monotonic()
        done = await asyncio.gather(*(counts.take("key", 1, 1, 60) for _ in range(1000)), return_exceptions=True)
        assert all(isinstance(error, SharedCountsUnavailable) for error in done)
        assert time.monotonic() - begun < 5 * ANSWER_WITHIN_S

    with garbage_server(b"") as url:
        _counting(url, action)


def test_an_answer_that_came_too_late_is_not_taken_for_the_next_one() -> None:
    """A paused server that goes on again answers the question that is asked then, not the one given up."""

    async def action(counts: ValkeyCounts) -> None:
        assert await counts.take("full", 1, 1, 60)
        client = server.client()
        client.execute_command("CLIENT", "PAUSE", "500")
        with pytest.raises(SharedCountsUnavailable):
            await counts.take("full", 1, 1, 60)
        client.execute_command("CLIENT", "UNPAUSE")
        client.close()
        for _ in range(5):
            assert not await counts.take("full", 1, 1, 60)
            assert (await counts.look("full", 1, 60))[0] == 1

    with own_server() as server:
        _counting(server.url, action)


def test_nobody_imports_the_library_who_shares_no_limits() -> None:
    """A plain installation has no `limits` and no driver: serving without `limits_url` imports neither."""
    named = "{name.partition('.')[0] for name in sys.modules}"
    code = f"import sys, multipartner.wiring; print(sorted({named} & {{'limits', 'valkey', 'redis'}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)

    assert re.fullmatch(rb"\[\]\s*", done.stdout)
