"""How a shared limit is cut, and what a process may do with what it holds."""

from hypothesis import given
from hypothesis import strategies as st

from multipartner.domain.leases import LEASE_S, PROCESSES, SECOND_NS, Lease, cut

limits = st.integers(1, 10**10)
NOW = 10**15


@given(limits, st.booleans())
def test_the_parts_never_exceed_the_limit_and_lose_next_to_nothing(limit: int, reserved: bool) -> None:  # noqa: FBT001 - drawn
    """Reserves and blocks together are at most the limit and more than 99.8 percent of it, in at most 2,000 entries."""
    parts = cut(limit, reserved=reserved)
    whole = parts.reserve * PROCESSES + parts.block * parts.blocks

    assert 0.998 * limit < whole <= limit
    assert 1 <= parts.blocks < 2000
    assert parts.reserve * PROCESSES <= limit // 20
    assert parts.reserve == 0 or reserved


@given(limits)
def test_a_block_changes_only_when_a_limit_doubles(limit: int) -> None:
    """A limit that grows by less than a half keeps its block or doubles it once, so its count is seldom begun anew."""
    assert cut(limit + limit // 2).block in {cut(limit).block, 2 * cut(limit).block}


@given(limits)
def test_one_process_holds_at_most_a_percent_at_a_time(limit: int) -> None:
    """However quickly leases are spent, the next one is at most half a percent of the limit, or one call."""
    lease = Lease("key", cut(limit))
    for _ in range(20):
        blocks = lease.wanted(NOW)
        lease.grant(blocks, NOW)

    assert lease.wanted(NOW) * lease.parts.block <= max(1, limit / 200 + lease.parts.block)


def test_a_lease_ends_with_its_time() -> None:
    """What was not spent within 300 s is never spent, and what is taken meanwhile does not prolong it."""
    lease = Lease("key", cut(100_000))
    lease.grant(1, NOW)
    assert lease.ready(NOW)
    held = lease.left
    lease.grant(1, NOW + 200 * SECOND_NS)

    assert lease.ready(NOW + LEASE_S * SECOND_NS - 1)
    assert lease.left == held
    assert lease.ready(NOW + LEASE_S * SECOND_NS)
    assert lease.left == lease.parts.block
    assert not lease.ready(NOW + (200 + LEASE_S) * SECOND_NS)


def test_a_lease_that_was_not_spent_is_followed_by_a_small_one() -> None:
    """After a pause one block is taken, however many were taken before it."""
    lease = Lease("key", cut(100_000))
    for _ in range(5):
        lease.grant(lease.wanted(NOW), NOW)
    assert lease.wanted(NOW) > 1

    assert lease.wanted(NOW + LEASE_S * SECOND_NS) == 1
