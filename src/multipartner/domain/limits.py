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
        self._counters: dict[object, Counter] = {}

    def step_at(self, boot_ns: int) -> int:
        """The step that a moment falls into."""
        return boot_ns // self._step_ns

    def counter(self, key: object, boot_ns: int) -> "Counter":
        """The count of a key as of now; for a new key an empty one, which takes room from the oldest if need be."""
        step = boot_ns // self._step_ns
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = Counter(step, 0, [0] * (self.STEPS + 1))
            if len(self._counters) > self._max_keys:
                self._counters.pop(next(iter(self._counters))).kept = False
        elif step != counter.step:
            counter.advance(step)
        return counter

    def used(self, key: object, boot_ns: int) -> int:
        """Calls of this key that still count; a key never counted takes no room."""
        return self.counter(key, boot_ns).total if key in self._counters else 0

    def retry_after_s(self, key: object, boot_ns: int) -> int:
        """Seconds until the oldest counted call of this key stops counting; at least 1."""
        counter = self.counter(key, boot_ns)
        for age in range(self.STEPS, -1, -1):
            if counter.ring[(counter.step - age) % (self.STEPS + 1)]:
                free_at_ns = (counter.step - age + self.STEPS + 1) * self._step_ns
                return max(1, -(-(free_at_ns - boot_ns) // 1_000_000_000))
        return 1

    def __len__(self) -> int:
        return len(self._counters)


class Counter(msgspec.Struct):
    """Calls of one key: `ring` by step, `total` their sum, `step` the last one looked at; `kept` until it is forgotten."""

    step: int
    total: int
    ring: list[int]
    kept: bool = True

    def add(self) -> None:
        """Count one call, in the step last looked at."""
        self.ring[self.step % len(self.ring)] += 1
        self.total += 1

    def advance(self, step: int) -> None:
        """Forget the steps between the last call and now; a step back in time forgets nothing and counts as now."""
        size = len(self.ring)
        if step <= self.step:
            return
        for passed in range(self.step + 1, min(step, self.step + size) + 1):
            self.total -= self.ring[passed % size]
            self.ring[passed % size] = 0
        self.step = step
