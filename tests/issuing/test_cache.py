"""The bounded cache: never more than its size, what is used stays, what left is known to have left."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from multipartner.issuing.cache import BoundedCache


class Value(msgspec.Struct):
    touched: bool = False
    alive: bool = False


@given(st.integers(1, 5), st.lists(st.tuples(st.sampled_from(["put", "drop", "get"]), st.integers(0, 9))))
def test_a_value_is_alive_exactly_while_it_is_in(size: int, steps: list[tuple[str, int]]) -> None:
    """Attack 53: the cache holds at most its size, and a value's `alive` says whether it is still the cached one."""
    cache: BoundedCache[int, Value] = BoundedCache(size)
    made: list[Value] = []
    for step, key in steps:
        if step == "put":
            made.append(Value())
            cache.put(key, made[-1])
        elif step == "drop":
            cache.drop(key)
        elif (value := cache.get(key)) is not None:
            value.touched = True
        held = [cache.get(key) for key in cache]
        assert len(cache) <= size
        assert [value for value in made if value.alive] == [value for value in made if any(value is kept for kept in held)]


def test_what_is_used_outlives_a_scan() -> None:
    """A value that is asked for between others stays, however many are asked for once."""
    cache: BoundedCache[int, Value] = BoundedCache(10)
    cache.put(-1, Value())
    for n in range(1000):
        used = cache.get(-1)
        assert used is not None
        used.touched = True
        cache.put(n, Value())


def test_what_comes_back_soon_is_kept() -> None:
    """A value that had to leave on probation and is put again is no newcomer: a scan of new ones does not push it out."""
    cache: BoundedCache[int, Value] = BoundedCache(100)
    cache.put(-1, Value())
    for n in range(100):
        cache.put(n, Value())
    assert cache.get(-1) is None
    cache.put(-1, Value())
    for n in range(1000, 1080):
        cache.put(n, Value())
    assert cache.get(-1) is not None


@given(st.integers(1, 4), st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=200))
def test_changes_do_not_make_it_grow(size: int, steps: list[tuple[bool, int]]) -> None:
    """Attack 53: keys that are dropped and put again, however often, leave nothing behind that grows."""
    cache: BoundedCache[int, Value] = BoundedCache(size)
    for touched, key in steps:
        cache.drop(key)
        cache.put(key, Value(touched=touched))
        assert cache.queued <= 2 * size
        assert len(cache) <= size
