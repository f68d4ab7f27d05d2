"""A change between any two steps: what was read before it never outlives it, and no change is worth a stop."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from fakes import CUSTOMER, OWNER, PARTNER, SIBLING, SOLUTION, WABA, InProcess, MemoryStore, populated_store
from multipartner.domain.model import MANAGEMENT_ONLY, AppId, BusinessId, CredentialId, Facts, Tenant, WabaId
from multipartner.domain.reasons import Reason
from multipartner.issuing.cache import BoundedCache
from multipartner.storage.ports import CallerRecord, Change, ChangeKind


class SlowStore(MemoryStore):
    """A store whose reads take long enough for a change to overtake them, once."""

    overtake: Callable[[], None] | None = None

    async def facts(self, tenant: Tenant) -> Facts:
        read = await super().facts(tenant)
        self._pass()
        return read

    async def caller(self, credential_id: CredentialId) -> CallerRecord | None:
        read = await super().caller(credential_id)
        await asyncio.sleep(0)
        self._pass()
        return read

    def _pass(self) -> None:
        if self.overtake is not None:
            overtake, self.overtake = self.overtake, None
            overtake()


def _slow() -> SlowStore:
    store = SlowStore()
    vars(store).update({k: v for k, v in vars(populated_store()).items() if k != "overtake"})
    return store


def test_a_load_that_a_change_overtook_is_not_kept() -> None:
    """Whatever changes while facts are being read, the next request after a withdrawal obeys it."""

    async def scenario() -> None:
        store = _slow()
        token, other = store.add_credential(OWNER), store.add_credential(PARTNER)
        service = InProcess(store)

        def unrelated() -> None:
            store.share(SOLUTION, SIBLING, (WabaId("82"),))
            service.grants.catch_up(service.now.boot_ns)

        store.overtake = unrelated
        await service.token(other)
        store.overtake = unrelated
        assert (await service.token(token)).status == 200
        store.withdraw(SOLUTION, CUSTOMER)

        assert [(await service.token(token)).status for _ in range(3)] == [422] * 3

    asyncio.run(scenario())


def test_a_caller_that_a_change_overtook_is_not_kept() -> None:
    """Whatever changes while a caller is being read, the next request after its revocation is refused."""

    async def scenario() -> None:
        store = _slow()
        token, other = store.add_credential(OWNER), store.add_credential(PARTNER)
        service = InProcess(store)

        def unrelated() -> None:
            store.revoke_credential(other, 1)
            service.grants.catch_up(service.now.boot_ns)

        store.overtake = unrelated
        assert (await service.token(token)).status == 200
        store.revoke_credential(token, 1)

        assert [(await service.token(token)).status for _ in range(3)] == [401] * 3

    asyncio.run(scenario())


def test_the_key_set_follows_the_feed() -> None:
    """A key dropped and acknowledged is gone from the very next key set, and without a confirmed feed there is none."""

    async def scenario() -> None:
        store = populated_store()
        service = InProcess(store)
        before = (await service.request("/.well-known/jwks.json")).json["keys"]
        store.keys.clear()
        kid = store.add_key()
        after = (await service.request("/.well-known/jwks.json")).json["keys"]
        store.broken = "away"

        assert [key["kid"] for key in after] == [kid] != [key["kid"] for key in before]
        assert (await service.request("/.well-known/jwks.json")).status == 503

    asyncio.run(scenario())


def test_an_emptied_ring_verifies_nothing() -> None:
    """When a foreign tool deletes every key, tokens are dead and none is issued, warm or not."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        service = InProcess(store)
        granted = (await service.token(token)).json["access_token"]
        kid = store.keys[0].kid
        store.keys.clear()
        store.tell(ChangeKind.SIGNING_KEY, kid)

        assert (await service.token(token)).status == 500
        assert not (await service.introspector(granted, service.now)).active

    asyncio.run(scenario())


@pytest.mark.parametrize("what", ["consent", "side", "wabas"])
def test_a_foreign_narrowing_is_obeyed_without_a_new_generation(what: str) -> None:
    """A tool that narrows a fact and forgets the generation still ends what the token no longer may, and widens nothing."""

    async def scenario() -> None:
        store = populated_store()
        service = InProcess(store)
        granted = (await service.token(store.add_credential(OWNER))).json["access_token"]
        share, solution = store.shares[SOLUTION, CUSTOMER], store.solutions[SOLUTION]
        if what == "consent":
            store.shares[SOLUTION, CUSTOMER] = msgspec.structs.replace(share, permissions=MANAGEMENT_ONLY)
        elif what == "side":
            store.solutions[SOLUTION] = msgspec.structs.replace(solution, owner_messaging=False)
        else:
            store.shares[SOLUTION, CUSTOMER] = msgspec.structs.replace(share, waba_ids=(WABA, WabaId("999")))
        store.tell(ChangeKind.EVERYTHING)
        told = await service.introspector(granted, service.now)

        assert [detail.waba_ids for detail in told.authorization_details] == ([(WABA,)] if what == "wabas" else [])
        assert told.active == (what == "wabas")

    asyncio.run(scenario())


