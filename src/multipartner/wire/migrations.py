"""Answers about migration intents (contract: SetSolutionMigrationIntentResponse, WhatsAppBusinessAccountMigrationIntent)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from multipartner.domain.migration import ANSWERED, Intent, IntentNode, IntentStatus
from multipartner.domain.reasons import Reason, Refusal
from multipartner.wire.solutions import encode, instant

INITIATE, SCHEDULE, CONFIRM, CANCEL = "INITIATE_MIGRATION", "SCHEDULE_MIGRATION", "CONFIRM_MIGRATION", "CANCEL_MIGRATION"
WORDS: Final = (INITIATE, CANCEL, CONFIRM, SCHEDULE)
"""Contract: SolutionMigrationIntent."""

SCHEDULED: Final = "SCHEDULED"
DEFAULT_FIELDS: Final = ("id", "status")

_LAST_S: Final = 253_402_300_799
"""The end of the year 9999: no later instant can be written."""

_FIELDS: Final = MappingProxyType[str, Callable[[IntentNode], Any]](
    {
        "id": lambda node: node.intent.id,
        "status": lambda node: node.intent.status.value,
        "solution": lambda node: {"id": node.intent.target_solution_id, "name": node.target_name},
        # The WABA itself moves. Its name stays with those that reach it now; an app that set an intent may not any more.
        "destination_waba": lambda node: {"id": node.intent.waba_id},
    }
)


def intent_fields(fields: str | None) -> tuple[str, ...] | Refusal:
    """Read a `fields` parameter: names with commas between. What is absent or empty means the contract's default."""
    if not fields:
        return DEFAULT_FIELDS
    names = tuple(dict.fromkeys(fields.split(",")))
    if not set(names) <= _FIELDS.keys():
        return Refusal(Reason.FIELDS_UNAVAILABLE)
    return names if "id" in names else ("id", *names)


def intent(node: IntentNode, names: tuple[str, ...]) -> bytes:
    """Print these fields of an intent."""
    return encode({name: _FIELDS[name](node) for name in names})


def intent_set(intent: Intent, now_s: int) -> bytes:
    """Answer to what was done with an intent; `id` is what the guides call it (facts: graph-wire 5.4, B)."""
    waits = intent.status is IntentStatus.INITIATED and (intent.not_before_s or 0) > now_s
    told: dict[str, object] = {
        "id": intent.id,
        "success": True,
        "migration_intent_id": intent.id,
        "status": SCHEDULED if waits else ANSWERED[intent.status],
    }
    if waits and intent.not_before_s is not None:
        told["estimated_completion_time"] = instant(intent.not_before_s)
    return encode(told)


def unix_s(text: str) -> int | None:
    """An instant of RFC 3339, with its offset, in Unix seconds; a part of a second counts as begun. None for anything else."""
    if _RFC3339.fullmatch(text) is None:
        return None
    try:
        at = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    whole_s, begun = divmod((at - _EPOCH).total_seconds(), 1)
    at_s = int(whole_s) + bool(begun)
    return at_s if 0 <= at_s <= _LAST_S else None


_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
