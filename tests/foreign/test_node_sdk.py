"""The official Node SDK, as published."""

from typing import Any

import pytest

from nodejs import needs_node, node
from running import Running, running

__all__ = ["running"]

pytestmark = [pytest.mark.foreign, needs_node]


def asked(demo: Running, outcome: int, token: str | None = None) -> Any:
    known = {"url": demo.url, "solution": demo.solution_id, "business": demo.business[outcome]}
    return node("sdk.mjs", known | {"token": token or demo.owner.caller_token})


def test_node_sdk_gets_a_token(running: Running) -> None:
    """The official Node SDK, which puts the token in the query and `{}` in the body, gets a granular token."""
    told = asked(running, 200)

    assert told["token"].count(".") == 2
    assert told["expiresAt"] > 1_700_000_000


@pytest.mark.parametrize(("outcome", "code", "subcode"), [(403, 200, 1349174), (404, 803, None), (422, 100, None)])
def test_node_sdk_reads_each_refusal(running: Running, outcome: int, code: int, subcode: int | None) -> None:
    """403, 404 and 422 arrive as its own FacebookRequestError with status, code and subcode."""
    told = asked(running, outcome)

    assert (told["name"], told["status"], told["code"], told["subcode"]) == ("FacebookRequestError", outcome, code, subcode)


def test_node_sdk_reads_an_invalid_token(running: Running) -> None:
    """401/190 arrives as its own FacebookRequestError."""
    told = asked(running, 200, "no token")

    assert (told["name"], told["status"], told["code"]) == ("FacebookRequestError", 401, 190)
