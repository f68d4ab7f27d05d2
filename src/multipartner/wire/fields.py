"""The `fields` parameter, `name,status,owner_app{id,name}`: reading it, and printing a node by it (facts: graph-wire 3, B).

Bounded in length, depth and number. Modifiers such as `.limit(5)` are not served.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from multipartner.domain.reasons import Reason, Refusal
from multipartner.wire.graph_ask import ParameterRefused

MOST_CHARS: Final = 1000
MOST_DEPTH: Final = 4
MOST_NAMES: Final = 100

_WORD: Final = re.compile("[A-Za-z0-9_]+")
_PIECES: Final = re.compile("[A-Za-z0-9_]+|.", re.DOTALL)


class Chosen(msgspec.Struct, frozen=True):
    """The fields that were asked for, each with those inside it; None where it was named alone."""

    inside: Mapping[str, "Chosen | None"]


class Field(msgspec.Struct, frozen=True):
    """How a field is read off a node. With `kind` it is another node, or with `many` a list of such under `data`."""

    value: Callable[[Any], Any]
    kind: "Kind | None" = None
    many: bool = False


class Kind(msgspec.Struct, frozen=True):
    """What nodes of one kind can be asked for, and what they tell unasked."""

    fields: Mapping[str, Field]
    default: tuple[str, ...]


def chosen(kind: Kind, text: str | None) -> Chosen | Refusal:
    """Read the parameter for one kind of node; absent or empty it means the default. A node's id is always told.

    What this kind does not have is refused with FIELDS_UNAVAILABLE. Raises ParameterRefused for another shape.
    """
    if not text:
        return default(kind)
    asked = read(text)
    return asked if _has(kind, asked) else Refusal(Reason.FIELDS_UNAVAILABLE)


def default(kind: Kind) -> Chosen:
    """What a kind of node tells unasked."""
    return Chosen(dict.fromkeys(kind.default))


def read(text: str) -> Chosen:
    """Read the parameter's shape alone. Raises ParameterRefused."""
    pieces = _PIECES.findall(text) if len(text) <= MOST_CHARS else []
    if not pieces or sum(1 for piece in pieces if _WORD.fullmatch(piece)) > MOST_NAMES:
        raise _refused()
    rest = iter([*pieces, ""])
    asked, end = _fields(rest, 1)
    if end:
        raise _refused()
    return asked


def printed(kind: Kind, node: object, asked: Chosen) -> dict[str, Any]:
    """Read the fields off a node, its id first."""
    names = asked.inside if "id" in asked.inside or "id" not in kind.fields else {"id": None, **asked.inside}
    return {name: _value(kind.fields[name], node, inside) for name, inside in names.items()}


def _value(field: Field, node: object, inside: Chosen | None) -> object:
    value, kind = field.value(node), field.kind
    if kind is None:
        return value
    wanted = inside or default(kind)
    return {"data": [printed(kind, item, wanted) for item in value]} if field.many else printed(kind, value, wanted)


def _has(kind: Kind, asked: Chosen) -> bool:
    for name, inside in asked.inside.items():
        field = kind.fields.get(name)
        if field is None or (inside is not None and (field.kind is None or not _has(field.kind, inside))):
            return False
    return True


def _fields(rest: Iterator[str], depth: int) -> tuple[Chosen, str]:
    """Read names until a brace closes or the text ends; also returns which of the two it was."""
    found: dict[str, Chosen | None] = {}
    while True:
        name = next(rest)
        if not _WORD.fullmatch(name) or depth > MOST_DEPTH:
            raise _refused()
        inside, end = None, next(rest)
        if end == "{":
            inside, closed = _fields(rest, depth + 1)
            if closed != "}":
                raise _refused()
            end = next(rest)
        if name in found and found[name] != inside:
            raise _refused()
        found[name] = inside
        if end in {"}", ""}:
            return Chosen(found), end
        if end != ",":
            raise _refused()


def _refused() -> ParameterRefused:
    return ParameterRefused(Refusal(Reason.INVALID_PARAMETER, fact="fields", parameter="fields"))
