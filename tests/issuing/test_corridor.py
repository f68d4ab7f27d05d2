"""What holds between the stations: fail closed, once per window, once per flight, one tenant at a time."""

import asyncio
import re

import pytest

from fakes import CUSTOMER, NOON_S, OTHER_SOLUTION, OWNER, PARTNER, SIBLING, SOLUTION, STRANGER, InProcess, populated_store
from multipartner.crypto.credentials import CredentialType, appsecret_proof, mac_of
from multipartner.domain.events import EventKind
from multipartner.domain.model import ALL_PERMISSIONS, MANAGEMENT_ONLY, BusinessId, SolutionStatus, Tenant, WabaId
from multipartner.domain.reasons import Reason
from multipartner.storage.ports import Change, ChangeKind


def test_the_same_facts_give_the_same_bytes_in_every_process() -> None:
    """Two processes over the same facts answer with the same bytes, and so does the same process after losing its caches."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        one, two = InProcess(store), InProcess(store)
        first = await one.token(token)
        one.grants.forget([Change(ChangeKind.EVERYTHING)])

        assert first.body == (await two.token(token)).body == (await one.token(token)).body

    asyncio.run(scenario())


def test_a_warm_answer_reads_nothing() -> None:
    """Once issued, a token is given again without a read of the store or a line in the trail."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        service = InProcess(store)
        first = await service.token(token)
        reads, events = store.reads, len(service.trail.events)
        for _ in range(50):
            assert (await service.token(token)).body == first.body

        assert (store.reads, len(service.trail.events)) == (reads, events)

    asyncio.run(scenario())


def test_expiry_is_one_second_everywhere() -> None:
    """Attack 26: expires_at equals exp equals introspection's exp, and the token stops working at exactly that second."""

    async def scenario() -> None:
        store = populated_store()
        service = InProcess(store)
        reply = await service.token(store.add_credential(OWNER))
        text, expires_at = reply.json["access_token"], reply.json["expires_at"]
        for offset, active in ((-1, True), (0, False), (1, False)):
            service.turn(expires_at + offset - service.now.wall_s)
            told = await service.introspector(text, service.now)
            assert (told.active, told.exp if active else expires_at) == (active, expires_at)

    asyncio.run(scenario())


def test_no_token_without_its_line_in_the_trail() -> None:
    """When the trail cannot be written nothing is issued (500, transient), and issuing goes on when it can again."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        service = InProcess(store)
        service.trail.broken = "disk full"
        refused = await service.token(token)
        service.trail.broken = ""
        issued = await service.token(token)

        assert (refused.status, refused.json["error"]["is_transient"]) == (500, True)
        assert "disk full" not in refused.body.decode()
        assert service.trail.refusals[-1].reason is Reason.TRAIL_UNAVAILABLE
        assert issued.status == 200
        assert [event.kind for event in service.trail.events] == [EventKind.TOKEN_ISSUED]

    asyncio.run(scenario())


def test_the_trail_has_each_caller_of_a_token() -> None:
    """Two callers of one app receive the same token, and the trail has a line for each of them, with the token's jti."""

    async def scenario() -> None:
        store = populated_store()
        one, two = store.add_credential(OWNER), store.add_credential(OWNER)
        service = InProcess(store)
        bodies = {(await service.token(caller)).body for caller in (one, two, one, two)}

        assert len(bodies) == 1
        assert len({event.actor for event in service.trail.events}) == len(service.trail.events) == 2
        assert len({event.jti for event in service.trail.events}) == 1

    asyncio.run(scenario())


def test_a_grant_that_had_to_leave_the_cache_has_one_line_for_a_window() -> None:
    """Made anew within its window, a token is the same bytes and has its line already; in the next window it gets another."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        service = InProcess(store, cache_size=1)
        for number in range(3):
            store.share(SOLUTION, BusinessId(f"77{number}"), (WabaId(f"88{number}"),), ALL_PERMISSIONS)
        bodies = [(await service.token(token, f"77{number}")).body for number in (0, 1, 2, 0, 1, 2)]
        reads = store.reads
        assert bodies[:3] == bodies[3:]
        assert len({event.jti for event in service.trail.events}) == len(service.trail.events) == 3

        assert (await service.token(token, "770")).body == bodies[0]
        assert store.reads == reads + 1
        service.turn(1800)
        assert (await service.token(token, "770")).body != bodies[0]
        assert len(service.trail.events) == 4

    asyncio.run(scenario())


def test_nothing_is_answered_from_a_cache_nobody_vouches_for() -> None:
    """When the change feed cannot be confirmed even a warm caller gets the transient 500, and a token as soon as it can."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        service = InProcess(store)
        await service.token(token)
        store.broken = "feed not confirmed"

        assert (await service.token(token)).status == 500
        store.broken = ""
        assert (await service.token(token)).status == 200

    asyncio.run(scenario())


