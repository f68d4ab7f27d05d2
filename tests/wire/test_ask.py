"""Reading requests: what is no id is refused, and what two parsers could read in two ways is refused as well."""

from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multipartner.domain.model import Ask, Instant
from multipartner.domain.reasons import Reason, Refusal
from multipartner.wire.ask import Arrival, AskParser, is_plain, request_target
from multipartner.wire.versions import answering

PARSE = AskParser(answering(("v21.0", "v22.0", "v23.0")))
ARRIVAL = Arrival("A" * 23, "192.0.2.1", Instant(1, 1))
digits = st.text("0123456789", min_size=1, max_size=30)


def _parse(path: str, query: str) -> Ask | Refusal:
    return PARSE(path.encode("latin-1"), query.encode("latin-1"), b"Bearer x", ARRIVAL)


@given(digits, digits)
def test_what_is_written_is_read(solution_id: str, business_id: str) -> None:
    """A request target that the client writes is read back with the same ids, of any length."""
    path, _, query = request_target("v23.0", solution_id, business_id).partition("?")
    ask = _parse(path, query)

    assert isinstance(ask, Ask)
    assert (ask.solution_id, ask.business_id, ask.version) == (solution_id, business_id, "v23.0")


@given(st.text(max_size=12).filter(lambda text: not (text.isascii() and text.isdigit())))
def test_what_is_no_id_is_refused(text: str) -> None:
    """Attacks 1, 2, 3: only ASCII digits are an id, in the query as in the path."""
    by_query = _parse("/v23.0/1/access_token", f"business_id={quote_plus(text, errors='surrogatepass')}")
    by_path = PARSE(b"/v23.0/" + text.encode("utf-8", "surrogatepass") + b"/access_token", b"business_id=1", None, ARRIVAL)

    assert isinstance(by_query, Refusal)
    assert by_query.reason is Reason.MALFORMED_BUSINESS_ID
    assert isinstance(by_path, Refusal)
    assert by_path.reason in {Reason.MALFORMED_SOLUTION_ID, Reason.UNKNOWN_PATH}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", Reason.MISSING_BUSINESS_ID),
        ("business_id", Reason.MALFORMED_BUSINESS_ID),
        ("business_id=1&business_id=2", Reason.REPEATED_PARAMETER),
        ("business_id=1&business_id=1", Reason.REPEATED_PARAMETER),
        ("business_id=1&business%5Fid=2", Reason.REPEATED_PARAMETER),
        ("business_id[]=1", Reason.REPEATED_PARAMETER),
        ("business_id=1&business_id[0]=2", Reason.REPEATED_PARAMETER),
        ("business_id=1;business_id=2", Reason.MALFORMED_BUSINESS_ID),
        ("business_id=1&access_token=a&access_token=b", Reason.REPEATED_PARAMETER),
        ("business_id=1&access_token=a", Reason.TWO_CREDENTIALS),
        ("business_id=1&appsecret_proof=a&appsecret_proof=a", Reason.REPEATED_PARAMETER),
        ("business_id=1%", Reason.MALFORMED_QUERY),
        ("business_id=1&x=%zz", Reason.MALFORMED_QUERY),
        ("Business_ID=1", Reason.MISSING_BUSINESS_ID),
    ],
)
def test_ambiguous_queries_are_refused(query: str, reason: Reason) -> None:
    """Attack 6: a deciding parameter comes once, by its own name, in one place."""
    outcome = _parse("/v23.0/1/access_token", query)

    assert isinstance(outcome, Refusal)
    assert outcome.reason is reason


def test_other_parameters_are_ignored() -> None:
    """Parameters that SDKs add (fields, locale, pretty) change nothing, and make a query that is not plain."""
    ask = _parse("/v23.0/1/access_token", "fields=id&business_id=7&pretty=0&&locale=en_US")

    assert isinstance(ask, Ask)
    assert ask.business_id == "7"
    assert is_plain(b"business_id=7")
    assert not is_plain(b"business_id=7&access_token=x")


def test_expired_versions_are_answered_by_the_oldest_usable() -> None:
    """A released version that expired is served as the oldest configured one; one that never was is unknown."""
    versions = answering(("v21.0", "v22.0"))

    assert [versions.get(v) for v in ("v2.0", "v20.0", "v21.0", "v22.0")] == ["v21.0", "v21.0", "v21.0", "v22.0"]
    assert [versions.get(v) for v in ("v0.0", "v20.1", "v23.0", "v021.0", "v21.00", "v999.0")] == [None] * 6


def test_a_request_does_not_print_its_secrets() -> None:
    """Attack 57: the repr of a parsed request shows neither token nor proof."""
    ask = PARSE(b"/v23.0/1/access_token", b"business_id=1&appsecret_proof=hush1", b"Bearer hush2", ARRIVAL)

    assert "hush" not in repr(ask) + str(ask)
