"""YAML as a tree with line numbers, for files that people write. A small, safe part of YAML: no anchors, no tags, one document.

Nothing is constructed and nothing recurses, so no document can be more work than its size; every fault is reported.
"""

import functools
from collections.abc import Iterator

import msgspec
import yaml

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 16

_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"


class Fault(msgspec.Struct, frozen=True, order=True):
    """A fault of the text itself, at a line that counts from 1."""

    line: int
    text: str


class Scalar(msgspec.Struct, frozen=True):
    """A text as written; `resolved` is what YAML makes of it (`str`, `int`, `bool`, `null` ...)."""

    line: int
    text: str
    resolved: str


class Items(msgspec.Struct, frozen=True):
    """A list."""

    line: int
    items: list["Node"]


class Entries(msgspec.Struct, frozen=True):
    """A mapping with text keys; `lines` tells where each key stands."""

    line: int
    entries: dict[str, "Node"]
    lines: dict[str, int]


Node = Scalar | Items | Entries


class _Open(msgspec.Struct):
    """A container that is not closed yet; `key` waits for its value, and a repeated key's value goes nowhere."""

    node: Items | Entries
    key: str | None = None
    dropped: bool = False


def read_tree(data: bytes) -> tuple[Node | None, list[Fault]]:
    """Read one document. The node is None when there is none to speak of; the faults are in the order of the file."""
    builder = _Builder()
    try:
        for event in yaml.parse(_text_of(data), Loader=_Loader):
            builder.take(event)
    except _UnreadableError as error:
        return None, [*builder.faults, error.fault]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        return None, [*builder.faults, Fault(mark.line + 1 if mark else 1, f"is no YAML: {error.problem or error.context}")]
    except yaml.YAMLError as error:
        return None, [*builder.faults, Fault(1, "is no YAML: " + str(error).partition("\n")[0])]
    if builder.root is None and not builder.faults:
        return None, [Fault(1, "is empty")]
    return builder.root, builder.faults


def _text_of(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _UnreadableError(1, f"has more than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _UnreadableError(data.count(b"\n", 0, error.start) + 1, "is not UTF-8") from error
    nul = text.find("\0")
    if nul >= 0:
        raise _UnreadableError(text.count("\n", 0, nul) + 1, "contains a NUL")
    return text


class _UnreadableError(Exception):
    """Nothing further can be read."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.fault = Fault(line, text)


class _Builder:
    """Takes the parser's events and puts each node where it belongs."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.faults: list[Fault] = []
        self._open: list[_Open] = []
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self.faults.append(Fault(line, "has a second document"))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._place(self._open.pop().node)
        elif isinstance(event, yaml.NodeEvent):
            self.faults.extend(_forbidden(event, line))
            self._begin(event, line)

    def _begin(self, event: yaml.NodeEvent, line: int) -> None:
        if isinstance(event, yaml.CollectionStartEvent):
            if len(self._open) >= MAX_DEPTH:
                raise _UnreadableError(line, f"is nested more than {MAX_DEPTH} levels deep")
            node = Items(line, []) if isinstance(event, yaml.SequenceStartEvent) else Entries(line, {}, {})
            self._open.append(_Open(node))
        elif isinstance(event, yaml.ScalarEvent):
            self._place(Scalar(line, event.value, _resolved(event)))
        else:
            self._place(Scalar(line, "", "alias"))

    def _place(self, node: Node) -> None:
        if not self._open:
            self.root = node if self.root is None else self.root
            return
        parent = self._open[-1]
        if isinstance(parent.node, Items):
            parent.node.items.append(node)
        elif parent.key is None:
            self._key(parent, parent.node, node)
        else:
            if not parent.dropped:
                parent.node.entries[parent.key] = node
            parent.key = None

    def _key(self, parent: _Open, mapping: Entries, node: Node) -> None:
        parent.dropped = True
        parent.key = node.text if isinstance(node, Scalar) else ""
        if not isinstance(node, Scalar):
            self.faults.append(Fault(node.line, "a key must be a plain word"))
        elif node.text in mapping.lines:
            self.faults.append(
                Fault(node.line, f"{shown(node.text)} stands here a second time (first in line {mapping.lines[node.text]})")
            )
        else:
            parent.dropped = False
            mapping.lines[node.text] = node.line


def shown(text: str) -> str:
    """Text of a file, safe and short enough for a message."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")


def _forbidden(event: yaml.NodeEvent, line: int) -> Iterator[Fault]:
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        yield Fault(line, "anchors and aliases (& and *) are not accepted: write it out")
    tag = getattr(event, "tag", None)
    if tag is not None:
        yield Fault(line, f"tags such as {shown(tag)} are not accepted")


def _resolved(event: yaml.ScalarEvent) -> str:
    plain, _ = event.implicit
    return _plain_type(event.value) if plain else "str"


@functools.cache
def _resolver() -> yaml.resolver.Resolver:
    return yaml.resolver.Resolver()


def _plain_type(text: str) -> str:
    # PyYAML's own table, so that what it would read as a number or a date is told apart from text as it would.
    tag: str = _resolver().resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # its stub has no signature
    return tag.removeprefix(_TAG)
