"""The machine's own clock, turned for libraries that read it: `time.time` and `datetime.now`, and no monotonic clock."""

import time_machine

from multipartner.testing.torture import TurnedClock


class TravellingClock(TurnedClock):
    """Moves the process through time. One at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._travel = time_machine.travel(self.wall(), tick=False)
        self._here = self._travel.start()

    def turn(self, seconds: float) -> None:
        super().turn(seconds)
        self._here.move_to(self.wall())

    def step(self, seconds: float) -> None:
        super().step(seconds)
        self._here.move_to(self.wall())

    def close(self) -> None:
        self._travel.stop()
