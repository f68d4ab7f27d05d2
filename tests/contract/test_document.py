"""The service's OpenAPI document against the published one, field by field."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest

from multipartner.domain.reasons import Reason
from multipartner.web.openapi import ELSEWHERE, document
from multipartner.wire import refusals
from published import needs_contract, operation_of, published, resolved

PROSE = frozenset({"description", "summary", "example", "examples", "externalDocs"})
"""Sentences and samples are each document's own."""

DIFFERENCES = {
    "parameters.header.Authorization.*": "OpenAPI ignores a parameter of this name; the security scheme says the same.",
    "parameters.header.User-Agent.*": "Not enforced: the User-Agent of no real client matches the published pattern.",
    "parameters.query.appsecret_proof.*": "Real SDKs send it, and it is checked; the published document leaves it out.",
    "responses.405.*": "Another method is answered 405 with Allow (RFC 9110); the published document is silent about it.",
    "responses.*.headers.*": "The published operation names no response headers; ours names those a client can use.",
    "security.bearerAuth.bearerFormat": "Published as JWT. Our caller tokens are opaque; the token issued is the JWT.",
}
"""Every difference that there is, as a pattern over field names, and why."""

SEEN_ON_THE_WIRE = {"Invalid OAuth access token", "Application request limit reached"}
"""What the live API itself says (captures, not prose): clients know these two messages, so ours are the same."""

VERSIONS = ("v21.0", "v22.0", "v23.0")


def flat(node: Any, name: str = "") -> Iterator[tuple[str, object]]:
    """Each leaf with its dotted name; lists of names (`required`) become sorted tuples."""
    if isinstance(node, Mapping):
        if not node:
            yield name, "{}"
        for key, value in node.items():
            if key not in PROSE or "properties" in name.rsplit(".", 1)[-1:]:
                yield from flat(value, f"{name}.{key}" if name else str(key))
    elif isinstance(node, list):
        yield name, tuple(sorted(map(str, node)))
    else:
        yield name, node


def fields(whole: Mapping[str, Any]) -> dict[str, object]:
    """All that the document says about the operation, by dotted name."""
    path, _, operation = operation_of(whole)
    operation = resolved(whole, operation)
    schemes = {name for requirement in operation["security"] for name in requirement}
    return dict(
        flat(
            {
                "path": path,
                "operationId": operation["operationId"],
                "tags": operation["tags"],
                "parameters": _by_place(operation["parameters"]),
                "requestBody": operation.get("requestBody", {}),
                "responses": operation["responses"],
                "security": {name: whole["components"]["securitySchemes"][name] for name in schemes},
            }
        )
    )


def _by_place(parameters: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    placed: dict[str, dict[str, Any]] = {}
    for parameter in parameters:
        said = {key: value for key, value in parameter.items() if key not in {"in", "name"}}
        placed.setdefault(parameter["in"], {})[parameter["name"]] = said
    return placed


@pytest.mark.contract
@needs_contract
def test_document_says_what_the_contract_says() -> None:
    """Parameters, patterns, required members, types, formats, statuses and error members are the contract's, or listed."""
    ours, theirs = fields(document("https://tokens.example", VERSIONS)), fields(published())
    differing = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}

    unexplained = {name for name in differing if not any(fnmatchcase(name, pattern) for pattern in DIFFERENCES)}
    stale = {pattern for pattern in DIFFERENCES if not any(fnmatchcase(name, pattern) for name in differing)}

    assert (set(), set()) == (unexplained, stale)
    assert len(ours.keys() & theirs.keys() - differing) > 100


@pytest.mark.contract
@needs_contract
def test_document_repeats_no_sentence_of_the_contract() -> None:
    """No description or summary of the published operation stands in our document."""
    theirs = {text for text in _sentences(operation_of(published())[2]) if len(text) > 25}
    ours = "\n".join(_sentences(document("https://tokens.example", VERSIONS)))

    assert set() == {text for text in theirs - SEEN_ON_THE_WIRE if text in ours}


def _sentences(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in {"description", "summary", "message", "error_user_msg"} and isinstance(value, str):
                yield from (line.strip() for line in value.splitlines())
            else:
                yield from _sentences(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _sentences(item)


def test_every_refusal_stands_in_the_document_once() -> None:
    """Each reason is an example under its own status, printed as a real answer is."""
    _, _, operation = operation_of(document("https://tokens.example", VERSIONS))
    told: dict[str, int] = {}
    for status, answer in operation["responses"].items():
        for example in answer["content"]["application/json"].get("examples", {}).values():
            for reason in example["description"].removeprefix("Told for: ").rstrip(".").split(", "):
                assert reason not in told
                told[reason] = int(status)
                assert example["value"]["error"]["code"] == refusals.ROWS[Reason(reason)].code

    assert {reason.value: refusals.ROWS[reason].status for reason in Reason if reason not in ELSEWHERE} == told
