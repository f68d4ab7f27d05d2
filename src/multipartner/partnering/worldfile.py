"""World files: YAML to a world with every fault at its line, and a world back to YAML."""

import enum
import re
import types
import typing
from collections.abc import Iterable

import msgspec
import yaml

from multipartner.domain import world as w
from multipartner.domain.world_rules import Contradiction, Path, Problem, problems
from multipartner.domain.world_unsaid import Unsaid
from multipartner.partnering.yamltree import Entries, Items, Node, Scalar, read_tree, shown

MAX_REPORTED = 200


class WorldFileRefused(Exception):  # noqa: N818 - a verdict
    """A world file is wrong; `faults` has one line each: `file.yaml:12: shares[0].wabas[1]: what is wrong`."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class WorldFile(msgspec.Struct, frozen=True):
    """A world in its normal form, what its file leaves unsaid, and the path and line of each entity by section and id."""

    name: str
    world: w.World
    unsaid: Unsaid
    places: dict[tuple[str, str], tuple[Path, int]]

    def refusal(self, contradictions: Iterable[Contradiction]) -> WorldFileRefused:
        """What this file says against facts, told with lines as its own faults are."""
        found = [(self.places[c.section, c.id], c.text) for c in contradictions]
        return WorldFileRefused(_report(self.name, sorted((line, f"{_dotted(path)}: {text}") for (path, line), text in found)))


def parse(data: bytes, name: str) -> w.World:
    """Read a world file into its normal form, as it stands for itself; `name` is only for messages. Raises as `read` does."""
    return read(data, name)[0]


def read(data: bytes, name: str) -> tuple[w.World, Unsaid]:
    """Read a world file: the world in its normal form, and what the file leaves unsaid of it. Raises as `read_file` does."""
    file = read_file(data, name)
    return file.world, file.unsaid


def read_file(data: bytes, name: str) -> WorldFile:
    """Read a world file, to be applied. Raises WorldFileRefused with every fault."""
    tree, text_faults = read_tree(data)
    faults = [(fault.line, fault.text) for fault in text_faults]
    if tree is not None:
        reader = _Reader()
        world = reader.world(tree)
        faults.extend(reader.faults)
        faults.extend((reader.line_of(p.path), f"{_dotted(p.path)}: {p.text}") for p in problems(world) if not reader.explains(p))
        if not faults:
            return WorldFile(name, w.normal(world), reader.unsaid(world), reader.places(world))
    raise WorldFileRefused(_report(name, sorted(set(faults))))


def dump(world: w.World) -> str:
    """Write a world, in its normal form, as a world file: the same world gives the same text."""
    plain = msgspec.to_builtins(w.normal(world), builtin_types=())
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**30, default_flow_style=False)


class _Dumper(yaml.SafeDumper):
    """Writes out what repeats: a world file has no anchors."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the overridden method's shape
        return True


