"""The tables of docs/corridor.md as the code knows them. Run this file to write them anew after a change of the code."""

import re

from docs.pages import DOCS
from multipartner.domain.reasons import RULES, Reason
from multipartner.wire.refusals import ROWS
from test_walls import MAY_IMPORT

CORRIDOR = DOCS / "corridor.md"

SENTENCES = {
    "domain": "what is true and what follows; no clock, no I/O, no async",
    "wire": "the published contract as data, both directions; the refusal table",
    "crypto": "bytes in, bytes out: signing, sealing, fingerprints",
    "storage": "keeps facts and trail; `ports` say what is asked of it",
    "issuing": "the corridor, its caches, its limiter; introspection",
    "partnering": "what changes the facts, each change with its event in one transaction; world files",
    "web": "HTTP: guard, routes, OAuth endpoints, `/docs`, logs, metrics",
    "verify": "for resource servers: is this token good for this WABA",
    "client": "keeps granular tokens fresh: one flow, threads that fetch, a sealed store; needs nothing of the server",
    "worlds": "the bundled demo world, a file",
    "settings": "the environment is read here",
    "keyfile": "a file of keys: the master key's, the token store's",
}


def precedence() -> list[tuple[str, ...]]:
    """One row for each reason, in order: reason, station, status, type, code, subcode, transient."""
    return [
        (
            f"`{reason.value}`",
            RULES[reason].station.value,
            str(row.status),
            row.type,
            str(row.code),
            str(row.error_subcode or ""),
            "yes" if row.is_transient else "",
        )
        for reason, row in ((reason, ROWS[reason]) for reason in Reason)
    ]


def rooms() -> list[tuple[str, ...]]:
    """One row for each room of the walls' table: room, a sentence, what it may import."""
    return [
        (f"`{room}`", SENTENCES.get(room, "?"), ", ".join(f"`{door}`" for door in sorted(doors)) or "nothing of ours")
        for room, doors in MAY_IMPORT.items()
    ]


def write() -> None:
    text = CORRIDOR.read_text("utf-8")
    for title, rows in (("reason", precedence()), ("room", rooms())):
        lines = "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
        head = rf"(^\| {title} \|.*\n\|[ |-]+\n)(?:\|.*\n)*"
        text = re.sub(head, rf"\g<1>{lines}", text, flags=re.MULTILINE)
    CORRIDOR.write_text(text, "utf-8")


if __name__ == "__main__":
    write()
