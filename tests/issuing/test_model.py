"""Attack 29: on random graphs under random changes, a token is issued if and only if an independent oracle says so."""

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from deployment import Blank
from fakes import InProcess, MemoryStore, Reply
from issuing.real_engine import RealService, RealStore
from multipartner.domain.model import AppId, BusinessId, Permission, Permissions, SolutionId, SolutionStatus, Tenant, WabaId
from multipartner.storage.audit import verify

APPS = [AppId(f"51{n}") for n in range(4)]
SOLUTIONS = [SolutionId(f"61{n}") for n in range(3)]
BUSINESSES = [BusinessId(f"71{n}") for n in range(3)]
PARTIES = {"610": ("510", "511"), "611": ("511", "512"), "612": ("512", "510")}
MANAGE, SEND = Permission.MANAGEMENT, Permission.MESSAGING
SETS = [frozenset({MANAGE, SEND}), frozenset({MANAGE}), frozenset({SEND})]

permissions = st.sampled_from(SETS)


class Oracle:
    """The rules once more, from the design's text, in dictionaries of its own."""

    def __init__(self) -> None:
        self.status = dict.fromkeys(SOLUTIONS, "ACTIVE")
        self.suspended: set[str] = set()
        self.shared: dict[tuple[str, str], Permissions] = {}
        self.revoked: set[tuple[str, str, str]] = set()

    def granted(self, app: str, solution: str, business: str, carried: Permissions) -> set[str]:
        owner, partner = PARTIES[solution]
        consented = self.shared.get((solution, business))
        if app not in (owner, partner) or app in self.suspended or MANAGE not in carried or consented is None:
            return set()
        if self.status[SolutionId(solution)] not in ("ACTIVE", "PENDING_DEACTIVATION"):
            return set()
        if (app, solution, business) in self.revoked:
            return set()
        side = {MANAGE, SEND} if app == owner else {MANAGE}
        return {p.value for p in carried & side & consented}