def test_a_thousand_waiting_callers_make_one_load_and_one_line() -> None:
    """However many ask for one cold key at once, its facts are read once and its issuance is recorded once."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        service = InProcess(store)
        service.trail.gate = asyncio.Event()
        asked = [asyncio.create_task(service.token(token)) for _ in range(1000)]
        for _ in range(10):
            await asyncio.sleep(0)
        asked[0].cancel()
        service.trail.gate.set()
        replies = await asyncio.gather(*asked[1:])

        assert {reply.status for reply in replies} == {200}
        assert len({reply.body for reply in replies}) == 1
        assert len(service.trail.events) == 1
        # The caller's record, the fingerprint key, the facts, the ring: each once.
        assert store.reads == 4

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "text",
    ["", "x", "Bearer", "mpc_short", "mpc_" + "A" * 16 + "_" + "B" * 43 + "_00000000", "a b", "\xe9\xff", "eyJh.eyJi.c2ln"],
    ids=["empty", "letter", "word", "short", "checksum", "space", "not-ascii", "jwt"],
)
def test_whatever_is_no_token_gets_the_same_401(text: str) -> None:
    """Attack 11: every text that is no caller token is refused with one and the same body, trace id aside."""

    async def scenario() -> None:
        service = InProcess(populated_store())
        reply = await service.token(text)
        unknown = await service.request(
            f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}", {"Authorization": "Basic eDp5"}
        )

        assert reply.status == unknown.status == 401
        assert _without_trace(reply.body) == _without_trace(unknown.body)
        assert reply.headers["www-authenticate"].startswith("Bearer ")

    asyncio.run(scenario())


def _without_trace(body: bytes) -> bytes:
    return re.sub(rb'"fbtrace_id":"[^"]+"', b"", body)


def test_truncated_or_extended_secrets_fail() -> None:
    """Attacks 14, 15: the stored hash, a prefix, and a secret with bytes appended are no credential."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        service = InProcess(store)
        assert (await service.token(token)).status == 200
        stored = mac_of(token, CredentialType.CALLER, store.mac_key)
        for wrong in (
            token[:-1],
            token[:-9],
            token + "0",
            token + " ",
            stored.hex(),
            f"mpc_{token[4:20]}_{stored.hex()[:43]}_00000000",
        ):
            assert (await service.token(wrong)).status == 401, wrong[:8]

    asyncio.run(scenario())


def test_no_other_kind_of_token_is_a_caller_token() -> None:
    """Attack 17: a granular token and a resource server's secret are refused as caller tokens."""

    async def scenario() -> None:
        store = populated_store()
        service = InProcess(store)
        granular = (await service.token(store.add_credential(OWNER))).json["access_token"]
        _, server_secret = store.add_resource_server()

        assert (await service.token(granular)).status == (await service.token(server_secret)).status == 401
        assert "granular" in service.trail.refusals[-2].fact

    asyncio.run(scenario())


def test_subcodes_tell_expired_from_revoked() -> None:
    """Attack 18: an expired caller token gets 190/463, a revoked one 190/466, a suspended app's the 403 of the precedence."""

    async def scenario() -> None:
        store = populated_store()
        expired = store.add_credential(OWNER, expires_at_s=NOON_S)
        revoked, suspended = store.add_credential(OWNER), store.add_credential(PARTNER)
        service = InProcess(store)
        for token in (revoked, suspended):
            assert (await service.token(token)).status == 200
        store.revoke_credential(revoked, NOON_S)
        store.suspend(PARTNER, suspended=True)

        assert (await service.token(expired)).json["error"]["error_subcode"] == 463
        assert (await service.token(revoked)).json["error"]["error_subcode"] == 466
        assert (await service.token(suspended)).status == 403

    asyncio.run(scenario())


def test_a_caller_token_expires_while_its_answer_is_warm() -> None:
    """A caller token that was good a second ago is refused at its expiry, warm or not."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER, expires_at_s=NOON_S + 10)
        service = InProcess(store)
        assert [(await service.token(token)).status for _ in range(3)] == [200] * 3
        service.turn(9)
        assert (await service.token(token)).status == 200
        service.turn(1)
        assert (await service.token(token)).status == 401

    asyncio.run(scenario())


def test_appsecret_proof_is_checked_when_present_and_demanded_where_required() -> None:
    """A wrong proof is refused even where none is needed; an app that requires one is refused without it."""

    async def scenario() -> None:
        store = populated_store()
        free, strict = store.add_credential(OWNER), store.add_credential(PARTNER, proof_required=True)
        service = InProcess(store)
        good = appsecret_proof(store.secrets[PARTNER], strict)

        assert (await service.token(free)).status == 200
        assert (await service.token(free, more="&appsecret_proof=00")).json["error"]["code"] == 100
        assert (await service.token(free, more=f"&appsecret_proof={good}")).status == 400
        assert (await service.token(strict)).status == 400
        assert (await service.token(strict, more=f"&appsecret_proof={good}")).status == 200
        assert (await service.token(strict)).status == 400

    asyncio.run(scenario())


def test_a_query_token_needs_the_setting() -> None:
    """Attack 7: a token in the query is no credential unless the operator said so, and never beside a header."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        closed, opened = InProcess(store), InProcess(store, accept_query_token=True)
        path, query = f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}&access_token={token}"

        assert (await closed.request(path, query)).status == 401
        assert closed.trail.refusals[-1].reason is Reason.CALLER_IN_QUERY
        assert (await opened.request(path, query)).status == 200
        assert (await opened.request(path, query, {"Authorization": f"Bearer {token}"})).status == 400
        assert token not in repr(opened.seen) + repr(closed.seen) + repr(opened.trail.refusals) + repr(closed.trail.refusals)

    asyncio.run(scenario())


