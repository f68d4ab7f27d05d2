"""`explain`: why a request was refused, or what it got; by the trace id that the answer carried."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from multipartner.cli.calling import Call, command, fail, when
from multipartner.cli.next_steps import NEXT_STEPS

if TYPE_CHECKING:
    from multipartner.cli.made_so import MadeSo
    from multipartner.domain.events import Event, RefusalRecord
    from multipartner.settings import Settings

Names = Mapping[str, str]
"""What the parties are called: `app`, `solution`, `business`, as far as they are known."""

_TraceId = Annotated[str, typer.Argument(help="`fbtrace_id` of the answer, or its x-fb-request-id.", show_default=False)]

_FORM: Final = re.compile("A[A-Za-z0-9_-]{22}")

_QUERY = "The caller token came in the query, where proxies and logs keep it: ask the caller to send it as Authorization: Bearer."


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "explain", takes_dashes=True)(explain)


def explain(call: Call, trace_id: _TraceId) -> None:
    """Say which station refused a request, by which rule, on which fact, since when, and what to do; or what it got."""
    from multipartner.domain.events import EventKind, RefusalRecord  # noqa: PLC0415 - not for --help
    from multipartner.storage.trail_reading import find_trace  # noqa: PLC0415 - as above

    settings, backend = call.deployed()
    if _FORM.fullmatch(trace_id) is None:
        raise fail("that is no trace id: it is `fbtrace_id` of an answer, 23 characters that begin with A")
    found = find_trace(backend, trace_id)
    if isinstance(found, RefusalRecord):
        names = _names(call, found)
        made = _made_so(settings, found)
        facts = _refused(found, made, names)
        call.tell(facts, "\n".join(_refused_lines(facts, made, names)))
    elif found:
        told = [(event, _names(call, event)) for event in found]
        events = [msgspec.to_builtins(event) | {"names": names} for event, names in told]
        text = "\n\n".join("\n".join(_event_lines(event, names)) for event, names in told)
        outcome = "issued" if all(event.kind is EventKind.TOKEN_ISSUED for event in found) else "changed"
        call.tell({"trace_id": trace_id, "outcome": outcome, "events": events}, text)
    else:
        raise fail(
            f"{trace_id}: nothing is known of it; kept are the last {settings.explain_kept} refusals and first issuances. "
            "If the answer was a token, it had been issued before: `multipartner audit export --business ID`"
        )


def _refused(record: "RefusalRecord", made: "MadeSo | None", names: Names) -> dict[str, object]:
    from multipartner.domain.reasons import RULES  # noqa: PLC0415 - not for --help
    from multipartner.wire.refusals import ROWS  # noqa: PLC0415 - as above

    rule = RULES[record.reason]
    told: dict[str, object] = msgspec.to_builtins(record)
    return told | {
        "outcome": "refused",
        "status": ROWS[record.reason].status,
        "station": rule.station.value,
        "rule": rule.text,
        "since": msgspec.to_builtins(made),
        "names": names,
        "next_step": _next_step(record),
        "warning": _QUERY if record.query_token else "",
    }


def _made_so(settings: "Settings", record: "RefusalRecord") -> "MadeSo | None":
    from multipartner.cli.made_so import is_made, made_so, may_make, narrowest  # noqa: PLC0415 - not for --help
    from multipartner.operating import backend_of  # noqa: PLC0415 - as above
    from multipartner.storage.trail_reading import export  # noqa: PLC0415 - as above

    if not is_made(record.reason):
        return None
    makers: list[str] = []

    def keep(line: str) -> None:
        if may_make(record.reason, line):
            makers.append(line)

    export(backend_of(settings), narrowest(record), keep)
    return made_so(record, makers)


def _names(call: Call, of: "RefusalRecord | Event") -> Names:
    """Names of the parties from the facts; none when the facts cannot be read, for then most of all something must be told."""
    from multipartner.domain import world as w  # noqa: PLC0415 - not for --help
    from multipartner.domain.model import AppId, BusinessId, SolutionId  # noqa: PLC0415 - as above
    from multipartner.operating import open_store  # noqa: PLC0415 - as above
    from multipartner.storage.ports import StorageUnavailable  # noqa: PLC0415 - as above

    app, business, side = AppId(of.app_id), BusinessId(of.business_id), w.Side(AppId(""))
    asked = w.World(
        w.VERSION,
        businesses=(w.Business(business, ""),),
        apps=(w.App(app, business, ""),),
        solutions=(w.Solution(SolutionId(of.solution_id), "", side, side),),
    )

    async def read() -> w.World:
        async with open_store(call.settings()) as store, store.reading() as changes:
            return await changes.world(asked)

    try:
        world = asyncio.run(read())
    except StorageUnavailable:
        return {}
    parties = (("app", world.apps), ("solution", world.solutions), ("business", world.businesses))
    return {party: found[0].name for party, found in parties if found}


def _next_step(record: "RefusalRecord") -> str:
    ids = {
        name: _plain(getattr(record, name)) or name.upper() for name in ("credential_id", "app_id", "solution_id", "business_id")
    }
    return NEXT_STEPS[record.reason.value].format_map(ids)


def _refused_lines(facts: Mapping[str, object], made: "MadeSo | None", names: Names) -> Iterator[str]:
    yield f"{facts['status']} at station `{facts['station']}`: {facts['reason']}"
    yield f"rule       {facts['rule']}"
    yield f"fact       {_plain(str(facts.get('fact') or '')) or '-'}"
    if made is not None:
        yield f"since      {when(made.at_s)}: {made.text} by {_plain(made.actor)}"
    yield f"when       {when(int(str(facts['at_s'])))}"
    for name in ("operation", "node_id", "credential_id", "app_id", "solution_id", "business_id", "address", "version"):
        if facts.get(name):
            yield _party(name.removesuffix("_id"), str(facts[name]), names)
    yield f"next       {facts['next_step']}"
    if facts["warning"]:
        yield f"warning    {facts['warning']}"


def _event_lines(event: "Event", names: Names) -> Iterator[str]:
    from multipartner.domain.events import EventKind  # noqa: PLC0415 - not for --help

    issued = event.kind is EventKind.TOKEN_ISSUED
    yield f"200 at station `issue`: {event.kind.value}" if issued else event.kind.value
    yield f"when       {when(event.at_s)}"
    role, _, actor = event.actor.partition(":")
    for name, value in ((role, actor), ("app", event.app_id), ("solution", event.solution_id), ("business", event.business_id)):
        if value:
            yield _party(name, value, names)
    if event.jti:
        yield f"jti        {_plain(event.jti)}"
    for name, value in event.detail.items():
        is_instant = name == "expires_at" and value.isascii() and value.isdecimal()
        label = "expires" if is_instant else name
        yield f"{_plain(label):10} {f'{when(int(value))} ({value})' if is_instant else _plain(value)}"


def _party(name: str, entity_id: str, names: Names) -> str:
    called = names.get(name)
    return f"{_plain(name):10} {_plain(entity_id)}{f'  {_plain(called)}' if called else ''}"


def _plain(text: str) -> str:
    """Text that a stranger chose, safe for a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
