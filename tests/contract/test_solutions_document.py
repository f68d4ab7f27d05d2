"""The operations of a solution's life in our document against the published one."""

from typing import Any

import pytest

from multipartner.domain.reasons import Reason
from multipartner.web.graph_operations import together
from multipartner.web.graph_reads import Reads
from multipartner.web.graph_solutions import SolutionLife
from multipartner.web.openapi import TOKEN_REASONS, document
from multipartner.web.openapi_described import Described, reasons_of
from multipartner.web.openapi_reads import READS
from multipartner.web.openapi_solutions import OPERATIONS
from published import needs_contract, operation_of, published, resolved

MAY_BE_ABSENT = {
    "acceptWhatsAppBusinessSolution": {"partner_app_id"},
    "rejectSolutionRequest": {"request_type"},
    "rejectSolutionDeactivationRequest": {"reject_deactivation_request"},
}
"""Members that the published document demands and guides do without: absent, they mean what the guide means."""

MAY_BE_ASKED_FOR = {"partners"}
"""Fields of a solution that guides have and the published schema has not."""

DOCUMENT = document("https://tokens.example", ("v21.0", "v22.0", "v23.0"))


def both(described: Described) -> tuple[dict[str, Any], dict[str, Any]]:
    """The operation in our document and in the published one, without references."""
    ours, theirs = (resolved(whole, operation_of(whole, described.id)[2]) for whole in (DOCUMENT, published()))
    return ours, theirs


@pytest.mark.contract
@needs_contract
@pytest.mark.parametrize("described", OPERATIONS, ids=lambda described: described.id)
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
@pytest.mark.parametrize("described", OPERATIONS, ids=lambda described: described.id)
def test_an_operation_is_answered_as_published(described: Described) -> None:
    """Statuses are the published ones and 405; an answer has the published members, with their types and words."""
    ours, theirs = both(described)

    assert set(ours["responses"]) == set(theirs["responses"]) | {"405"}
    mine, schema = (side["responses"]["200"]["content"]["application/json"]["schema"] for side in (ours, theirs))
    assert set(mine["properties"]) - MAY_BE_ASKED_FOR == set(schema["properties"])
    for name, said in schema["properties"].items():
        assert mine["properties"][name]["type"] == said["type"], name
        if "enum" in mine["properties"][name]:
            assert set(mine["properties"][name]["enum"]) <= set(said["enum"]), name


def test_what_is_served_is_described() -> None:
    """Every operation that the service has stands in the document under its path and method, and no other one.

    One operation reads whatever an id names; the document has it once for each kind of thing.
    """
    nothing: Any = None
    operations = together(SolutionLife(nothing).operations(), Reads(nothing, nothing, "").operations())
    served = {
        (operation.id if edge else "", method.lower(), edge)
        for edge, methods in operations.items()
        for method, operation in methods.items()
    }
    known = {(described.id if described.edge else "", described.method, described.edge) for described in (*OPERATIONS, *READS)}

    assert served == known


def test_every_reason_belongs_to_an_operation() -> None:
    """No refusal is left that no operation of the document tells of."""
    assert {reason for described in (*OPERATIONS, *READS) for reason in reasons_of(described)} | set(TOKEN_REASONS) == set(Reason)