def test_strangers_learn_nothing_of_customers() -> None:
    """Attacks 30, 31: a business that does not exist and one never connected to the caller's app get the same answer."""

    async def scenario() -> None:
        store = populated_store()
        store.share(OTHER_SOLUTION, SIBLING, (WabaId("82"),))
        token = store.add_credential(PARTNER)
        service = InProcess(store)
        exists, invented = await service.token(token, SIBLING), await service.token(token, "79999999999999")

        assert exists.status == invented.status == 404
        assert _without_trace(exists.body) == _without_trace(invented.body)
        hide = {"x-fb-request-id", "x-business-use-case-usage", "x-app-usage"}
        assert {k: v for k, v in exists.headers.items() if k not in hide} == {
            k: v for k, v in invented.headers.items() if k not in hide
        }
        assert exists.headers["x-business-use-case-usage"].replace(SIBLING, "") == invented.headers[
            "x-business-use-case-usage"
        ].replace("79999999999999", "")

    asyncio.run(scenario())


def test_ids_are_texts() -> None:
    """Attack 5: leading zeros make another id, in the answer and in every cache."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        service = InProcess(store)

        assert (await service.token(token)).status == 200
        assert (await service.token(token, "0" + CUSTOMER)).status == 404
        assert (await service.token(token, CUSTOMER, "0" + SOLUTION)).status == 404

    asyncio.run(scenario())


def test_equal_partial_keys_never_meet() -> None:
    """Attack 33: tenants that share app, solution or business each receive a token of their own, cached side by side."""

    async def scenario() -> None:
        store = populated_store()
        store.share(SOLUTION, SIBLING, (WabaId("82"),))
        store.share(OTHER_SOLUTION, CUSTOMER)
        owner, partner, stranger = (store.add_credential(app) for app in (OWNER, PARTNER, STRANGER))
        narrow = store.add_credential(OWNER, MANAGEMENT_ONLY)
        asks = [
            (owner, CUSTOMER, SOLUTION),
            (owner, SIBLING, SOLUTION),
            (owner, CUSTOMER, OTHER_SOLUTION),
            (partner, CUSTOMER, SOLUTION),
            (stranger, CUSTOMER, OTHER_SOLUTION),
            (narrow, CUSTOMER, SOLUTION),
        ]
        service = InProcess(store)
        first = [(await service.token(*ask)).json["access_token"] for ask in asks]
        second = [(await service.token(*ask)).json["access_token"] for ask in asks]

        assert first == second
        assert len(set(first)) == len(asks)

    asyncio.run(scenario())


@pytest.mark.parametrize("change", ["withdraw", "grant", "solution", "suspend", "deployment", "shrink"])
def test_a_change_is_obeyed_by_the_next_request_and_kills_what_was_issued(change: str) -> None:
    """Attack 32: after any narrowing the next request obeys, the old token is dead, and undoing it revives nothing."""

    async def scenario() -> None:
        store = populated_store()
        store.share(SOLUTION, CUSTOMER, (WabaId("81"), WabaId("82")))
        token = store.add_credential(OWNER)
        service = InProcess(store)
        old = (await service.token(token)).json["access_token"]
        tenant = Tenant(OWNER, SOLUTION, CUSTOMER)
        if change == "withdraw":
            store.withdraw(SOLUTION, CUSTOMER)
        elif change == "grant":
            store.set_grant(tenant, active=False)
        elif change == "solution":
            store.set_status(SOLUTION, SolutionStatus.DEACTIVATED)
        elif change == "suspend":
            store.suspend(OWNER, suspended=True)
        elif change == "deployment":
            store.deployment = "another-gen"
            store.tell(ChangeKind.DEPLOYMENT)
        else:
            store.share(SOLUTION, CUSTOMER, (WabaId("81"),))
        reply = await service.token(token)

        assert reply.status != 200 or reply.json["access_token"] != old
        assert not (await service.introspector(old, service.now)).active
        store.share(SOLUTION, CUSTOMER, (WabaId("81"), WabaId("82")), ALL_PERMISSIONS)
        store.set_grant(tenant, active=True)
        store.suspend(OWNER, suspended=False)
        store.set_status(SOLUTION, SolutionStatus.ACTIVE)
        assert (await service.token(token)).status == 200
        assert not (await service.introspector(old, service.now)).active

    asyncio.run(scenario())


def test_an_unforeseen_error_is_opaque() -> None:
    """An unexpected exception becomes the 500 of the table; its text goes to the log under the same trace id alone."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        service = InProcess(store)
        vars(store)["solutions"] = {SOLUTION: "not a solution"}
        reply = await service.token(token)

        assert reply.status == 500
        assert reply.json["error"]["code"] == 2
        assert "AttributeError" not in reply.body.decode()
        assert service.errors == [reply.json["error"]["fbtrace_id"]] == [reply.headers["x-fb-request-id"]]

    asyncio.run(scenario())


