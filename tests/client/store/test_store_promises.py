"""What `ports.TokenStore` promises, between handles that stand for processes."""

from pathlib import Path

import msgspec
import pytest

from client.store.conftest import Opener
from client.store.stored import KEY, LIFE_S, NEIGHBOURS, NOW_S, behind, kept, nth, token
from multipartner.client import store as module
from multipartner.client.ports import StoreUnavailable
from multipartner.client.store import SqliteTokenStore
from multipartner.client.store_schema import LONGEST_LEASE_S


def test_what_one_process_published_another_loads(store: SqliteTokenStore, other: SqliteTokenStore) -> None:
    """A published token comes back whole in another process, and after the last one closed."""
    made = kept(store)

    assert other.load(KEY, NOW_S) == made
    store.close()
    other.close()
    assert other.load(KEY, NOW_S) == made


@pytest.mark.parametrize("part", NEIGHBOURS)
def test_a_token_is_found_under_the_whole_key_only(store: SqliteTokenStore, part: str) -> None:
    """Whoever differs in host, version, app, caller token, solution or business has no token yet."""
    kept(store)

    assert store.load(NEIGHBOURS[part], NOW_S) is None


def test_an_expired_token_is_absent(store: SqliteTokenStore) -> None:
    """From the second of its expiry on a token is not given back."""
    made = kept(store)

    assert store.load(KEY, made.expires_at_s - 1) == made
    assert store.load(KEY, made.expires_at_s) is None


def test_a_token_without_expiry_ends_in_the_store(store: SqliteTokenStore) -> None:
    """A token that does not expire is given back until a day after it should have been refreshed."""
    generation = store.lease(KEY, NOW_S + 30, NOW_S)
    assert generation is not None
    assert store.publish(KEY, token(generation + 1, expires_at_s=0, refresh_at_s=NOW_S + 100))

    assert store.load(KEY, NOW_S + 100 + 86_399) is not None
    assert store.load(KEY, NOW_S + 100 + 86_400) is None


def test_one_holds_the_lease(store: SqliteTokenStore, other: SqliteTokenStore) -> None:
    """While one process holds a lease another gets None; from its end on, or once it is given back, another may take it."""
    kept(store)
    first = store.lease(KEY, NOW_S + 30, NOW_S)

    assert first is not None
    assert other.lease(KEY, NOW_S + 30, NOW_S + 29) is None
    assert other.lease(KEY, NOW_S + 60, NOW_S + 30) == first
    assert store.lease(KEY, NOW_S + 60, NOW_S + 31) is None
    other.release(KEY)
    assert store.lease(KEY, NOW_S + 60, NOW_S + 31) is not None


def test_the_generation_fences(store: SqliteTokenStore, other: SqliteTokenStore) -> None:
    """Whoever lost its lease cannot overwrite what came after, nor can one who never had it, or who skips a generation."""
    kept(store)
    first = store.lease(KEY, NOW_S + 30, NOW_S)
    assert first is not None
    assert other.lease(KEY, NOW_S + 60, NOW_S + 30) == first

    assert not store.publish(KEY, token(first + 1, "late"))
    assert not other.publish(KEY, token(first + 2, "skipping"))
    assert other.publish(KEY, token(first + 1, "right"))
    assert not other.publish(KEY, token(first + 2, "without a lease"))
    assert not store.publish(KEY, token(first + 2, "late again"))
    loaded = store.load(KEY, NOW_S)
    assert loaded is not None
    assert loaded.text == "right"


def test_what_was_forgotten_while_it_was_fetched_is_not_published(store: SqliteTokenStore) -> None:
    """A fetch that began before `forget` cannot publish, even when the same process has taken a new lease since."""
    first = store.lease(KEY, NOW_S + 30, NOW_S)
    assert first is not None
    store.forget([KEY])
    second = store.lease(KEY, NOW_S + 30, NOW_S)

    assert second is not None
    assert second > first
    assert not store.publish(KEY, token(first + 1, "from before"))
    assert store.publish(KEY, token(second + 1, "from after"))


def test_a_lease_given_back_without_a_token_leaves_no_row(store: SqliteTokenStore, path: Path) -> None:
    """A tenant that is refused leaves nothing behind; what was there before stays."""
    store.lease(KEY, NOW_S + 30, NOW_S)
    store.release(KEY)
    made = kept(store, nth(1))
    store.lease(nth(1), NOW_S + 30, NOW_S)
    store.release(nth(1))

    with behind(path) as connection:
        assert connection.execute("SELECT count(*) FROM token").fetchall() == [(1,)]
    assert store.load(nth(1), NOW_S) == made


def test_a_clock_that_was_set_back_holds_nobody_up(store: SqliteTokenStore, other: SqliteTokenStore) -> None:
    """A lease that ends later than any can end is nobody's; one that is asked for longer is cut."""
    assert store.lease(KEY, NOW_S + 10_000, NOW_S) is not None

    assert other.lease(KEY, NOW_S + 30, NOW_S + LONGEST_LEASE_S - 1) is None
    assert other.lease(KEY, NOW_S + 30, NOW_S - 1) is not None


