"""Bodies of changing operations: JSON, form and multipart, each a set of named values (facts: graph-wire 3, B/C).

Nothing is guessed: a name that comes twice, a part that is a file, text that is not UTF-8 are refused (attacks 6, 10, 55).
"""

import json
import re
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from multipartner.domain.reasons import Reason, Refusal

MAX_BODY_BYTES: Final = 65_536
MAX_FIELDS: Final = 50

JSON, FORM, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"


class BodyRefused(Exception):  # noqa: N818 - a verdict
    """The body cannot be read; `refusal` says why."""

    def __init__(self, fact: str, reason: Reason = Reason.MALFORMED_BODY) -> None:
        super().__init__(fact)
        self.refusal = Refusal(reason, fact=fact)


def parameters_in(content_type: bytes, body: bytes) -> dict[str, Any]:
    """Read the values by name: texts, or whatever JSON has. An absent body has none. Raises BodyRefused."""
    if not body:
        return {}
    kind, options = parse_options_header(content_type)
    match kind.decode("latin-1").lower():
        case "application/json":
            return _json(body)
        case "application/x-www-form-urlencoded":
            return _form(body)
        case "multipart/form-data":
            return _multipart(body, options.get(b"boundary", b""))
    raise BodyRefused("the media type is neither JSON nor a form")


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number)
        # A lone surrogate can be written in JSON, and nowhere else.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BodyRefused("the body is not JSON in UTF-8") from error
    if not isinstance(value, dict):
        raise BodyRefused("the body is JSON, and no object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BodyRefused("a member comes twice", Reason.REPEATED_PARAMETER)
    return found


def _no_number(_name: str) -> NoReturn:
    raise BodyRefused("the body has a number that JSON does not know")


def _form(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise BodyRefused("the body is not a form in UTF-8") from error
    return _once(pairs)


def _multipart(body: bytes, boundary: bytes) -> dict[str, Any]:
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise BodyRefused("the body is not multipart/form-data") from error
    if not parts.ended:
        raise BodyRefused("the body ends before its last boundary")
    try:
        return _once([(name.decode(), value.decode()) for name, value in parts.found])
    except UnicodeDecodeError as error:
        raise BodyRefused("a part is not text in UTF-8") from error


_DISPOSITION: Final = re.compile(rb'form-data[ \t]*;[ \t]*name=(?:"([^"\\]+)"|([\w.-]+))', re.IGNORECASE)
"""One name and nothing else: of two names, or of one in another charset, another reader may take the other one."""


class _Parts:
    """Collects the parts of a multipart body: named texts, no files."""

    def __init__(self) -> None:
        self.found: list[tuple[bytes, bytes]] = []
        self.ended = False
        self._name = b""
        self._field = self._value = b""
        self._data: list[bytes] = []
        self.callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._part_data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.found) == MAX_FIELDS:
            raise BodyRefused(f"the body has more than {MAX_FIELDS} parts")
        self._name, self._data = b"", []

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            said = _DISPOSITION.fullmatch(self._value)
            if said is None or self._name:
                raise BodyRefused("a part is a file, or has more or less than one name")
            self._name = said[1] or said[2]
        self._field = self._value = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _end(self) -> None:
        if not self._name:
            raise BodyRefused("a part has no name")
        self.found.append((self._name, b"".join(self._data)))

    def _finish(self) -> None:
        self.ended = True
