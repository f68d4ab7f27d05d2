"""Counting calls of the last hour, in memory and without a clock of its own."""

from collections import deque

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
        # Beside the dictionary, whose first key is found only by walking over all that ever stood before it.
        self._oldest_first: deque[object] = deque()

    def step_at(self, boot_ns: int) -> int:
        """The step that a moment falls into."""
        return boot_ns // self._step_ns

    def counter(self, key: object, boot_ns: int) -> "Counter":
        """The count of a key as of now; for a new key an empty one, which takes room from the oldest if need be."""
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = Counter(self.step_at(boot_ns))
            self._oldest_first.append(key)
            if len(self._counters) > self._max_keys:
                self._counters.pop(self._oldest_first.popleft()).kept = False
            return counter
        counter.advance(boot_ns // self._step_ns)
        return counter

    def used(self, key: object, boot_ns: int) -> int:
        """Calls of this key that still count; a key never counted takes no room."""
        return self.counter(key, boot_ns).total if key in self._counters else 0

    def retry_after_s(self, key: object, boot_ns: int) -> int:
        """Seconds until the oldest counted call of this key stops counting; at least 1."""
        marks = self.counter(key, boot_ns).marks if key in self._counters else []
        if not marks:
            return 1
        free_at_ns = (marks[0] + self.STEPS + 1) * self._step_ns
        return max(1, -(-(free_at_ns - boot_ns) // 1_000_000_000))

    def __len__(self) -> int:
        return len(self._counters)


class Counter(msgspec.Struct, gc=False):
    """Calls of one key. `marks` is step, calls, step, calls ... of the last hour, oldest first; `total` is the calls' sum.

    `step` is the one last looked at; `kept` until the key is forgotten. Most keys have one mark: a list of two numbers.
    """

    step: int
    total: int = 0
    marks: list[int] = []
    kept: bool = True

    def add(self) -> None:
        """Count one call, in the step last looked at."""
        self.total += 1
        marks = self.marks
        if marks and marks[-2] == self.step:
            marks[-1] += 1
        else:
            marks += (self.step, 1)

    def advance(self, step: int) -> None:
        """Forget what is over an hour old at `step`; a step back in time forgets nothing and counts as now."""
        if step <= self.step:
            return
        self.step = step
        marks = self.marks
        while marks and marks[0] < step - SlidingWindow.STEPS:
            self.total -= marks[1]
            del marks[:2]