def test_others_learn_what_was_forgotten_once(store: SqliteTokenStore, other: SqliteTokenStore) -> None:
    """`forgotten` names what other processes forgot since the last call, by digest; never what one forgot oneself."""
    kept(store)
    assert other.forgotten() == set()
    store.forget([KEY, nth(1)])

    assert other.forgotten() == {store.digest(KEY), store.digest(nth(1))}
    assert list(other.forgotten() or ()) == []
    assert store.forgotten() == set()
    assert other.load(KEY, NOW_S) is None


def test_news_wait_for_a_process_that_let_go_of_the_file(store: SqliteTokenStore, other: SqliteTokenStore) -> None:
    """What was forgotten between `close` and the next call is told by that call."""
    other.close()
    store.forget([KEY])

    assert other.forgotten() == {store.digest(KEY)}


def test_who_missed_too_much_is_told_so(store: SqliteTokenStore, other: SqliteTokenStore, path: Path) -> None:
    """Tombstones are bounded; who was away for longer than they reach back learns that anything may have been forgotten."""
    store.forget([nth(number) for number in range(module.MOST_TOMBSTONES + 1)])

    assert other.forgotten() is None
    assert list(other.forgotten() or ()) == []
    with behind(path) as connection:
        assert connection.execute("SELECT count(*) FROM tombstone").fetchall() == [(module.MOST_TOMBSTONES,)]


def test_a_full_store_lets_go_of_what_ends_first(opener: Opener) -> None:
    """The number of rows is bounded: expired ones go first, then those that expire next, never one that is being fetched."""
    store = opener(max_rows=3)
    for number, life_s in enumerate((LIFE_S, 100, 2 * LIFE_S)):
        kept(store, nth(number), life_s=life_s)

    kept(store, nth(3))
    assert [store.load(nth(number), NOW_S) is not None for number in range(4)] == [True, False, True, True]
    for number in range(4, 7):
        assert store.lease(nth(number), NOW_S + 30, NOW_S) is not None
    with pytest.raises(StoreUnavailable, match="all of its 3 rows are leased"):
        store.lease(nth(7), NOW_S + 30, NOW_S)
    assert store.lease(nth(7), NOW_S + 60, NOW_S + 30) is not None


def test_a_lowered_bound_is_reached_in_steps(opener: Opener, path: Path) -> None:
    """A store that is opened with a smaller bound lets go of a few hundred rows with each lease, so that nobody waits long."""
    store = opener()
    for number in range(450):
        kept(store, nth(number))
    smaller = opener(max_rows=10)

    left: list[int] = []
    for _ in range(3):
        smaller.lease(KEY, NOW_S + 30, NOW_S)
        with behind(path) as connection:
            left.extend(row[0] for row in connection.execute("SELECT count(*) FROM token"))
    assert left == [251, 51, 10]


def test_generations_never_go_back(opener: Opener, path: Path) -> None:
    """A key whose row was evicted, purged or forgotten, or whose file was removed, goes on with a larger generation."""
    store = opener(max_rows=1)
    made = kept(store)
    kept(store, nth(1), life_s=2 * LIFE_S)

    again = store.lease(KEY, NOW_S + 30, NOW_S)
    assert again is not None
    assert again > made.generation
    path.unlink()
    afresh = store.lease(KEY, NOW_S + 30, NOW_S)
    assert afresh is not None
    assert afresh > again


def test_what_has_expired_is_removed_in_time(store: SqliteTokenStore, path: Path) -> None:
    """A minute after it expired a row is gone with the next lease, a bounded number at once."""
    for number in range(3):
        kept(store, nth(number))
    store.lease(KEY, NOW_S + LIFE_S + 60, NOW_S + LIFE_S)

    with behind(path) as connection:
        assert connection.execute("SELECT count(*) FROM token").fetchall() == [(1,)]
        assert connection.execute("SELECT tokens FROM store").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "odd",
    [
        {"text": ""},
        {"text": "x" * 20_000},
        {"text": "\ud800"},
        {"expires_at_s": 1 << 60},
        {"refresh_at_s": -1},
        {"expires_at_s": 1 << 70},
    ],
    ids=lambda odd: next(iter(odd)),
)
def test_what_is_no_token_is_not_kept(store: SqliteTokenStore, other: SqliteTokenStore, odd: dict[str, object]) -> None:
    """Text or numbers that no token has are not written, raise nothing, and give the lease back."""
    generation = store.lease(KEY, NOW_S + 30, NOW_S)
    assert generation is not None
    made = msgspec.structs.replace(token(generation + 1), **odd)

    assert not store.publish(KEY, made)
    assert other.lease(KEY, NOW_S + 30, NOW_S) is not None


def test_a_digest_tells_nothing_without_the_store(opener: Opener, tmp_path: Path) -> None:
    """Two stores under the same keys name a tenant differently, so a list of names cannot be made beforehand."""
    here, there = opener(), opener(path=tmp_path / "there" / "tokens.db")

    assert len(here.digest(KEY)) == 32
    assert here.digest(KEY) != there.digest(KEY)
    assert here.digest(KEY) == opener().digest(KEY)
