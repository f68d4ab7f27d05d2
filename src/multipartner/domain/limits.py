"""Counting calls of the last hour, in memory and without a clock of its own."""

import msgspec

HOUR_NS = 3600 * 1_000_000_000


class SlidingWindow:
    """Calls per key within one hour, in 60 steps of a minute; keys bounded, the oldest forgotten first.

    Error: a call counts for 60 to 61 minutes, so a limit is never exceeded within any hour and is at worst a minute late
    to let the next call through. Refused calls are not counted. Forgetting a key (only beyond `max_keys`) restarts it.
    """

    STEPS = 60

    def __init__(self, max_keys: int, window_ns: int = HOUR_NS) -> None:
        self._step_ns = window_ns // self.STEPS
        self._max_keys = max_keys
        self._counts: dict[object, _Count] = {}

    def used(self, key: object, boot_ns: int) -> int:
        """Calls of this key that still count."""
        count = self._counts.get(key)
        if count is None:
            return 0
        step = boot_ns // self._step_ns
        if step != count.step:
            count.advance(step)
        return count.total

    def add(self, key: object, boot_ns: int) -> int:
        """Count one call; returns the calls that count now, this one included."""
        step = boot_ns // self._step_ns
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count(step=step, total=0, ring=[0] * (self.STEPS + 1))
            if len(self._counts) > self._max_keys:
                del self._counts[next(iter(self._counts))]
        elif step != count.step:
            count.advance(step)
        count.ring[count.step % (self.STEPS + 1)] += 1
        count.total += 1
        return count.total

    def retry_after_s(self, key: object, boot_ns: int) -> int:
        """Seconds until the oldest counted call of this key stops counting; at least 1."""
        count = self._counts.get(key)
        if count is None:
            return 1
        step = boot_ns // self._step_ns
        if step != count.step:
            count.advance(step)
        for age in range(self.STEPS, -1, -1):
            if count.ring[(count.step - age) % (self.STEPS + 1)]:
                free_at_ns = (count.step - age + self.STEPS + 1) * self._step_ns
                return max(1, -(-(free_at_ns - boot_ns) // 1_000_000_000))
        return 1

    def __len__(self) -> int:
        return len(self._counts)


class _Count(msgspec.Struct):
    step: int
    total: int
    ring: list[int]

    def advance(self, step: int) -> None:
        """Forget the steps between the last call and now; a step back in time forgets nothing and counts as now."""
        size = len(self.ring)
        if step <= self.step:
            return
        for passed in range(self.step + 1, min(step, self.step + size) + 1):
            self.total -= self.ring[passed % size]
            self.ring[passed % size] = 0
        self.step = step
