"""What each answer means, for the published contract and for the live API's known habits (facts: graph-wire 1)."""

import pytest

from client.driving import BAD_CALLER, DENIED, FAULT, LIMITED, UNSHARED, granted, refused
from multipartner.client.failures import Kind, classify, date_of, usage_of
from multipartner.client.fetching import outcome_of
from multipartner.client.flights import Failed, Fetched
from multipartner.client.ports import Moment, Response
from multipartner.domain.reasons import Reason
from multipartner.wire import refusals

NOW = Moment(1.0, 1_800_000_000.0)

CASES = {
    "contract 400": (refused(400, 100), Kind.REFUSED),
    "contract 401": (BAD_CALLER, Kind.CREDENTIAL),
    "contract 403": (DENIED, Kind.DENIED),
    "contract 404": (refused(404, 803), Kind.NOT_SHARED),
    "contract 422": (UNSHARED, Kind.NOT_SHARED),
    "contract 429": (LIMITED, Kind.THROTTLED),
    "contract 500": (FAULT, Kind.TRANSIENT),
    "live: expired caller, 400": (refused(400, 190, 463), Kind.CREDENTIAL),
    "live: no token, 400": (refused(400, 104), Kind.CREDENTIAL),
    "live: session of another kind": (refused(400, 102), Kind.CREDENTIAL),
    "live: WhatsApp's word for 190": (refused(401, 0), Kind.CREDENTIAL),
    "live: missing or forbidden, 400": (refused(400, 100, 33), Kind.NOT_SHARED),
    "live: application limit, 403": (refused(403, 4, transient=True), Kind.THROTTLED),
    "live: WABA limit, 400": (refused(400, 80008), Kind.THROTTLED),
    "live: user limit": (refused(400, 17, 2446079), Kind.THROTTLED),
    "live: custom limit": (refused(400, 613), Kind.THROTTLED),
    "live: permission, 400": (refused(400, 200), Kind.DENIED),
    "live: no permission, 10": (refused(403, 10), Kind.DENIED),
    "live: capability, 3": (refused(403, 3), Kind.DENIED),
    "live: unknown error, 1": (refused(400, 1), Kind.TRANSIENT),
    "live: unknown version": (refused(404, 2500), Kind.REFUSED),
    "transient beats a code of another kind": (refused(400, 190, transient=True), Kind.TRANSIENT),
    "a 200 that carries an error": (Response(200, {}, b'{"error":{"message":"m","type":"T","code":190}}'), Kind.TRANSIENT),
    "a 200 of something else": (Response(200, {}, b"<html>"), Kind.TRANSIENT),
    "a proxy's 502": (Response(502, {}, b"<html>"), Kind.TRANSIENT),
    "a proxy's 403": (Response(403, {}, b"<html>"), Kind.DENIED),
    "a redirect": (Response(302, {}, b""), Kind.TRANSIENT),
    "a time-out told": (Response(408, {}, b""), Kind.TRANSIENT),
}


@pytest.mark.parametrize(("response", "kind"), CASES.values(), ids=CASES)
def test_an_answer_is_classified(response: Response, kind: Kind) -> None:
    """Throttling codes, then `is_transient`, then the code, then the status say what failed and for whom."""
    assert classify(response).kind is kind


@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.value)
def test_every_refusal_of_our_own_service_is_understood(reason: Reason) -> None:
    """Whatever the service prints, the client takes for what it is."""
    row = refusals.ROWS[reason]
    failure = classify(Response(row.status, {}, refusals.render(reason, "Atrace")))
    expected = {401: Kind.CREDENTIAL, 403: Kind.DENIED, 404: Kind.NOT_SHARED, 422: Kind.NOT_SHARED, 429: Kind.THROTTLED}

    assert failure.kind is (Kind.TRANSIENT if row.status >= 500 else _of_404(row.code, expected.get(row.status, Kind.REFUSED)))
    assert (failure.code, failure.fbtrace_id) == (row.code, "Atrace")


def _of_404(code: int, kind: Kind) -> Kind:
    return Kind.REFUSED if code == 2500 else kind


def test_both_bodies_of_a_200_are_read() -> None:
    """The contract's flat body and the guides' `data` list bring the same token; the list's has no expiry."""
    flat = outcome_of(granted("t", 1_800_003_600), NOW)
    listed = outcome_of(Response(200, {}, b'{"data":[{"access_token":"t"}]}'), NOW)

    assert isinstance(flat, Fetched)
    assert isinstance(listed, Fetched)
    assert (flat.text, flat.expires_at_s, listed.text, listed.expires_at_s) == ("t", 1_800_003_600, "t", 0)


def test_waiting_times_are_read_from_every_header_that_has_one() -> None:
    """Retry-After in seconds or as a date, and minutes of the usage header: the longest counts, none is believed for hours."""
    date = "Fri, 15 Jan 2027 08:00:00 GMT"
    usage = '{"1":[{"type":"whatsapp_business_management","call_count":100,"estimated_time_to_regain_access":3}]}'
    told = {
        "seconds": classify(refused(429, 4, retry_after="60")),
        "date": classify(refused(429, 4, date=date, retry_after="Fri, 15 Jan 2027 08:01:30 GMT")),
        "usage": classify(refused(429, 4, retry_after="60", x_business_use_case_usage=usage)),
        "nonsense": classify(refused(429, 4, retry_after="-1", x_app_usage="{", x_business_use_case_usage="[1]")),
        "forever": classify(refused(429, 4, retry_after="999999999")),
    }

    waits = {name: failure.retry_after_s for name, failure in told.items()}
    assert waits == {"seconds": 60, "date": 90, "usage": 180, "nonsense": 0, "forever": 3600}


def test_a_business_that_used_up_its_own_quota_is_told_from_the_app() -> None:
    """When the usage headers say that only this business is at its limit, only this business waits."""
    of_business = '{"1":[{"type":"whatsapp_business_management","call_count":100,"estimated_time_to_regain_access":3}]}'

    assert classify(refused(429, 4, x_app_usage='{"call_count":40}', x_business_use_case_usage=of_business)).of_business
    assert not classify(refused(429, 4, x_app_usage='{"call_count":100}', x_business_use_case_usage=of_business)).of_business


@pytest.mark.parametrize("text", ["", "yesterday", "99 Foo 9999 99:99:99 GMT", "\x00"])
def test_a_date_that_cannot_be_read_is_none(text: str) -> None:
    """Whatever a proxy puts into Date or the usage headers does not break a fetch."""
    assert date_of({"date": text}) is None
    assert usage_of({"x-app-usage": text}).app_percent == 0


def test_a_failure_holds_no_body() -> None:
    """What is kept of an answer for errors and logs has neither its body nor its message."""
    outcome = outcome_of(Response(200, {}, b'{"token":"EAAsecret"}'), NOW)

    assert isinstance(outcome, Failed)
    assert "EAAsecret" not in repr(outcome)