def _report(name: str, faults: list[tuple[int, str]]) -> list[str]:
    lines = [f"{name}:{line}: {text}" for line, text in faults[:MAX_REPORTED]]
    if len(faults) > MAX_REPORTED:
        lines.append(f"{name}: and {len(faults) - MAX_REPORTED} more")
    return lines


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _Reader:
    """Turns nodes into the values of `domain.world` by their declared types.

    What cannot be read gets a stand-in, so that the rest can still be judged; `explains` knows complaints about stand-ins.
    """

    def __init__(self) -> None:
        self.faults: list[tuple[int, str]] = []
        self._faulty: set[Path] = set()
        self._above_faulty: set[Path] = set()
        self._lines: dict[Path, int] = {}

    def world(self, tree: Node) -> w.World:
        return typing.cast("w.World", self._read(tree, w.World, ()))

    def line_of(self, path: Path) -> int:
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def unsaid(self, world: w.World) -> Unsaid:
        shares = [(i, (share.business, share.solution)) for i, share in enumerate(world.shares)]
        return Unsaid(
            apps=frozenset(app.id for i, app in enumerate(world.apps) if ("apps", i, "status") not in self._lines),
            solutions=frozenset(s.id for i, s in enumerate(world.solutions) if ("solutions", i, "status") not in self._lines),
            shares=frozenset(key for i, key in shares if ("shares", i, "status") not in self._lines),
            revoked_apps=frozenset(key for i, key in shares if ("shares", i, "revoked_apps") not in self._lines),
        )

    def places(self, world: w.World) -> dict[tuple[str, str], tuple[Path, int]]:
        wabas = [(("businesses", i, "wabas", j), waba) for i, b in enumerate(world.businesses) for j, waba in enumerate(b.wabas)]
        entities: list[tuple[Path, str]] = [(at, waba.id) for at, waba in wabas]
        entities += [((*at, "phone_numbers", k), n.id) for at, waba in wabas for k, n in enumerate(waba.phone_numbers)]
        for section in ("businesses", "apps", "system_users", "solutions"):
            entities += [((section, i), entity.id) for i, entity in enumerate(getattr(world, section))]
        return {(str(path[-2]), entity_id): (path, self._lines[path]) for path, entity_id in entities}

    def explains(self, problem: Problem) -> bool:
        path = problem.path
        if path in self._above_faulty or (problem.refers_to and (problem.refers_to,) in self._above_faulty):
            return True
        return any(path[:length] in self._faulty for length in range(len(path)))

    def _fault(self, node: Node, path: Path, text: str) -> None:
        self._faulty.add(path)
        self._above_faulty.update(path[:length] for length in range(len(path) + 1))
        self.faults.append((node.line, f"{_dotted(path)}: {text}" if path else text))

    def _read(self, node: Node, kind: object, path: Path) -> object:
        self._lines.setdefault(path, node.line)
        kind = _bare(kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._struct(node, kind, path)
        if typing.get_origin(kind) is tuple:
            return self._tuple(node, typing.get_args(kind)[0], path)
        if not isinstance(node, Scalar):
            self._fault(node, path, f"must be {_WORDS[_scalar(kind)]}, not a {'list' if isinstance(node, Items) else 'mapping'}")
            return _stand_in(kind)
        return self._scalar(node, kind, path)

    def _struct(self, node: Node, kind: type[msgspec.Struct], path: Path) -> object:
        entries: dict[str, Node] = {}
        if isinstance(node, Entries):
            entries = node.entries
        else:
            self._fault(node, path, "must be a mapping")
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        for key, value in entries.items():
            if key not in fields:
                self._fault(value, (*path, shown(key)), f"no such key here; there are {', '.join(fields)}")
        values: dict[str, object] = {}
        for name, field in fields.items():
            if name in entries:
                values[name] = self._read(entries[name], field.type, (*path, name))
            elif field.required:
                if isinstance(node, Entries):
                    self._fault(node, (*path, name), "is missing")
                values[name] = _stand_in(field.type)
        return kind(**values)

    def _tuple(self, node: Node, kind: object, path: Path) -> object:
        if not isinstance(node, Items):
            self._fault(node, path, "must be a list")
            return ()
        return tuple(self._read(item, kind, (*path, i)) for i, item in enumerate(node.items))

    def _scalar(self, node: Scalar, kind: object, path: Path) -> object:
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return self._member(node, kind, path)
        wanted = _scalar(kind)
        if wanted is str and node.resolved == "str":
            return node.text
        if wanted is bool and node.resolved == "bool" and node.text in {"true", "false"}:
            return node.text == "true"
        if wanted is int and node.resolved == "int" and _WHOLE.fullmatch(node.text):
            return int(node.text)
        if wanted is str and node.resolved != "alias":
            read_as = _READ_AS.get(node.resolved, "no text")
            self._fault(node, path, f"must be in quotes: {shown(node.text)} (without them YAML reads {read_as})")
        else:
            self._fault(node, path, f"must be {_WORDS[wanted]}")
        return _stand_in(kind)

    def _member(self, node: Scalar, kind: type[enum.Enum], path: Path) -> object:
        for member in kind:
            if node.resolved == "str" and member.value == node.text:
                return member
        self._fault(node, path, f"must be one of {', '.join(m.value for m in kind)}, not {shown(node.text)}")
        return _stand_in(kind)


_WHOLE = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_WORDS = {str: "a text", bool: "true or false", int: "a whole number"}
_READ_AS = {"int": "a number", "float": "a number", "bool": "true or false", "null": "nothing", "timestamp": "a date"}


def _bare(kind: object) -> object:
    """Look under a NewType, and beside a None."""
    if isinstance(kind, typing.NewType):
        return kind.__supertype__
    if isinstance(kind, types.UnionType):
        return next(arg for arg in typing.get_args(kind) if arg is not types.NoneType)
    return kind


def _scalar(kind: object) -> type:
    return kind if kind in {bool, int} and isinstance(kind, type) else str


def _stand_in(kind: object) -> object:
    kind = _bare(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{f.name: _stand_in(f.type) for f in msgspec.structs.fields(kind) if f.required})
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind))
    if typing.get_origin(kind) is tuple:
        return ()
    return _scalar(kind)()
