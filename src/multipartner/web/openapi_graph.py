"""All operations of `web.graph` in the OpenAPI document, put together from the files that describe some of them each."""

from collections.abc import Callable, Collection
from typing import Final

from multipartner.domain.reasons import Reason
from multipartner.web.openapi_migrations import MIGRATIONS, migration_schemas
from multipartner.web.openapi_schemas import Json
from multipartner.web.openapi_solutions import OPERATIONS, solution_paths, solution_schemas

GRAPH_OPERATIONS: Final = (*OPERATIONS, *MIGRATIONS)
"""In the order of the page at `/docs`."""


def graph_paths(refusal_answer: Callable[[int, Collection[Reason]], Json]) -> dict[str, Json]:
    """Describe them by path; see `solution_paths`."""
    return solution_paths(refusal_answer, GRAPH_OPERATIONS)


def graph_schemas() -> dict[str, Json]:
    """The schemas of their answers."""
    return {**solution_schemas(), **migration_schemas()}
