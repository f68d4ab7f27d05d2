"""A service and its facts on a real engine, with the hands and the names that the memory store has in `fakes`."""

import asyncio
import base64
import itertools
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar
from urllib.parse import urlencode

from deployment import ACT, NOW_S, Deployment
from fakes import NOON_S, InProcess
from multipartner.crypto.credentials import new_generation
from multipartner.domain import world as w
from multipartner.domain.model import (
    AppId,
    BusinessId,
    Instant,
    Permissions,
    SolutionId,
    SolutionStatus,
    SystemUserId,
    Tenant,
    WabaId,
)
from multipartner.operating import Operator, open_operator
from multipartner.partnering.credentials import Wanted, create_credential, create_resource_server
from multipartner.storage.change_ports import Changes, Mark
from multipartner.web.oauth import INTROSPECTION_PATH
from multipartner.wiring import Service, build_service

Result = TypeVar("Result")

HOME = BusinessId("9000000000000001")
USER = SystemUserId("9100000000000001")


class RealStore:
    """Changes through the operators' port; each is acknowledged when its method returns."""

    def __init__(self, deployment: Deployment, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._held = AsyncExitStack()
        self._operator: Operator = runner.run(self._held.enter_async_context(open_operator(deployment.settings())))
        self._seconds = itertools.count(NOW_S)
        self._solutions: dict[SolutionId, w.Solution] = {}
        self._shared: dict[tuple[SolutionId, BusinessId], w.Share] = {}
        self.grant_generation: set[Tenant] = set()
        self._change(
            lambda c: c.put_businesses([w.Business(HOME, "Home")]),
            lambda c: c.put_system_users([w.SystemUser(USER, HOME, "Robot")]),
        )

    def close(self) -> None:
        self._runner.run(self._held.aclose())

    def add_app(self, app_id: AppId) -> None:
        sealed = self._operator.master.seal(b"0" * 32, "app", "secret", app_id)
        self._change(lambda c: c.add_app(w.App(app_id, HOME, "App"), sealed, self._mark()))

    def add_credential(self, app_id: AppId, permissions: Permissions) -> str:
        wanted = Wanted(USER, app_id, permissions)
        made = self._runner.run(create_credential(self._operator.store, self._operator.master, ACT, wanted))
        return made.text.reveal()

    def add_resource_server(self) -> str:
        """Returns its credential, as HTTP's Basic scheme wants it."""
        made = self._runner.run(create_resource_server(self._operator.store, self._operator.master, ACT, "messages"))
        return base64.b64encode(f"{made.id}:{made.text.reveal()}".encode()).decode()

    def add_solution(self, solution_id: SolutionId, owner: AppId, partner: AppId) -> None:
        solution = w.Solution(solution_id, "Solution", w.Side(owner, messaging=True), w.Side(partner))
        self._solutions[solution_id] = solution
        self._change(lambda c: c.add_solution(solution, self._mark()))

    def add_key(self) -> None:
        """The deployment has one."""

    def share(
        self, solution_id: SolutionId, business_id: BusinessId, wabas: tuple[WabaId, ...], permissions: Permissions
    ) -> None:
        solution = self._solutions[solution_id]
        apps = (solution.owner.app, solution.partner.app)
        share = w.Share(business_id, solution_id, wabas, tuple(sorted(permissions, key=lambda p: p.value)))
        known = (solution_id, business_id) in self._shared
        self._shared[solution_id, business_id] = share
        self.grant_generation |= {Tenant(app, solution_id, business_id) for app in apps}

        async def put(c: Changes) -> None:
            await c.put_businesses([w.Business(business_id, "Customer")])
            await c.put_wabas([(business_id, w.Waba(waba, "WABA")) for waba in wabas])
            await c.connect([w.Connection(business_id, app) for app in apps], NOW_S)
            if known:
                await c.change_share(share, self._mark())
            else:
                await c.add_share(share, self._mark(), {app: self._mark() for app in apps})

        self._change(put)

    def withdraw(self, solution_id: SolutionId, business_id: BusinessId) -> None:
        self._change(lambda c: c.withdraw_share(business_id, solution_id, self._mark()))

    def set_status(self, solution_id: SolutionId, status: SolutionStatus) -> None:
        before = self._solutions[solution_id]
        solution = w.Solution(before.id, before.name, before.owner, before.partner, status)
        self._change(lambda c: c.change_solution(solution, self._mark()))

    def suspend(self, app_id: AppId, *, suspended: bool) -> None:
        status = w.AppStatus.SUSPENDED if suspended else w.AppStatus.ACTIVE
        self._change(lambda c: c.set_app_status(app_id, status, self._mark()))

    def set_grant(self, tenant: Tenant, *, active: bool) -> None:
        self._change(lambda c: c.set_grant(tenant, self._mark(), active=active))

    def _mark(self) -> Mark:
        return Mark(new_generation(), next(self._seconds))

    def _change(self, *steps: Any) -> None:
        async def change() -> None:
            async with self._operator.store.transaction() as changes:
                for step in steps:
                    await step(changes)

        self._runner.run(change())


class RealService(InProcess):
    """The service as `serve` builds it, called in process; before each request its feed has heard of every change."""

    def __init__(self, deployment: Deployment, runner: asyncio.Runner, introspecting: str, **settings: Any) -> None:
        self.now = Instant(NOON_S, 10**15)
        self._runner = runner
        self._introspecting = introspecting
        # The shortest patience there is: so a feed that polls is asked often, and the test does not wait.
        chosen = deployment.settings(stale_for_s=0.1, issuer="https://tokens.example", **settings)
        self.service: Service = build_service(chosen, clock=lambda: self.now)
        self.app = self.service.app
        runner.run(self.service.open())

    def close(self) -> None:
        self._runner.run(self.service.close())

    def run(self, request: Coroutine[Any, Any, Result]) -> Result:
        """Run a request once every change that was acknowledged can be known."""

        async def heard() -> Result:
            confirmation = getattr(self.service._reader, "confirmation", None)
            if confirmation is not None:
                await confirmation()
            return await request

        return self._runner.run(heard())

    def introspect(self, token: str) -> dict[str, Any]:
        headers = {"Authorization": f"Basic {self._introspecting}", "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"token": token}).encode()
        reply = self.run(self.request(INTROSPECTION_PATH, headers=headers, method="POST", body=body))
        assert reply.status == 200, reply.body
        return dict(reply.json)
