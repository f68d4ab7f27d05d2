"""Who acts and when, what became of it, and how a change says no."""

import msgspec

from multipartner.crypto.credentials import new_generation
from multipartner.domain.events import Event, EventKind
from multipartner.domain.reasons import Refusal
from multipartner.storage.change_ports import Effect, Mark


class ChangeRefused(Exception):  # noqa: N818 - a verdict
    """The change cannot be made; nothing was changed. The text is one line and holds no secret.

    `refusal` is there where the change can be asked for over HTTP.
    """

    def __init__(self, text: str, refusal: Refusal | None = None) -> None:
        super().__init__(text)
        self.refusal = refusal


class UnknownEntity(ChangeRefused):
    """What the change names does not exist."""


class Act(msgspec.Struct, frozen=True):
    """One act: who (`operator:<name>`, or a `domain.graph.Viewer`'s actor), when in Unix seconds, and in which request."""

    actor: str
    now_s: int
    trace_id: str = ""

    def mark(self) -> Mark:
        """Make a new generation, as of now."""
        return Mark(new_generation(), self.now_s)

    def event(self, kind: EventKind, **fields: str) -> Event:
        """Tell of it; what is no field of an event goes into its detail."""
        known = {name: fields.pop(name) for name in ("app_id", "solution_id", "business_id") if name in fields}
        return Event(kind=kind, at_s=self.now_s, actor=self.actor, trace_id=self.trace_id, detail=fields, **known)


class Outcome(msgspec.Struct, frozen=True):
    """What became of a change: whether anything was changed, and one line that says so."""

    changed: bool
    text: str


def outcome(effect: Effect, what: str, done: str) -> Outcome:
    """Say `<what>: <done>` or `<what>: already <done>`; raises UnknownEntity when there is no such thing."""
    if effect is Effect.UNKNOWN:
        raise UnknownEntity(f"{what}: unknown")
    changed = effect is Effect.DONE
    return Outcome(changed, f"{what}: {done if changed else f'already {done}'}")
