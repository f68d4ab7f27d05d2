"""Requests to all operations but the token's: what the path names, and the parameters of query and body together.

Parameters that an operation does not know are ignored, as the Graph API ignores them; those it knows come once, in one place.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from multipartner.domain.model import Secret
from multipartner.domain.reasons import Reason, Refusal
from multipartner.wire.ask import BAD_ESCAPE, ID_PATTERN, VERSION_PATTERN, bearer_of, unquoted

CREDENTIALS: Final = frozenset({"access_token", "appsecret_proof"})

ME: Final = "me"
"""In place of a user's id: whoever the credential is of."""

USER_PATTERN: Final = rf"({ID_PATTERN}(\.{ID_PATTERN})?|{ME})"
"""A system user's id, or the subject of a granular token: `business.app`."""

_WHOLE: Final = re.compile(rb"/([^/]*)(/.*)")
_SHAPE: Final = re.compile(rb"/([^/]*)(?:/([^/]+)(?:/([^/]+))?)?")
_VERSION: Final = re.compile(VERSION_PATTERN.encode())
_ID: Final = re.compile(ID_PATTERN)
_USER: Final = re.compile(USER_PATTERN)
_OF_USERS: Final = "permissions"


class ParameterRefused(Exception):  # noqa: N818 - a verdict
    """A parameter is missing or has another shape; `refusal` says which one."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason.value)
        self.refusal = refusal


class Place(msgspec.Struct, frozen=True):
    """What a path names besides its edge. `version` is the one that answers; `item` is what stands behind the edge."""

    version: str
    node_id: str
    item: str = ""


class PathParser:
    """Reads paths for a list of served versions; `edges` are those that exist.

    "" is a node itself, "permissions/{permission}" an edge with an item behind it. One that begins with a slash, such as
    "/debug_token", is of no node, and its node_id is empty; it is served without a version too, as the oldest one (facts:
    graph-wire 6, B).
    """

    def __init__(self, answering: Mapping[str, str], edges: Collection[str]) -> None:
        self._answering = {asked.encode(): answered for asked, answered in answering.items()}
        self._of_none = {edge.encode(): edge for edge in edges if edge.startswith("/")}
        self._with_item = {edge.partition("/{")[0].encode(): edge for edge in edges if "{" in edge}
        self._edges = {edge.encode(): edge for edge in edges if not edge.startswith("/") and "{" not in edge}

    def __call__(self, raw_path: bytes) -> tuple[str, Place | Refusal]:
        """Parse a path as received: the edge that it has ("" for none), and the place or what is wrong with it.

        What is no path of ours is told before what is malformed.
        """
        if raw_path in self._of_none:
            return self._of_none[raw_path], Place(next(iter(self._answering.values())), "")
        whole = _WHOLE.fullmatch(raw_path)
        if whole is None:
            return "", Refusal(Reason.UNKNOWN_PATH)
        of_none = self._of_none.get(whole[2])
        if of_none is not None:
            return of_none, self._bad_version(whole[1], of_none) or Place(self._answering[whole[1]], "")
        shape = _SHAPE.fullmatch(whole[2])
        if shape is None:
            return "", Refusal(Reason.UNKNOWN_PATH)
        edge = (self._with_item if shape[3] else self._edges).get(shape[2] or b"")
        if edge is None:
            return "", Refusal(Reason.UNKNOWN_PATH)
        return edge, self._place(whole[1], shape[1].decode("latin-1"), edge, (shape[3] or b"").decode("latin-1"))

    def _bad_version(self, asked: bytes, edge: str) -> Refusal | None:
        if _VERSION.fullmatch(asked) is None:
            # Any two words have the shape of a node's path; of a node's edge's there are few, so that one was meant.
            return Refusal(Reason.MALFORMED_VERSION if edge and not edge.startswith("/") else Reason.UNKNOWN_PATH)
        return None if asked in self._answering else Refusal(Reason.UNKNOWN_VERSION)

    def _place(self, asked: bytes, node_id: str, edge: str, item: str) -> Place | Refusal:
        refusal = self._bad_version(asked, edge)
        if refusal is not None:
            return refusal
        is_id = (_USER if edge.startswith(_OF_USERS) else _ID).fullmatch(node_id)
        return Place(self._answering[asked], node_id, item) if is_id else Refusal(Reason.MALFORMED_NODE_ID)


def query_parameters(query: bytes, known: Collection[str]) -> dict[str, str]:
    """Pick the known parameters; raises ParameterRefused for what two parsers could read in two ways (attack 6)."""
    if BAD_ESCAPE.search(query):
        raise ParameterRefused(Refusal(Reason.MALFORMED_QUERY))
    found: dict[str, str] = {}
    try:
        for name, value in unquoted(query):
            _put(found, name.decode(), value.decode(), known)
    except UnicodeDecodeError as error:
        raise ParameterRefused(Refusal(Reason.MALFORMED_QUERY)) from error
    return found


def merged(query: Mapping[str, str], body: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Put the known parameters of the body beside the query's; raises ParameterRefused when one is in both."""
    found: dict[str, Any] = dict(query)
    for name, value in body.items():
        _put(found, name, value, known)
    return found


