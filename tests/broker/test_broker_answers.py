"""What a caller of the broker reads, for each way that upstream can answer."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.inprocess import CUSTOMER, OTHER_CUSTOMER, InProcess
from client.driving import BAD_CALLER, DENIED, FAULT, LIMITED, UNSHARED, granted, refused
from multipartner.broker.answers import _CAUSES, SAID, Cause
from multipartner.client import TenantNotShared, TokenUnavailable
from multipartner.client.ports import Response
from multipartner.domain.model import Secret, Token
from multipartner.domain.reasons import Reason
from multipartner.wire import refusals
from multipartner.wire.answer import parse, relay, render
from serving import eventually

LIVE_UNKNOWN = refused(400, 100, 33)
MALFORMED = refused(400, 100)
UNKNOWN = refused(404, 803)
FOREIGN = Response(502, {}, b"<html>bad gateway</html>")

ANSWERS: dict[str, tuple[Response, int, int, bool, Cause]] = {
    "422": (UNSHARED, 422, 100, False, Cause.UPSTREAM_NOT_SHARED),
    "404": (UNKNOWN, 404, 803, False, Cause.UPSTREAM_UNKNOWN),
    "the live API's 400/100/33": (LIVE_UNKNOWN, 404, 803, False, Cause.UPSTREAM_UNKNOWN),
    "403": (DENIED, 403, 200, False, Cause.UPSTREAM_DENIED),
    "429": (LIMITED, 429, 4, True, Cause.UPSTREAM_LIMITED),
    "500": (FAULT, 500, 2, True, Cause.UPSTREAM_AWAY),
    "502 of a proxy": (FOREIGN, 500, 2, True, Cause.UPSTREAM_AWAY),
    "401 to the broker": (BAD_CALLER, 500, 2, True, Cause.UPSTREAM_CREDENTIAL),
    "400 to the broker": (MALFORMED, 500, 2, True, Cause.UPSTREAM_REFUSED),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_each_answer_of_upstream_becomes_the_contracts(broker: InProcess, name: str) -> None:
    """What upstream says of the tenant is passed on in the contract's form; what it says of the broker is a transient 500."""
    response, status, code, transient, cause = ANSWERS[name]
    broker.apis["main"].answer = lambda _key, _wall: response

    reply = broker.ask()

    error = reply.json["error"]
    assert (reply.status, error["code"], error.get("is_transient", False)) == (status, code, transient)
    assert reply.body == refusals.render(SAID[cause], error["fbtrace_id"])
    assert error["fbtrace_id"] == reply.headers["x-fb-request-id"]
    assert [(seen.fact.partition(":")[0], seen.status) for seen in broker.seen] == [(cause.value, status)]
    assert broker.broker.counts == {(status, cause.value): 1}


@pytest.mark.parametrize("name", ANSWERS)
def test_retry_after_says_when_another_try_can_help(broker: InProcess, name: str) -> None:
    """429 and 500 say in how many whole seconds upstream will be asked again; what time does not cure says nothing."""
    response, status, *_ = ANSWERS[name]
    broker.apis["main"].answer = lambda _key, _wall: response

    told = broker.ask().headers.get("retry-after")
    again = broker.ask().headers.get("retry-after")

    assert (told is not None) == (status in {429, 500})
    if told is not None and again is not None:
        broker.clock.turn(max(int(told), int(again)) + 1)
        broker.apis["main"].answer = None
        assert (int(told) >= 1, int(again) >= 1, broker.ask().status) == (True, True, 200)


def test_an_upstream_that_cannot_be_reached_is_a_transient_fault(broker: InProcess) -> None:
    """No connection: the transient 500, with Retry-After."""
    broker.transports["main"].is_cut = True

    reply = broker.ask()

    assert (reply.status, reply.json["error"]["is_transient"], "retry-after" in reply.headers) == (500, True, True)


def test_a_wait_that_is_too_long_is_a_transient_fault(tmp_path: Path) -> None:
    """Who waited `wait_s` in vain is told to come again; the fetch goes on, and who asks later has its token."""
    with contextlib.closing(InProcess(tmp_path, wait_s=0.05)) as broker:
        broker.transports["main"].gate.clear()
        assert broker.ask().status == 500
        broker.transports["main"].gate.set()

        assert eventually(lambda: broker.ask().status == 200)
        assert sum(broker.apis["main"].calls.values()) == 1
        assert broker.seen[0].fact.startswith("waited_too_long")


def test_a_stopping_broker_says_so(broker: InProcess) -> None:
    """A request that comes while the providers close reads the transient 500 with Retry-After, not a broken connection."""
    broker.upstreams.close()

    reply = broker.ask()

    assert (reply.status, reply.headers["retry-after"], broker.seen[0].fact) == (500, "1", "stopping")


def test_a_token_is_the_services_own_bytes(broker: InProcess) -> None:
    """The 200 body is byte for byte what the service prints for that token, and no cache may keep it (attack 54)."""
    reply = broker.ask()

    expires_at_s = int(broker.clock.wall()) + 3600
    text = Secret(f"{CUSTOMER}-1")
    assert reply.body == render(Token(text, "", expires_at_s)) == relay(text, expires_at_s)
    assert "no-store" in reply.headers["cache-control"]
    assert (reply.headers["content-type"], reply.headers["vary"]) == ("application/json; charset=UTF-8", "Authorization")
    assert reply.headers["facebook-api-version"] == "v25.0"


