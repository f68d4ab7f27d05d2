"""What was asked and answered, in one process's monotonic time (seconds); kept as JSON lines."""

import enum
import time
from pathlib import Path
from typing import TypeAlias

import msgspec


class Said(enum.Enum):
    """What became of a request."""

    GOOD = "good"
    """A token was issued; or the introspected one is active."""
    DEAD = "dead"
    """Refused for good (403, 422, ...); or the introspected token is not active."""
    TRANSIENT = "transient"
    """The service said that it cannot answer right now."""
    LOST = "lost"
    """No answer: refused, reset, or not in time."""


class Ended(enum.Enum):
    """What the one who changes facts was told."""

    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    """Told that nothing was changed."""
    UNKNOWN = "unknown"
    """Told that nobody knows; either is right."""


class Issue(msgspec.Struct, frozen=True, tag=True):
    """A token was asked for. `door`: the proxy or a replica; `exp_s` is Unix seconds."""

    door: str
    business: str
    sent_s: float
    received_s: float
    said: Said
    jti: str = ""
    left_s: float = 0.0
    """How long the token had to live when it came."""


class Introspection(msgspec.Struct, frozen=True, tag=True):
    """A resource server asked whether a token is good."""

    door: str
    business: str
    sent_s: float
    received_s: float
    said: Said
    jti: str


class Change(msgspec.Struct, frozen=True, tag=True):
    """A grant or share was taken away or given back. `actor` has done nothing else. `changed`: it was not so already."""

    business: str
    sent_s: float
    received_s: float
    ended: Ended
    actor: str
    takes: bool
    changed: bool = True


class Silence(msgspec.Struct, frozen=True, tag=True):
    """A time in which nobody can know the facts: a request that is sent in it must not be answered GOOD."""

    since_s: float
    until_s: float
    why: str


class Mark(msgspec.Struct, frozen=True, tag=True):
    """Something was done to the cluster."""

    at_s: float
    what: str


Record: TypeAlias = Issue | Introspection | Change | Silence | Mark


class Recorder:
    """Collects records, and writes each at once: a drill that fails leaves what it saw."""

    def __init__(self, path: Path) -> None:
        self.records: list[Record] = []
        self._file = path.open("ab")

    def __call__(self, record: Record) -> None:
        """Keep one."""
        self.records.append(record)
        self._file.write(msgspec.json.encode(record) + b"\n")

    def mark(self, what: str) -> float:
        """Note that something was done just now; returns when."""
        now_s = time.monotonic()
        self(Mark(now_s, what))
        return now_s

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> list[Record]:
    """Read a history back."""
    return [msgspec.json.decode(line, type=Record) for line in path.read_bytes().splitlines()]
