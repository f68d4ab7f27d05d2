"""The operations of a solution's life in our document against the published one."""

from typing import Any

import pytest

from multipartner.domain.reasons import Reason
from multipartner.web.graph_migrations import MigrationLife
from multipartner.web.graph_operations import together
from multipartner.web.graph_reads import Reads
from multipartner.web.graph_solutions import SolutionLife
from multipartner.web.graph_tokens import TokenLife
from multipartner.web.openapi import TOKEN_REASONS, document
from multipartner.web.openapi_described import Described, names_in, reasons_of
from multipartner.web.openapi_graph import GRAPH_OPERATIONS, LIFE_OPERATIONS
from published import needs_contract, operation_of, published, resolved

MAY_BE_ABSENT = {
    "acceptWhatsAppBusinessSolution": {"partner_app_id"},
    "rejectSolutionRequest": {"request_type"},
    "rejectSolutionDeactivationRequest": {"reject_deactivation_request"},
    "setSolutionMigrationIntent": {"migration_intent"},
}
"""Members that the published document demands and guides do without: absent, they mean what the guide means."""

GUIDES_MEMBERS = {"setSolutionMigrationIntent": {"id"}, "getMigrationIntentDetails": {"solution", "destination_waba"}}
GUIDES_MEMBERS_OF_SOLUTIONS = {"partners"}
"""Members of answers that guides have and the published schemas have not."""

BY_NODE = {"getMigrationIntentDetails"}
"""Served by the one operation that reads nodes, as `getSolutionDetails` is."""

DOCUMENT = document("https://tokens.example", ("v21.0", "v22.0", "v23.0"))


BOTH = LIFE_OPERATIONS
"""What tests of their own compare is not here: the operations that read, and those that the contract does not have."""


def both(described: Described) -> tuple[dict[str, Any], dict[str, Any]]:
    """The operation in our document and in the published one, without references."""
    ours, theirs = (resolved(whole, operation_of(whole, described.id)[2]) for whole in (DOCUMENT, published()))
    return ours, theirs


@pytest.mark.contract
@needs_contract
@pytest.mark.parametrize("described", BOTH, ids=lambda described: described.id)
def test_an_operation_is_asked_for_as_published(described: Described) -> None:
    """Path, method, parameters, and the members of a body with their shapes are the published ones, or listed here."""
    ours, theirs = both(described)

    assert operation_of(DOCUMENT, described.id)[:2] == operation_of(published(), described.id)[:2]
    named = {parameter["name"] for parameter in theirs["parameters"] if parameter["in"] != "header"}
    assert {parameter["name"] for parameter in ours["parameters"]} == named
    if "requestBody" in theirs:
        (schema,) = [content["schema"] for content in theirs["requestBody"]["content"].values()]
        for content in ours["requestBody"]["content"].values():
            mine = content["schema"]
            assert set(mine["properties"]) == set(schema.get("properties", {}))
            assert set(schema.get("required", ())) - set(mine["required"]) == MAY_BE_ABSENT.get(described.id, set())
            for name, said in schema.get("properties", {}).items():
                for word in ("type", "pattern", "enum", "minLength", "maxItems"):
                    assert mine["properties"][name].get(word) == said.get(word), (name, word)


@pytest.mark.contract
@needs_contract
@pytest.mark.parametrize("described", BOTH, ids=lambda described: described.id)
def test_an_operation_is_answered_as_published(described: Described) -> None:
    """Statuses are the published ones and 405; an answer has the published members, with their types and words."""
    ours, theirs = both(described)

    assert set(ours["responses"]) == set(theirs["responses"]) | {"405"}
    mine, schema = (side["responses"]["200"]["content"]["application/json"]["schema"] for side in (ours, theirs))
    guides = GUIDES_MEMBERS.get(described.id, GUIDES_MEMBERS_OF_SOLUTIONS)
    assert set(mine["properties"]) - guides == set(schema["properties"])
    for name, said in schema["properties"].items():
        assert mine["properties"][name]["type"] == said["type"], name
        if "enum" in mine["properties"][name]:
            assert set(mine["properties"][name]["enum"]) <= set(said["enum"]), name


def test_what_is_served_is_described() -> None:
    """Every operation that the service has stands in the document under its path and method, and no other one.

    One operation reads whatever an id names; the document has it once for each kind of thing.
    """
    nothing: Any = None
    lives = (SolutionLife(nothing), MigrationLife(nothing), Reads(nothing, nothing, ""), TokenLife(nothing, nothing))
    operations = together(*(life.operations() for life in lives))
    served = {
        (operation.id if edge else "", method.lower(), edge, operation.parameters)
        for edge, methods in operations.items()
        for method, operation in methods.items()
    }

    assert served == {
        (told.id, told.method, told.edge, frozenset(names_in(told)) - {str(item["name"]) for item in told.items})
        for told in GRAPH_OPERATIONS
        if told.edge
    } | {("", "get", "", frozenset({"fields"}))}


def test_every_reason_belongs_to_an_operation() -> None:
    """No refusal is left that no operation of the document tells of."""
    assert {reason for described in GRAPH_OPERATIONS for reason in reasons_of(described)} | set(TOKEN_REASONS) == set(Reason)