def _put(found: dict[str, Any], name: str, value: object, known: Collection[str]) -> None:
    bare = name.partition("[")[0]
    if bare not in known:
        return
    if name != bare or bare in found:
        raise ParameterRefused(Refusal(Reason.REPEATED_PARAMETER, fact=bare))
    found[bare] = value


def credentials(
    found: dict[str, Any], authorization: bytes | None, *, in_query: bool
) -> tuple[Secret | None, Secret | None, bool]:
    """Take token and proof out of the parameters: bearer, proof, and whether the token came in the query."""
    token, proof = Parameters(found).text("access_token"), Parameters(found).text("appsecret_proof")
    for name in CREDENTIALS:
        found.pop(name, None)
    if token is not None and authorization is not None:
        raise ParameterRefused(Refusal(Reason.TWO_CREDENTIALS))
    bearer = bearer_of(authorization) if token is None else Secret(token)
    return bearer, None if proof is None else Secret(proof), token is not None and in_query


class Parameters:
    """Typed access to what came. Every method gives None for what was not sent, and raises ParameterRefused for another shape."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._found = found

    def text(self, name: str, most: int | None = None) -> str | None:
        """A text of at most so many characters."""
        value = self._found.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or (most is not None and len(value) > most):
            raise _invalid(name)
        return value

    def id(self, name: str) -> str | None:
        """An id: digits as a text. A JSON number is refused: half of the world's parsers would round it."""
        value = self.text(name)
        if value is not None and _ID.fullmatch(value) is None:
            raise _invalid(name)
        return value

    def number(self, name: str, most: int) -> int | None:
        """A whole number from 1 to `most`, in plain ASCII digits."""
        value = self.text(name, len(str(most)))
        if value is None:
            return None
        if _ID.fullmatch(value) is None or not 1 <= int(value) <= most:
            raise _invalid(name)
        return int(value)

    def needed_id(self, name: str) -> str:
        """An id that must be there."""
        return _needed(name, self.id(name))

    def needed_text(self, name: str) -> str:
        """A text that must be there."""
        return _needed(name, self.text(name))

    def needed_secret(self, name: str) -> Secret:
        """A text that must be there, and prints nowhere."""
        return Secret(self.needed_text(name))

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """One of the contract's words."""
        value = self.text(name)
        if value is not None and value not in choices:
            raise _invalid(name)
        return value

    def flag(self, name: str) -> bool | None:
        """A boolean; in a form it is `true` or `false`."""
        value = self._found.get(name)
        if value is None:
            return None
        value = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
        if type(value) is not bool:
            raise _invalid(name)
        return value

    def words(self, name: str, choices: Collection[str], most: int) -> tuple[str, ...] | None:
        """A list of the contract's words without repetition; in a form or query it is a JSON array."""
        value = self._found.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            try:
                value = msgspec.json.decode(value)
            except msgspec.DecodeError as error:
                raise _invalid(name) from error
        if not isinstance(value, list) or len(value) > most or not all(type(w) is str and w in choices for w in value):
            raise _invalid(name)
        if len(set(value)) != len(value):
            raise _invalid(name)
        return tuple(value)


def _needed(name: str, value: str | None) -> str:
    if value is None:
        raise ParameterRefused(Refusal(Reason.MISSING_PARAMETER, parameter=name))
    return value


def _invalid(name: str) -> ParameterRefused:
    return ParameterRefused(Refusal(Reason.INVALID_PARAMETER, fact=name, parameter=name))
