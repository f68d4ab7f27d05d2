"""All operations of `web.graph` in the OpenAPI document, put together from the files that describe some of them each."""

from collections.abc import Callable, Collection
from typing import Final

from multipartner.domain.reasons import Reason
from multipartner.web.openapi_described import paths_of
from multipartner.web.openapi_migrations import MIGRATIONS, migration_schemas
from multipartner.web.openapi_reads import READS, read_schemas
from multipartner.web.openapi_schemas import Json
from multipartner.web.openapi_solutions import OPERATIONS, solution_schemas
from multipartner.web.openapi_tokens import TOKEN_OPERATIONS, token_schemas

LIFE_OPERATIONS: Final = (*OPERATIONS, *MIGRATIONS)
"""What is made, accepted, moved and ended, in the order of the page at `/docs`."""

GRAPH_OPERATIONS: Final = (*LIFE_OPERATIONS, *READS, *TOKEN_OPERATIONS)


def graph_paths(refusal_answer: Callable[[int, Collection[Reason]], Json]) -> dict[str, dict[str, Json]]:
    """Describe them by path and method; see `paths_of`."""
    return paths_of(GRAPH_OPERATIONS, refusal_answer)


def graph_schemas() -> dict[str, Json]:
    """The schemas of their answers."""
    return {**solution_schemas(), **migration_schemas(), **read_schemas(), **token_schemas()}
