"""What a probe found, as numbers and as sentences."""

import enum

import msgspec


class Face(enum.Enum):
    """How callers come: threads that call `get`, or tasks that await `aget`."""

    SYNC = "sync"
    ASYNC = "async"


class Report(msgspec.Struct, frozen=True):
    """One probe against one provider.

    `calls`: token calls that reached the endpoint. `waited`: callers whom the endpoint held up though the probe says that nobody
    may wait. `errors`: callers who got an exception though a token was to be had. `wrong`: tokens of another tenant, another
    app, or past their expiry. `hung`: callers who did not come back in the adapter's `patience_s`.
    """

    probe: str
    provider: str
    face: Face
    calls: int
    waited: int
    errors: int
    wrong: int
    hung: int
    violations: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all that the probe claims held."""
        return not self.violations

    def __str__(self) -> str:
        counted = f"{self.calls} calls, {self.waited} waited, {self.errors} errors, {self.wrong} wrong, {self.hung} hung"
        found = "; ".join(self.violations) or "passed"
        return f"{self.probe} ({self.provider}, {self.face.value}): {counted}: {found}"
