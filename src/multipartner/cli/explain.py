"""`explain`: why a request was refused, or what it got; by the trace id that the answer carried."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from multipartner.cli.calling import Call, command, fail

if TYPE_CHECKING:
    from multipartner.domain.events import Event, RefusalRecord

_TraceId = Annotated[str, typer.Argument(help="`fbtrace_id` of the answer, or its x-fb-request-id.", show_default=False)]

_FORM: Final = re.compile("A[A-Za-z0-9_-]{22}")

_QUERY = "The caller token came in the query, where proxies and logs keep it: ask the caller to send it as Authorization: Bearer."


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "explain", takes_dashes=True)(explain)


def explain(call: Call, trace_id: _TraceId) -> None:
    """Say which station refused a request, by which rule, on which fact, and what to do; or what the request got."""
    from multipartner.domain.events import RefusalRecord  # noqa: PLC0415 - not for --help
    from multipartner.storage.trail_reading import find_trace  # noqa: PLC0415 - as above

    settings = call.existing()
    if _FORM.fullmatch(trace_id) is None:
        raise fail("that is no trace id: it is `fbtrace_id` of an answer, 23 characters that begin with A")
    found = find_trace(settings.trail_file, trace_id)
    if isinstance(found, RefusalRecord):
        facts = _refused(found)
    elif found:
        facts = {"trace_id": trace_id, "events": [msgspec.to_builtins(event) for event in found]}
    else:
        raise fail(
            f"{trace_id}: nothing is known of it; kept are the last {settings.explain_kept} refusals and first issuances. "
            "If the answer was a token, it had been issued before: `multipartner audit export --business ID`"
        )
    call.tell(facts, _refused_text(facts) if isinstance(found, RefusalRecord) else _issued_text(found))


def _refused(record: "RefusalRecord") -> dict[str, object]:
    from multipartner.domain.reasons import RULES  # noqa: PLC0415 - not for --help
    from multipartner.wire.refusals import ROWS  # noqa: PLC0415 - as above

    rule = RULES[record.reason]
    told: dict[str, object] = msgspec.to_builtins(record)
    return told | {
        "outcome": "refused",
        "status": ROWS[record.reason].status,
        "station": rule.station.value,
        "rule": rule.text,
        "next_step": _next_step(record),
        "warning": _QUERY if record.query_token else "",
    }


def _next_step(record: "RefusalRecord") -> str:
    ids = {
        name: _plain(getattr(record, name)) or name.upper() for name in ("credential_id", "app_id", "solution_id", "business_id")
    }
    return NEXT_STEPS[record.reason.value].format_map(ids)


def _refused_text(facts: Mapping[str, object]) -> str:
    lines = [
        f"{facts['status']} at station `{facts['station']}`: {facts['reason']}",
        f"rule       {facts['rule']}",
        f"fact       {_plain(str(facts.get('fact') or '')) or '-'}",
        f"when       {_when(facts['at_s'])}",
    ]
    asked = ("credential_id", "app_id", "solution_id", "business_id", "address", "version")
    lines.extend(f"{name.removesuffix('_id'):10} {_plain(str(facts[name]))}" for name in asked if facts.get(name))
    lines.append(f"next       {facts['next_step']}")
    if facts["warning"]:
        lines.append(f"warning    {facts['warning']}")
    return "\n".join(lines)


def _issued_text(events: "list[Event]") -> str:
    lines = []
    for event in events:
        ids = " ".join(
            f"{name.removesuffix('_id')}={value}"
            for name in ("app_id", "solution_id", "business_id", "jti")
            if (value := getattr(event, name))
        )
        lines.append(f"{_when(event.at_s)}  {event.kind.value}  {event.actor}  {ids}")
    return "\n".join(lines)


def _when(at_s: object) -> str:
    return dt.datetime.fromtimestamp(int(str(at_s)), dt.UTC).isoformat()


def _plain(text: str) -> str:
    """Text that a stranger chose, safe for a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


_SHAPE = "The caller's request is at fault: show the caller this rule."
_RETRY = "A retry later may work; look at `multipartner doctor` and at the log under this trace id."

NEXT_STEPS: Final[Mapping[str, str]] = {
    "unknown_path": _SHAPE,
    "url_too_long": _SHAPE,
    "method_not_allowed": _SHAPE,
    "unknown_version": "Have the caller ask for a version that is served, or add its own to the setting `versions`.",
    "malformed_framing": "A proxy or a hand-made client sent doubtful framing: show its operator this rule.",
    "malformed_version": _SHAPE,
    "malformed_solution_id": _SHAPE,
    "malformed_query": _SHAPE,
    "repeated_parameter": _SHAPE,
    "missing_business_id": _SHAPE,
    "malformed_business_id": _SHAPE,
    "two_credentials": _SHAPE,
    "body_on_get": _SHAPE,
    "address_limited": "Somebody at this address sends wrong tokens. If it is your own proxy, name it in trusted_proxies.",
    "caller_missing": "The caller must send its token: Authorization: Bearer <token>.",
    "caller_in_query": "Have the caller send the token in the Authorization header.",
    "caller_malformed": "The caller sends something else, or a token that was cut on its way: compare prefix and length.",
    "caller_unknown": "The token is another deployment's, or was never made: make one with `credential create`.",
    "caller_revoked": "If it was not meant to end, make a new one with `credential create`; a revoked one stays revoked.",
    "caller_expired": "Make the caller a new one with `credential create`.",
    "proof_missing": "Have the caller send appsecret_proof, or declare the app with require_appsecret_proof: false.",
    "proof_invalid": "The caller uses another app's secret, or computed the proof over another token.",
    "app_limited": "A caller should keep its tokens and not ask for each message. Or declare more calls_per_hour.",
    "app_business_limited": "A caller should keep its tokens. Or declare more calls_per_business_per_hour.",
    "solution_unknown": "Have the caller compare the solution's id with `multipartner world export`.",
    "app_not_party": "A solution's two apps alone have tokens for it: look for app {app_id} in `multipartner world export`.",
    "app_suspended": "If it should not be: multipartner app resume {app_id}",
    "permission_missing": "Make the caller a new token with `credential create`: it carries that permission.",
    "business_not_connected": "The business must first share with one of the app's solutions.",
    "solution_inactive": "If it should be, declare solution {solution_id} ACTIVE in the world file.",
    "nothing_shared": "When the customer shares a WABA with solution {solution_id} again, declare it in the world file.",
    "grant_revoked": "To undo: multipartner grant restore --business {business_id} --solution {solution_id} --app {app_id}",
    "nothing_permitted": "Compare the three sets in the fact: caller token, solution or share must allow more.",
    "facts_unavailable": _RETRY,
    "trail_unavailable": "Nothing is issued while the trail cannot be written: has its disk room, can its file be written?",
    "no_signing_key": "See `multipartner keys list`; if no key signs: multipartner keys rotate --now",
    "unexpected": "Look for this trace id in the log, and report what it says there.",
}
"""What an operator can do, by reason; ids of the request are filled in."""