def test_no_token_is_issued_dead() -> None:
    """Attack 47: when facts changed in the future by this clock, the transient 500 is told, not a token that nobody accepts."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER)
        for ahead_s, status in ((0, 200), (60, 200), (61, 500), (3000, 500)):
            service = InProcess(store)
            store.changed_at_s = service.now.wall_s + ahead_s
            reply = await service.token(token)
            assert reply.status == status
            if status == 200:
                assert (await service.introspector(reply.json["access_token"], service.now)).active

    asyncio.run(scenario())


def test_one_app_cannot_reset_the_counts_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attacks 52, 53: an app that asks for more invented businesses than have room leaves the counts of others alone."""
    monkeypatch.setattr("multipartner.issuing.limits.BUSINESSES_PER_APP", 5000)

    async def scenario() -> None:
        store = populated_store()
        victim = store.add_credential(OWNER, calls_per_business_per_hour=2)
        over, within = store.add_credential(PARTNER, calls_per_hour=1), store.add_credential(PARTNER)
        service = InProcess(store)
        assert [(await service.token(victim)).status for _ in range(3)] == [200, 200, 429]
        await service.token(over)
        counted = service.limiter._businesses[PARTNER]
        for n in range(1000):
            assert (await service.token(over, BusinessId("9" * 3000 + str(n)))).status == 429
        assert len(counted) == 1
        for n in range(6000):
            counted.counter(n, service.now.boot_ns)
        await service.token(within, BusinessId("9" * 3000))

        assert len(counted) == 5000
        assert (await service.token(victim)).status == 429
        assert max(len(key) for key in counted._counters if isinstance(key, str | bytes)) <= 32

    asyncio.run(scenario())


def test_wrong_proofs_are_failed_authentications() -> None:
    """A stolen token of an app that requires proofs does not buy unlimited tries: its address waits."""

    async def scenario() -> None:
        store = populated_store()
        token = store.add_credential(OWNER, proof_required=True)
        service = InProcess(store, failures_per_hour=3)

        assert [(await service.token(token, more="&appsecret_proof=00")).status for _ in range(4)] == [400, 400, 400, 429]

    asyncio.run(scenario())


def test_a_value_that_does_not_open_is_a_fault_of_the_store() -> None:
    """A secret sealed for another row gives the transient 500 with the row in the operator's words, not an unexpected error."""

    async def scenario() -> None:
        store = populated_store()
        store.master.seal(b"x", "app", "secret", OWNER)
        token = store.add_credential(OWNER, proof_required=True)
        record = next(iter(store.credentials.values()))
        moved = store.master.seal(b"secret", "app", "secret", PARTNER)
        store.credentials[record.caller.credential_id] = msgspec.structs.replace(record, app_secret_sealed=moved)
        service = InProcess(store)
        reply = await service.token(token, more="&appsecret_proof=00")

        assert reply.status == 500
        assert service.trail.refusals[-1].reason is Reason.FACTS_UNAVAILABLE
        assert OWNER in service.trail.refusals[-1].fact

    asyncio.run(scenario())


def test_nothing_that_is_cached_prints_a_token() -> None:
    """Attack 57: the repr of everything the service keeps in memory shows no token."""

    async def scenario() -> None:
        store = populated_store()
        caller = store.add_credential(OWNER)
        service = InProcess(store)
        granted = (await service.token(caller)).json["access_token"]
        entry = await service.grants.entry(Tenant(OWNER, SOLUTION, CUSTOMER))
        shown = repr(entry) + repr(entry.tokens) + repr(vars(service.app)) + repr(service.trail.events)

        assert granted not in shown
        assert granted.split(".")[2] not in shown
        assert caller.split("_")[2] not in shown

    asyncio.run(scenario())


def test_many_changes_cost_one_look_through_the_cache() -> None:
    """A thousand changes at once are told in one pass: a world applied under load does not stop the service."""
    looks = 0

    class Counting(BoundedCache[Tenant, object]):  # type: ignore[type-var] # never filled
        def drop_where(self, matches: Callable[[Tenant, object], bool]) -> None:
            nonlocal looks
            looks += 1
            super().drop_where(matches)

    service = InProcess(populated_store())
    vars(service.grants)["_entries"] = Counting(10)
    kinds = (ChangeKind.APP, ChangeKind.SOLUTION, ChangeKind.CONNECTION, ChangeKind.SHARE, ChangeKind.CREDENTIAL)
    service.grants.forget([Change(kind, AppId(str(n)), "1") for n in range(200) for kind in kinds])

    assert looks == 1
