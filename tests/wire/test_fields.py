"""The `fields` parameter: what is read, what is refused, and what is printed."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multipartner.domain.reasons import Reason, Refusal
from multipartner.wire.fields import MOST_DEPTH, MOST_NAMES, Chosen, Field, Kind, chosen, default, printed, read
from multipartner.wire.graph_ask import ParameterRefused

APP = Kind({"id": Field(lambda node: node["id"]), "name": Field(lambda node: node["name"])}, ("id", "name"))
NODE = Kind(
    {
        "id": Field(lambda node: node["id"]),
        "name": Field(lambda node: node["name"]),
        "app": Field(lambda node: node["app"], APP),
        "apps": Field(lambda node: [node["app"]], APP, many=True),
    },
    ("id", "name"),
)
THING: dict[str, Any] = {"id": "1", "name": "Thing", "app": {"id": "2", "name": "App"}}

NAMES = st.text("abc_", min_size=1, max_size=3)
TREES = st.recursive(
    st.dictionaries(NAMES, st.none(), min_size=1, max_size=3),
    lambda inner: st.dictionaries(NAMES, st.none() | inner, min_size=1, max_size=3),
    max_leaves=6,
)


def written(tree: dict[str, Any]) -> str:
    return ",".join(name + ("{" + written(inside) + "}" if inside else "") for name, inside in tree.items())


def depth(tree: dict[str, Any] | None) -> int:
    return 0 if tree is None else 1 + max(map(depth, tree.values()))


def as_read(tree: dict[str, Any]) -> Chosen:
    return Chosen({name: as_read(inside) if inside else None for name, inside in tree.items()})


@given(TREES)
def test_what_is_written_is_read(tree: dict[str, Any]) -> None:
    """Names with commas between, those inside a field in braces, come out as they were meant, to a bounded depth."""
    if depth(tree) <= MOST_DEPTH:
        assert read(written(tree)) == as_read(tree)
    else:
        with pytest.raises(ParameterRefused):
            read(written(tree))


@pytest.mark.parametrize(
    "text",
    [
        *(",", "id,", ",id", "id,,name", "id name", "id\n", "ï", "\0", "app.limit(2)", "id,app{id},app{name}"),
        *("app{", "app{}", "app{id", "app}", "app{id}}", "app{id}name", "{id}", "a{a{a{a{a}}}}", "a{" * 400),
        *(",".join(f"a{n}" for n in range(MOST_NAMES + 1)), "a" * 1001),
    ],
)
def test_what_is_no_list_of_names_is_malformed(text: str) -> None:
    """Attacks 10, 55: whatever has another shape, is too long, too deep or too many is refused and named."""
    with pytest.raises(ParameterRefused) as caught:
        read(text)

    assert (caught.value.refusal.reason, caught.value.refusal.parameter) == (Reason.INVALID_PARAMETER, "fields")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text breaks the reader."""
    with contextlib.suppress(ParameterRefused):
        assert read(text).inside


def test_nested_nodes_are_printed_as_asked() -> None:
    """A node inside another tells what is asked of it, its id always, and its default when it is named alone."""

    def told(text: str | None) -> Any:
        asked = chosen(NODE, text)
        return asked if isinstance(asked, Refusal) else printed(NODE, THING, asked)

    assert told(None) == told("") == {"id": "1", "name": "Thing"}
    assert told("app") == {"id": "1", "app": {"id": "2", "name": "App"}}
    assert told("name,app{name}") == {"id": "1", "name": "Thing", "app": {"id": "2", "name": "App"}}
    assert told("apps{id}") == {"id": "1", "apps": {"data": [{"id": "2"}]}}
    for unknown in ("secret", "name{id}", "app{secret}", "app{name{id}}", "__class__"):
        assert told(unknown) == Refusal(Reason.FIELDS_UNAVAILABLE)
    assert default(APP) == Chosen({"id": None, "name": None})
