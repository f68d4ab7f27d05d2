"""The operations that read in our document against the published one."""

from typing import Any

import pytest

from multipartner.web.openapi import document
from multipartner.web.openapi_described import Described
from multipartner.web.openapi_reads import READS
from published import needs_contract, operation_of, published, resolved

OURS_ALONE = {"getSolutionPartners", "getMe", "getApplication", "getPhoneNumber"}
"""Served because guides or the live API have them; the published document leaves them out."""

MORE_PARAMETERS = {
    "getOwnedWhatsAppBusinessAccounts": {"fields", "limit"},
    "getClientWhatsAppBusinessAccounts": {"filtering"},
}
"""What all lists of the live API take, and a guide's filter."""

STATUSES_UNSAID = {"getBusinessPortfolioSpecificFields"}
"""Published with a 200 alone."""

OURS_BESIDE = {"partners", "previous", "next"}
"""A field of solutions that guides have, and the neighbours that all other lists of the published document have."""

DOCUMENT = document("https://tokens.example", ("v21.0", "v22.0", "v23.0"))

BOTH = [operation for operation in READS if operation.id not in OURS_ALONE]


def both(described: Described) -> tuple[dict[str, Any], dict[str, Any]]:
    """The operation in our document and in the published one, without references."""
    ours, theirs = (resolved(whole, operation_of(whole, described.id)[2]) for whole in (DOCUMENT, published()))
    return ours, theirs


def _by_name(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {parameter["name"]: parameter for parameter in operation["parameters"] if parameter["in"] != "header"}


@pytest.mark.contract
@needs_contract
@pytest.mark.parametrize("described", BOTH, ids=lambda described: described.id)
def test_a_read_is_asked_for_as_published(described: Described) -> None:
    """Path, method and parameters with their shapes are the published ones, or listed here."""
    ours, theirs = map(_by_name, both(described))

    assert operation_of(DOCUMENT, described.id)[:2] == operation_of(published(), described.id)[:2]
    # One operation of the published document names its path's parameters nowhere.
    assert set(ours) - MORE_PARAMETERS.get(described.id, set()) - {"Version", described.node} == set(theirs) - {
        "Version",
        described.node,
    }
    for name in ours.keys() & theirs.keys():
        said = theirs[name]["schema"]
        for word in ("type", "enum", "minimum", "maximum", "default"):
            if word in said:
                assert ours[name]["schema"].get(word) == said[word], (name, word)


@pytest.mark.contract
@needs_contract
@pytest.mark.parametrize("described", BOTH, ids=lambda described: described.id)
def test_a_read_is_answered_as_published(described: Described) -> None:
    """Statuses are the published ones and 405; what is answered has the published names, types and words, and none besides."""
    ours, theirs = both(described)

    if described.id not in STATUSES_UNSAID:
        assert set(ours["responses"]) == set(theirs["responses"]) | {"405"}
    mine, schema = (side["responses"]["200"]["content"]["application/json"]["schema"] for side in (ours, theirs))
    _assert_within(mine, schema, described.id)


def _assert_within(mine: dict[str, Any], schema: dict[str, Any], name: str) -> None:
    """Everything that we describe is described there, and as there."""
    assert mine["type"] == schema["type"], name
    if "enum" in mine and "enum" in schema:
        assert set(mine["enum"]) <= set(schema["enum"]), name
    for member, said in mine.get("properties", {}).items():
        if member not in OURS_BESIDE and "properties" in schema:
            assert member in schema["properties"], f"{name}.{member}"
            _assert_within(said, schema["properties"][member], f"{name}.{member}")
    if "items" in mine:
        _assert_within(mine["items"], schema["items"], f"{name}[]")