class Issuance(RuleBasedStateMachine):
    """Changes and requests in any order; every token that was ever issued is asked about again after every step."""

    store: Any
    service: Any

    def __init__(self) -> None:
        super().__init__()
        self.oracle = Oracle()
        self.held: dict[str, tuple[str, str, str]] = {}
        self.tokens: dict[tuple[str, Permissions], str] = {}
        self.start()

    def start(self) -> None:
        self.store = MemoryStore()
        self.service = InProcess(self.store, cache_size=4)

    def run(self, request: Coroutine[Any, Any, Reply]) -> Reply:
        return asyncio.run(request)

    @initialize()
    def build(self) -> None:
        for app in APPS:
            self.store.add_app(app)
            for carried in SETS:
                self.tokens[app, carried] = self.store.add_credential(app, carried)
        for solution, (owner, partner) in PARTIES.items():
            self.store.add_solution(SolutionId(solution), AppId(owner), AppId(partner))
        self.store.add_key()

    @rule(solution=st.sampled_from(SOLUTIONS), business=st.sampled_from(BUSINESSES), consent=permissions)
    def share(self, solution: SolutionId, business: BusinessId, consent: Permissions) -> None:
        self.store.share(solution, business, (WabaId("81" + business),), consent)
        self.oracle.shared[solution, business] = consent

    @rule(solution=st.sampled_from(SOLUTIONS), business=st.sampled_from(BUSINESSES))
    def withdraw(self, solution: SolutionId, business: BusinessId) -> None:
        if (solution, business) in self.oracle.shared:
            self.store.withdraw(solution, business)
            del self.oracle.shared[solution, business]

    @rule(solution=st.sampled_from(SOLUTIONS), status=st.sampled_from(SolutionStatus))
    def set_status(self, solution: SolutionId, status: SolutionStatus) -> None:
        self.store.set_status(solution, status)
        self.oracle.status[solution] = status.value

    @rule(app=st.sampled_from(APPS), suspended=st.booleans())
    def suspend(self, app: AppId, suspended: bool) -> None:  # noqa: FBT001 - drawn
        self.store.suspend(app, suspended=suspended)
        (self.oracle.suspended.add if suspended else self.oracle.suspended.discard)(app)

    @rule(
        app=st.sampled_from(APPS), solution=st.sampled_from(SOLUTIONS), business=st.sampled_from(BUSINESSES), active=st.booleans()
    )
    def revoke_grant(self, app: AppId, solution: SolutionId, business: BusinessId, active: bool) -> None:  # noqa: FBT001 - drawn
        tenant = Tenant(app, solution, business)
        if tenant in self.store.grant_generation:
            self.store.set_grant(tenant, active=active)
            (self.oracle.revoked.discard if active else self.oracle.revoked.add)((app, solution, business))

    @rule(seconds=st.sampled_from([1, 600, 1800, 3599, 4000]))
    def wait(self, seconds: int) -> None:
        self.service.turn(seconds)

    @rule(
        app=st.sampled_from(APPS), solution=st.sampled_from(SOLUTIONS), business=st.sampled_from(BUSINESSES), carried=permissions
    )
    def ask(self, app: AppId, solution: SolutionId, business: BusinessId, carried: Permissions) -> None:
        expected = self.oracle.granted(app, solution, business, carried)
        first = self.run(self.service.token(self.tokens[app, carried], business, solution))
        again = self.run(self.service.token(self.tokens[app, carried], business, solution))

        assert (first.status == 200) == bool(expected), first.body
        assert first.status == again.status
        if expected:
            assert first.body == again.body
            told = self.introspect(first.json["access_token"])
            assert set(told["scope"].split()) == expected
            assert (told["client_id"], told["solution_id"], told["business_id"]) == (app, solution, business)
            assert [list(d["waba_ids"]) for d in told["authorization_details"]] == [["81" + business]]
            assert told["exp"] == first.json["expires_at"] >= self.service.now.wall_s + 1800
            self.held[first.json["access_token"]] = (app, solution, business)

    def introspect(self, token: str) -> Any:
        result = asyncio.run(self.service.introspector(token, self.service.now))
        return {name: getattr(result, name) for name in result.__struct_fields__} | {
            "authorization_details": [{"waba_ids": list(d.waba_ids)} for d in result.authorization_details]
        }

    @invariant()
    def nothing_outlives_its_facts(self) -> None:
        for token, (app, solution, business) in self.held.items():
            if self.introspect(token)["active"]:
                assert self.oracle.granted(app, solution, business, SETS[0])


@pytest.mark.both_engines
def test_the_oracle_agrees_on_a_real_engine(blank: Blank) -> None:
    """Attack 29: the same on a real store, through the operators' port, the feed and the trail; afterwards the trail is whole."""

    class OnEngine(Issuance):
        def start(self) -> None:
            self.held_open = ExitStack()
            self.deployment = self.held_open.enter_context(blank())
            runner = self.held_open.enter_context(asyncio.Runner())
            self.store = RealStore(self.deployment, runner)
            self.held_open.callback(self.store.close)
            introspecting = self.store.add_resource_server()
            self.service = RealService(self.deployment, runner, introspecting, cache_size=4, calls_per_hour=1_000_000)
            self.held_open.callback(self.service.close)

        def run(self, request: Coroutine[Any, Any, Reply]) -> Reply:
            reply: Reply = self.service.run(request)
            return reply

        def introspect(self, token: str) -> Any:
            return self.service.introspect(token)

        def teardown(self) -> None:
            deployment = self.deployment
            self.service.close()
            assert verify(deployment.backend).whole
            self.held_open.close()

    run_state_machine_as_test(
        OnEngine,
        settings=settings(
            max_examples=6, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
        ),
    )


TestIssuance = Issuance.TestCase
TestIssuance.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
