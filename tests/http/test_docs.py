"""The page at /docs and its files, over HTTP."""

import re
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multipartner.domain.reasons import RULES, Reason
from multipartner.web.docs import asked
from multipartner.web.docs_page import Page
from multipartner.web.openapi import EXAMPLE_BUSINESS_ID, EXAMPLE_SOLUTION_ID
from multipartner.web.snippets import SNIPPETS
from rawhttp import Answer, Raw, ask, request
from running import Running, running

__all__ = ["running"]

VERSIONS = ("v21.0", "v22.0")
PAGE = Page("https://tokens.example", VERSIONS, {"style": "/s.css", "script": "/s.js", "icon": "/s.svg"})


class Outline(HTMLParser):
    """Collects what a policy is about: elements, addresses, inline code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.addresses += [named[name] or "" for name in ("href", "src", "action") if name in named]
        self.ids += [named["id"] or ""] if "id" in named else []
        self.inline += [name for name in named if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in named):
            self.inline.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def get(running: Running, target: str) -> Answer:
    answer = ask(running.address, request(target))
    assert answer is not None
    return answer


def test_page_is_bound_by_a_strict_policy(running: Running) -> None:
    """The page allows no inline code, nothing from elsewhere and no frame, and follows that itself."""
    answer = get(running, "/docs")
    policy = answer.header("content-security-policy") or ""
    outline = Outline(answer.body.decode())

    assert answer.status == 200
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert outline.inline == []
    assert [address for address in outline.addresses if not address.startswith(("/", "#"))] == []
    assert len(outline.ids) == len(set(outline.ids))
    assert answer.header("referrer-policy") == "no-referrer"


def test_every_address_of_the_page_is_served(running: Running) -> None:
    """Each link and file of the page answers 200, its files for ever cacheable under a hash, with HEAD as well."""
    outline = Outline(get(running, "/docs").body.decode())
    paths = {address for address in outline.addresses if address.startswith("/")}

    assert {path: get(running, path).status for path in paths} == dict.fromkeys(paths, 200)
    assert {address for address in outline.addresses if address.startswith("#")} <= {f"#{name}" for name in outline.ids}
    for path in (path for path in paths if re.search(r"\.(css|js|svg)$", path)):
        assert "immutable" in (get(running, path).header("cache-control") or "")
        with Raw(running.address) as connection:
            head = connection.send(request(path, method="HEAD")).answer(to_head=True)
            assert head is not None
            assert head.status == 200
            assert connection.quiet(0.02)


def test_page_explains_every_reason() -> None:
    """Each reason's rule stands on the page twice: under its status and in the order of precedence."""
    text = "".join(Outline(PAGE.render(asked(b"", VERSIONS)).decode()).texts)

    assert {reason for reason in Reason if text.count(RULES[reason].text.replace("`", "")) < 2} == set()
    order = [text.rindex(RULES[reason].text.replace("`", "")) for reason in Reason]
    assert order == sorted(order)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=10))
def test_form_fills_in_ids_and_nothing_else(solution: str, business: str, version: str) -> None:
    """Whatever the query says, only ASCII digits and a served version get into the page; all else is the example's."""
    query = f"solution={quote(solution)}&business={quote(business)}&version={quote(version)}".encode()
    filled = asked(query, VERSIONS)

    assert filled.solution_id == (solution if re.fullmatch("[0-9]{1,64}", solution) else EXAMPLE_SOLUTION_ID)
    assert filled.business_id == (business if re.fullmatch("[0-9]{1,64}", business) else EXAMPLE_BUSINESS_ID)
    assert filled.version in VERSIONS


@settings(deadline=None)  # The page is long: two of them, made and read on a busy machine, pass any deadline.
@given(st.binary(max_size=700))
def test_any_query_renders_the_page(query: bytes) -> None:
    """No query breaks the page or brings markup into it."""
    plain, filled = PAGE.render(asked(b"", VERSIONS)), PAGE.render(asked(query, VERSIONS))

    assert Outline(filled.decode()).addresses == Outline(plain.decode()).addresses


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.name)
def test_snippets_hold_no_token_and_no_empty_place(snippet: object) -> None:
    """Ready code reads the caller token from the environment, and no place of its template stays open."""
    values = {"base": "https://tokens.example", "version": "v23.0", "solution": "1", "business": "2"}
    assert snippet in SNIPPETS
    text = next(s for s in SNIPPETS if s is snippet).filled(values)

    assert "CALLER_TOKEN" in text
    assert not re.search(r"\{(base|version|solution|business|token)\}", text)


def test_python_snippet_is_python() -> None:
    """The Python example compiles."""
    snippet = next(s for s in SNIPPETS if s.name == "python")
    values = {"base": "https://tokens.example", "version": "v23.0", "solution": "1", "business": "2"}

    assert compile(snippet.filled(values), "snippet", "exec")
