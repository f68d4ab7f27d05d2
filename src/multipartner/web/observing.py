"""What operators see of requests: counts for every one, a log line for refusals and a sample of the successes."""

from collections import defaultdict
from collections.abc import Callable, Mapping

import msgspec

from multipartner.domain.reasons import Reason


class Seen(msgspec.Struct, frozen=True, gc=False):
    """One answered request. No query, no header, no body: nothing that could hold a token."""

    trace_id: str
    route: str
    status: int
    reason: Reason | None = None
    fact: str = ""
    address: str = ""
    app_id: str = ""
    credential_id: str = ""
    solution_id: str = ""
    business_id: str = ""
    version: str = ""


Log = Callable[[Seen], None]

REFUSAL_LINES_PER_S = 100


class Observer:
    """Counts in plain integers (0.1 us each); whoever exports metrics takes them from `counts` from time to time.

    `successes_per_s`: how many successes are logged in a second, the first ones; a line costs more than an answer.
    """

    __slots__ = ("_budget", "_budget_step", "_log", "_success_step", "_successes", "_successes_per_s", "counts", "unlogged")

    def __init__(self, log: Log, successes_per_s: int) -> None:
        self.counts: defaultdict[tuple[str, int, Reason | None], int] = defaultdict(int)
        self.unlogged = 0
        self._log = log
        self._successes_per_s = self._successes = successes_per_s
        self._success_step = 0
        self._budget = REFUSAL_LINES_PER_S
        self._budget_step = 0

    def wants_success(self, boot_ns: int) -> bool:
        """Say whether this success is one of the second's sample; the caller logs it then."""
        step = boot_ns // 1_000_000_000
        if step != self._success_step:
            self._success_step, self._successes = step, self._successes_per_s
        if self._successes == 0:
            return False
        self._successes -= 1
        return True

    def success(self, seen: Seen) -> None:
        """Log a success that `wants_success` chose."""
        self._log(seen)

    def refusal(self, seen: Seen, boot_ns: int) -> None:
        """Log a refusal, at most 100 a second: a flood must fill neither disk nor processor (attack 53)."""
        step = boot_ns // 1_000_000_000
        if step != self._budget_step:
            self._budget_step, self._budget = step, REFUSAL_LINES_PER_S
        if self._budget > 0:
            self._budget -= 1
            self._log(seen)
        else:
            self.unlogged += 1

    def snapshot(self) -> Mapping[tuple[str, int, Reason | None], int]:
        """All counts so far: (route, status, reason) to requests."""
        return dict(self.counts)