def test_limits_count_per_app_and_per_business() -> None:
    """The limits per app and per business refuse with 429, code 4, Retry-After and full usage, and end after an hour."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER, calls_per_hour=5, calls_per_business_per_hour=3)
        service = InProcess(store)
        statuses = [(await service.token(token)).status for _ in range(4)]
        other = [(await service.token(token, SIBLING)).status for _ in range(3)]
        last = await service.token(token, SIBLING)

        assert statuses == [200, 200, 200, 429]
        assert other == [404, 404, 429]
        assert last.json["error"]["code"] == 4
        assert last.json["error"]["is_transient"] is True
        assert last.headers["x-app-usage"].startswith('{"call_count":100')
        assert 3600 <= int(last.headers["retry-after"]) <= 3660
        service.turn(int(last.headers["retry-after"]))
        assert (await service.token(token)).status == 200

    asyncio.run(scenario())


def test_failures_are_counted_per_address() -> None:
    """Attack 52: an address that fails too often waits; an IPv6 /64 is one; a stranger's X-Forwarded-For counts nothing."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        service = InProcess(store, failures_per_hour=3)
        path, query, good = f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}", {"Authorization": f"Bearer {token}"}
        for host in range(3):
            headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": f"198.51.100.{host}"}
            assert (await service.request(path, query, headers, peer=f"2001:db8:0:1::{host:x}")).status == 401

        limited = await service.request(path, query, good, peer="2001:db8:0:1:ffff::1")
        assert (limited.status, "retry-after" in limited.headers) == (429, True)
        assert (await service.request(path, query, good, peer="2001:db8:0:2::1")).status == 200

    asyncio.run(scenario())


def test_trusted_proxies_speak_for_clients() -> None:
    """Behind a trusted proxy failures count for the client it names, the rightmost one that is no proxy."""

    async def scenario() -> None:
        store = populated_store()
        service = InProcess(store, failures_per_hour=1, trusted_proxies=("10.0.0.0/8",))
        path, query = f"/v23.0/{SOLUTION}/access_token", f"business_id={CUSTOMER}"
        good = {"Authorization": f"Bearer {store.add_credential(OWNER)}"}
        forged = {"Authorization": "Bearer wrong", "X-Forwarded-For": "203.0.113.9, 198.51.100.1, 10.0.0.2"}
        await service.request(path, query, forged, peer="10.0.0.1")

        assert (await service.request(path, query, {**good, "X-Forwarded-For": "198.51.100.1"}, peer="10.0.0.1")).status == 429
        assert (await service.request(path, query, {**good, "X-Forwarded-For": "203.0.113.9"}, peer="10.0.0.1")).status == 200

    asyncio.run(scenario())


def test_the_trail_says_what_a_token_reaches() -> None:
    """The event of an issuance names the WABAs the token names, and only counts them where the token had no room for them."""

    async def scenario() -> None:
        store = populated_store()
        service = InProcess(store)
        token, other = store.add_credential(OWNER), store.add_credential(OWNER)
        many = tuple(WabaId(str(number)) for number in range(1_000_000_000_000_000, 1_000_000_000_000_200))
        for wabas in ((WabaId("81"), WabaId("82")), many):
            store.share(SOLUTION, CUSTOMER, wabas=wabas)
            service.grants.forget([Change(ChangeKind.SHARE, SOLUTION, CUSTOMER)])
            await service.token(token)
            await service.token(other)

        assert [{**event.detail, "expires_at": ""} for event in service.trail.events] == [
            {"scope": "whatsapp_business_management whatsapp_business_messaging", "expires_at": "", **reach}
            for reach in ({"wabas": "81 82"}, {"wabas": "81 82"}, {"wabas_count": "200"}, {"wabas_count": "200"})
        ]

    asyncio.run(scenario())
