"""The wall clock of a process whose PYTHONPATH names this folder: the machine's, and what a file and the environment add.

One file turns the clocks of all processes at once. A library that replaces the C function does not do: it keeps what it
read in one buffer for all threads, and a service has several of them.
"""

import os
import time

_FILE = os.environ["TURNED_CLOCK_FILE"]
_OFFSET_S = int(os.environ["TURNED_CLOCK_OFFSET_S"])
_machine_time = time.time


def _turned_time() -> float:
    with open(_FILE, "rb") as file:  # noqa: PTH123 - on each look at the clock
        return _machine_time() + int(file.read()) + _OFFSET_S


time.time = _turned_time
