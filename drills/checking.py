"""What a recorded history must hold to, and what it tells: pure, over records and the facts that were found afterwards.

An operation whose outcome is unknown may be either. A change of one business is sent only when the one before has ended.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import TypeAlias

import msgspec
from drills.history import Change, Ended, Introspection, Issue, Record, Said, Silence


class Truth(msgspec.Struct, frozen=True):
    """What the database said when all was over.

    `usable`: businesses whose tokens may be issued; `events`: how many the trail has by each actor; `issued`: every `jti` in it.
    """

    usable: frozenset[str]
    events: Mapping[str, int]
    issued: frozenset[str]


Answer: TypeAlias = Issue | Introspection


class Taken(msgspec.Struct, frozen=True):
    """An acknowledged revocation. `given_s`: when somebody first tried to give it back."""

    sent_s: float
    acknowledged_s: float
    given_s: float


def violations(records: Sequence[Record], truth: Truth, bound_s: float) -> list[str]:
    """Everything in the history that must not be, a sentence each. `bound_s`: how long after its acknowledgement a change may
    be unknown to a replica.
    """  # noqa: D205 - one thought
    found = list(_too_late(records, bound_s))
    found += _in_silence(records)
    found += _lost_changes(records, truth)
    found += _untold_tokens(records, truth)
    return found


def lags_s(records: Sequence[Record]) -> list[float]:
    """For each answer that contradicts an acknowledged revocation: how long after it the question was sent (0 and more)."""
    return [late_s for late_s, _ in _contradictions(records)]


def first_new_token_s(records: Sequence[Record], door: str, since_s: float) -> float:
    """When a door gave a token that nobody had before, asked for at or after `since_s`; infinite if it never did.

    Such a token has its event in the trail: reading and writing both work.
    """
    known: set[str] = set()
    for issue in sorted(_issues(records), key=lambda issue: issue.received_s):
        if issue.said is not Said.GOOD:
            continue
        if issue.jti not in known and issue.door == door and issue.sent_s >= since_s:
            return issue.received_s
        known.add(issue.jti)
    return inf


def first_change_s(records: Sequence[Record], since_s: float) -> float:
    """When a change was acknowledged that was sent at or after `since_s`; infinite if none was."""
    changes = (x for x in records if isinstance(x, Change) and x.ended is Ended.ACKNOWLEDGED and x.sent_s >= since_s)
    return min((change.received_s for change in changes), default=inf)


def least_left_s(records: Sequence[Record]) -> float:
    """The least that a business's token had still to live when its next one came (through any door); infinite without a pair."""
    least, held = inf, dict[str, tuple[float, float]]()
    for issue in sorted(_issues(records), key=lambda issue: issue.received_s):
        if issue.said is Said.GOOD:
            if issue.business in held:
                came_s, left_s = held[issue.business]
                least = min(least, left_s - (issue.received_s - came_s))
            held[issue.business] = issue.received_s, issue.left_s
    return least


def count(records: Iterable[Record], said: Said) -> int:
    """Requests with an outcome."""
    return sum(isinstance(record, Issue | Introspection) and record.said is said for record in records)


def _issues(records: Iterable[Record]) -> Iterator[Issue]:
    return (record for record in records if isinstance(record, Issue))


def _changes(records: Iterable[Record]) -> dict[str, list[Change]]:
    found: dict[str, list[Change]] = defaultdict(list)
    for record in records:
        if isinstance(record, Change):
            found[record.business].append(record)
    for changes in found.values():
        changes.sort(key=lambda change: change.sent_s)
    return found


def _taken(changes: Sequence[Change]) -> Iterator[Taken]:
    for place, change in enumerate(changes):
        if change.takes and change.ended is Ended.ACKNOWLEDGED:
            given = (x.sent_s for x in changes[place + 1 :] if not x.takes and x.ended is not Ended.FAILED)
            yield Taken(change.sent_s, change.received_s, min(given, default=inf))


def _contradictions(records: Sequence[Record]) -> Iterator[tuple[float, Answer]]:
    """Answers that an acknowledged revocation forbids once it is known, and how long after it they were asked for.

    A token that was answered before anybody tried to give the grant back bears what the revocation ended: it is dead for good.
    """
    taken = {business: list(_taken(changes)) for business, changes in _changes(records).items()}
    born: dict[str, float] = {}
    for issue in _issues(records):
        if issue.said is Said.GOOD:
            born[issue.jti] = min(issue.received_s, born.get(issue.jti, inf))
    for record in records:
        if not isinstance(record, Issue | Introspection) or record.said is not Said.GOOD:
            continue
        came_s = record.received_s if isinstance(record, Issue) else born.get(record.jti, inf)
        late_s = [
            record.sent_s - one.acknowledged_s
            for one in taken.get(record.business, ())
            if record.sent_s >= one.acknowledged_s and came_s < one.given_s
        ]
        if late_s:
            yield max(late_s), record


def _too_late(records: Sequence[Record], bound_s: float) -> Iterator[str]:
    for late_s, answer in _contradictions(records):
        if late_s > bound_s:
            what = "was issued" if isinstance(answer, Issue) else "verified"
            yield f"{answer.door}: a token of {answer.business} {what} {late_s:.3f} s after its revocation was acknowledged"


def _in_silence(records: Sequence[Record]) -> Iterator[str]:
    for silence in records:
        if not isinstance(silence, Silence):
            continue
        for answer in records:
            if (
                isinstance(answer, Issue | Introspection)
                and answer.said is Said.GOOD
                and silence.since_s <= answer.sent_s < silence.until_s
            ):
                late_s = answer.sent_s - silence.since_s
                yield f"{answer.door}: answered {late_s:.3f} s into the time in which it could not know ({silence.why})"


def _lost_changes(records: Sequence[Record], truth: Truth) -> Iterator[str]:
    for business, changes in _changes(records).items():
        for change in changes:
            told = truth.events.get(change.actor, 0)
            if change.ended is Ended.ACKNOWLEDGED and told != change.changed:
                yield f"{business}: the trail has {told} events of a change that was acknowledged ({change.actor})"
            elif change.ended is Ended.FAILED and told:
                yield f"{business}: the trail has an event of a change that was told as failed ({change.actor})"
            elif told > 1:
                yield f"{business}: the trail has {told} events of one change ({change.actor})"
        may_be = _final(changes, truth)
        if may_be is not None and may_be != (business in truth.usable):
            yield f"{business}: is {'revoked' if may_be else 'usable'}, but the last change that counts said otherwise"


def _final(changes: Sequence[Change], truth: Truth) -> bool | None:
    """Whether the business must be usable. An unknown change has happened if its event is there; None when nothing is told."""
    usable = None
    for change in changes:
        if change.ended is Ended.ACKNOWLEDGED or (change.ended is Ended.UNKNOWN and truth.events.get(change.actor)):
            usable = not change.takes
    return usable


def _untold_tokens(records: Sequence[Record], truth: Truth) -> Iterator[str]:
    missing = {issue.jti: issue for issue in _issues(records) if issue.said is Said.GOOD and issue.jti not in truth.issued}
    for jti, issue in missing.items():
        yield f"{issue.door}: token {jti} of {issue.business} was issued, and the trail knows nothing of it"
