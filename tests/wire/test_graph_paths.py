"""Paths of all operations but the token's, and what they name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multipartner.domain.reasons import Reason, Refusal
from multipartner.wire.graph_ask import PathParser, Place

EDGES = ("", "partners", "accept", "/debug_token", "/oauth/access_token", "permissions", "permissions/{permission}")
PARSE = PathParser({"v22.0": "v22.0", "v20.0": "v22.0"}, EDGES)
_SERVED = re.compile(
    rb"(/v2[02]\.0)?(/debug_token|/oauth/access_token)|/v2[02]\.0(/[0-9]+(/partners|/accept)?"
    rb"|/([0-9]+(\.[0-9]+)?|me)/permissions(/[^/]+)?)"
)

_WORDS = ("v22.0", "v20.0", "v1.0", "me", "1", "12.3", "debug_token", "oauth", "access_token", "permissions", "partners", "")
_OF_WORDS = st.lists(st.sampled_from(_WORDS), max_size=6).map(lambda words: ("/" + "/".join(words)).encode())


@given(st.one_of(st.binary(max_size=40), _OF_WORDS))
def test_a_path_is_served_or_refused(raw_path: bytes) -> None:
    """Attack 8: what is served is exactly what the shapes say, whatever else comes; each served path has one edge."""
    edge, place = PARSE(raw_path)

    assert edge in EDGES
    assert isinstance(place, Place) == (_SERVED.fullmatch(raw_path) is not None)


@pytest.mark.parametrize(
    ("raw_path", "edge", "node_id", "item"),
    [
        (b"/v22.0/1", "", "1", ""),
        (b"/v20.0/1/partners", "partners", "1", ""),
        (b"/v22.0/debug_token", "/debug_token", "", ""),
        (b"/debug_token", "/debug_token", "", ""),
        (b"/v22.0/oauth/access_token", "/oauth/access_token", "", ""),
        (b"/v22.0/me/permissions", "permissions", "me", ""),
        (b"/v22.0/12.3/permissions", "permissions", "12.3", ""),
        (b"/v22.0/1/permissions/x%2fy", "permissions/{permission}", "1", "x%2fy"),
    ],
)
def test_a_served_path_names_node_and_item(raw_path: bytes, edge: str, node_id: str, item: str) -> None:
    """Node and item are the path's own text, undecoded; the version is the one that answers."""
    assert PARSE(raw_path) == (edge, Place("v22.0", node_id, item))


@pytest.mark.parametrize(
    ("raw_path", "reason"),
    [
        (b"/x/debug_token", Reason.UNKNOWN_PATH),
        (b"/x/1/partners", Reason.MALFORMED_VERSION),
        (b"/v1.0/debug_token", Reason.UNKNOWN_VERSION),
        (b"/v22.0/debug_token/", Reason.UNKNOWN_PATH),
        (b"/v22.0/1/debug_token", Reason.UNKNOWN_PATH),
        (b"/v22.0/me", Reason.MALFORMED_NODE_ID),
        (b"/v22.0/1/partners/x", Reason.UNKNOWN_PATH),
        (b"/v22.0//permissions", Reason.MALFORMED_NODE_ID),
        (b"/x/1", Reason.UNKNOWN_PATH),
    ],
)
def test_what_is_wrong_with_a_path_is_told(raw_path: bytes, reason: Reason) -> None:
    """Unknown paths come before malformed versions and ids."""
    assert PARSE(raw_path)[1] == Refusal(reason)
