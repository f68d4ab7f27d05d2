"""A limit that several processes count together: how it is cut into blocks, and what one process holds of it.

The shared count holds one entry for each block, so that an hour of the largest limit is 2,000 entries (decision record
0018). Without a clock of its own; times are the process's boot clock, in nanoseconds.
"""

import msgspec

SECOND_NS = 1_000_000_000
LEASE_S = 300
SKEW_S = 10
"""How far the wall clocks of the hosts may be apart: entries are stamped by the host that takes them."""

HOUR_S = 3600
CALLS_WINDOW_S = HOUR_S + LEASE_S + SKEW_S
FAILURES_WINDOW_S = HOUR_S + SKEW_S

PROCESSES = 32
"""Among so many processes the reserve of a limit is divided: none of them asks before it has spent its part."""

_RESERVE = 20
_BLOCKS = 1000
_QUICK_NS = SECOND_NS
_SLOW_NS = 10 * SECOND_NS


class Cut(msgspec.Struct, frozen=True, gc=False):
    """A limit in parts: `reserve` for each process, unasked; `blocks` blocks of `block` calls, shared."""

    reserve: int
    block: int
    blocks: int


def cut(limit: int, *, reserved: bool = False) -> Cut:
    """Cut a limit: at most one in 1,000 is lost by rounding. A block is a power of two, so that it seldom changes."""
    reserve = limit // (_RESERVE * PROCESSES) if reserved else 0
    shared = limit - reserve * PROCESSES
    block = 1 << max(0, (shared // _BLOCKS).bit_length() - 1)
    return Cut(reserve, block, max(1, shared // block))


class Lease(msgspec.Struct):
    """What one process may let through without asking: `left` calls until `ends_ns`, and then what lies in `spare`.

    `used` calls were counted by all processes when they were last looked at. Until `denied_until_ns` nothing is asked for,
    because the count was full; at `free_at_ns` it will have room.
    """

    key: str
    parts: Cut
    left: int = 0
    ends_ns: int = 0
    low: int = -1
    spare: int = 0
    spare_ends_ns: int = 0
    size: int = 1
    taken_ns: int = 0
    used: int = 0
    looked_ns: int = -(1 << 62)
    denied_until_ns: int = 0
    free_at_ns: int = 0
    waiting: int = 0

    def ready(self, boot_ns: int) -> bool:
        """Say whether a call can be spent; takes the spare into use when what was left is spent or over."""
        if self.left > 0 and boot_ns < self.ends_ns:
            return True
        if self.spare <= 0 or boot_ns >= self.spare_ends_ns:
            return False
        self.left, self.ends_ns, self.spare = self.spare, self.spare_ends_ns, 0
        self.low = self.left // 4 if self.left >= 4 else -1
        return True

    def wanted(self, boot_ns: int) -> int:
        """Blocks to take now: more when the last ones were spent within a second, one when they were not spent at all."""
        age_ns = boot_ns - self.taken_ns
        if age_ns >= LEASE_S * SECOND_NS:
            self.size = 1
        elif age_ns > _SLOW_NS:
            self.size = max(1, self.size // 2)
        elif age_ns < _QUICK_NS:
            self.size = min(2 * self.size, max(1, self.parts.blocks // 200))
        waiting = -(-self.waiting // self.parts.block)
        return min(self.parts.blocks, max(self.size, waiting))

    def grant(self, blocks: int, boot_ns: int) -> None:
        """Hold blocks that were taken by a request that began at `boot_ns`."""
        calls = blocks * self.parts.block
        ends_ns = boot_ns + LEASE_S * SECOND_NS
        # What is still held ends first; it never lives on with what is new.
        if self.spare > 0 and boot_ns < self.spare_ends_ns:
            self.spare += calls
        else:
            self.spare, self.spare_ends_ns = calls, ends_ns
        self.taken_ns = boot_ns
        self.denied_until_ns = 0

    def deny(self, until_ns: int, free_at_ns: int) -> None:
        """Ask for nothing until then."""
        self.denied_until_ns, self.free_at_ns = until_ns, free_at_ns

    def recut(self, key: str, parts: Cut) -> None:
        """Follow a limit that was changed; what is held stays good."""
        self.key, self.parts, self.denied_until_ns = key, parts, 0

    def percent(self, here: int, limit: int) -> int:
        """Whole percent used of a limit: what all processes used when last looked at, and at least the calls `here`."""
        if self.used >= self.parts.blocks * self.parts.block:
            return 100
        return max(here, self.used) * 100 // limit

    def retry_after_s(self, boot_ns: int) -> int:
        """Seconds until there is room again; at least 1."""
        return max(1, -(-(self.free_at_ns - boot_ns) // SECOND_NS))
