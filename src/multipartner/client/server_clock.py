"""What time it is by the API's clock, told by the time since boot: a local clock that is set does not move it.

Each answer's `Date` says it within half a round trip and a second; the median of the last eight counts. Until the first one, the
local clock has to do. When local clock and time since boot part by more than 30 s, one of them was moved: an administrator, or a
virtual machine that stood still, whose boot clock does not know. Then the next `Date` alone decides.
"""

from collections import deque
from statistics import median
from typing import Final

from multipartner.client.ports import Moment

STEP_S: Final = 30.0
_READINGS: Final = 8


class ServerClock:
    """The difference between the API's Unix time and the time since boot, in seconds."""

    def __init__(self, now: Moment) -> None:
        self._offsets: deque[float] = deque(maxlen=_READINGS)
        self._local = now.wall - now.boot
        self._offset = self._local

    def at(self, boot: float) -> float:
        """Return Unix seconds by the API's clock."""
        return boot + self._offset

    def boot_of(self, unix_s: float) -> float:
        """Return the time since boot at which the API's clock shows this."""
        return unix_s - self._offset

    def stepped(self, now: Moment) -> bool:
        """Tell, once, that the local clock and the time since boot parted since the last call."""
        local = now.wall - now.boot
        if abs(local - self._local) <= STEP_S:
            return False
        self._local = local
        self._offsets.clear()
        return True

    def learn(self, date_s: float, sent_boot: float, received_boot: float) -> float:
        """Take an answer's `Date`; return by how many seconds the API's clock is ahead of what was believed.

        Only a difference over 30 s counts as one and is returned: what was planned by the old belief is then wrong.
        An answer that was under way for longer than that tells nothing: half of its way is too wide an error (the machine slept).
        """
        if received_boot - sent_boot > STEP_S:
            return 0.0
        self._offsets.append(date_s + 0.5 - (sent_boot + received_boot) / 2)
        offset = median(self._offsets)
        ahead = offset - self._offset
        self._offset = offset
        return ahead if abs(ahead) > STEP_S else 0.0