@pytest.mark.parametrize("text", ['a"b', "a\\u0000b", "ünï", "a\\b", "</script>"])
def test_a_strange_token_cannot_break_the_body(text: str) -> None:
    """Whatever text upstream calls a token, the body is one JSON object with it (attack 51)."""
    body = relay(Secret(text), 0)

    token, expires_at_s = parse(body)
    assert (token.reveal(), expires_at_s, set(json.loads(body))) == (text, 0, {"access_token", "expires_at"})


def test_a_token_that_never_expires_says_zero(broker: InProcess) -> None:
    """expires_at: 0 is passed on as it came."""
    broker.apis["main"].answer = lambda _key, _wall: granted("eternal", 0)

    assert broker.ask().body == b'{"access_token":"eternal","expires_at":0}'


OF_A_BUSINESS = refused(429, 80008, x_business_use_case_usage='{"1":[{"type":"whatsapp","call_count":100}]}')


@pytest.mark.parametrize("name", [*ANSWERS, "429 of one business"])
def test_upstream_fails_only_while_it_does_not_answer(broker: InProcess, name: str) -> None:
    """After a fault any answer, whatever it says, has readiness name `upstream` no more; only another fault keeps it."""
    broker.apis["main"].answer = lambda _key, _wall: FAULT
    broker.ask(business=OTHER_CUSTOMER)
    assert broker.readings.readiness()[1]["failing"] == ["main:upstream"]
    response = OF_A_BUSINESS if name not in ANSWERS else ANSWERS[name][0]
    broker.apis["main"].answer = lambda _key, _wall: response
    broker.ask()

    failing = broker.readings.readiness()[1]["failing"]
    assert isinstance(failing, list)
    assert ("main:upstream" in failing) == (response in (FAULT, FOREIGN))


def test_while_upstream_is_down_tokens_are_served_to_their_end(broker: InProcess) -> None:
    """A token that lives is served while upstream fails, runway falls, readiness tells; at its end comes the transient 500."""
    assert broker.ask().status == 200
    broker.transports["main"].is_cut = True
    runways = []
    for _ in range(3):
        broker.clock.turn(1000)
        assert broker.ask().status == 200
        _, told = broker.readings.readiness()
        runways.append(told["runway_s"])
    broker.clock.turn(1000)

    assert broker.ask().status == 500
    good, told = broker.readings.readiness()
    assert (good, told["lacking"], told["failing"]) == (False, ["main:upstream"], ["main:upstream"])
    left = [round(runway["main"]) for runway in runways if isinstance(runway, dict)]
    assert left == [2585, 1585, 585]


def test_a_rejected_credential_is_the_operators_news(broker: InProcess) -> None:
    """Upstream no longer takes the account's caller token: served tokens live on, log and readiness say it, callers read 500."""
    assert broker.ask().status == 200
    broker.apis["main"].answer = lambda _key, _wall: BAD_CALLER

    unserved, served = broker.ask(business=OTHER_CUSTOMER), broker.ask()

    assert (unserved.status, served.status) == (500, 200)
    assert "www-authenticate" not in unserved.headers
    good, told = broker.readings.readiness()
    assert (good, told["failing"]) == (True, ["main:credential"])
    assert ("error", "credential_rejected") in {line[:2] for line in broker.lines}


def test_an_outage_does_not_flood_the_log(broker: InProcess) -> None:
    """However many customers upstream refuses in a second, at most twenty lines tell of it; all are counted."""
    broker.apis["main"].answer = lambda _key, _wall: UNSHARED
    for number in range(50):
        broker.ask(business=str(1000 + number))

    assert len(broker.lines) == 20
    (vitals, _) = broker.upstreams.vitals()
    assert vitals.events["denied"] == 50


def test_every_cause_has_a_row_and_every_error_a_cause() -> None:
    """No cause is without a row to print, and every error of the client leads to a cause of its own."""
    assert set(SAID) == set(Cause)
    assert all(reason in refusals.ROWS for reason in SAID.values())
    kinds = {kind for base in TokenUnavailable.__subclasses__() for kind in (base, *base.__subclasses__())}
    explicit = {kind for kind, _ in _CAUSES} | {TenantNotShared}
    assert {kind.__name__ for kind in kinds - explicit} == {"UpstreamTransient"}


def test_an_unexpected_error_tells_nothing(broker: InProcess) -> None:
    """What nobody foresaw becomes the opaque 500; its text goes to the log alone."""

    def fails() -> Callable[[], None]:
        raise RuntimeError("secret-detail")

    broker.upstreams.get = lambda _account: fails()  # type: ignore[method-assign,assignment,return-value] # what nobody foresaw

    reply = broker.ask()

    assert (reply.status, b"secret-detail" in reply.body) == (500, False)
    assert reply.body == refusals.render(Reason.UNEXPECTED, broker.errors[0])
