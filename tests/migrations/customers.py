"""The demo world as migrations see it, and the hands of those who act in it."""

import asyncio
from typing import Any

from deployment import ACT, DemoDeployment
from multipartner.domain.consent import Consent
from multipartner.domain.migration import Intent, IntentId, IntentMove
from multipartner.domain.model import ALL_PERMISSIONS, AppId, BusinessId, Permissions, SolutionId, WabaId
from multipartner.domain.reasons import Reason
from multipartner.operating import Operator, open_operator
from multipartner.partnering.acting import Act, ChangeRefused
from multipartner.partnering.migrations import Named, Wish, accept_intent, decline_intent, move_intent, set_intent
from multipartner.partnering.shares import make_share
from serving import OWNER_APP, PARTNER_APP, SHARING, SOLUTION, STRANGER_APP

OLD, NEW = SolutionId(SOLUTION), SolutionId("19510788341329023")
"""Parcelbee's app is a side of both; Brightline's of the old one, Quillmark's of the new one."""

ENDED = SolutionId("684885962212487")
APP, BRIGHTLINE, QUILLMARK = AppId(PARTNER_APP), AppId(OWNER_APP), AppId(STRANGER_APP)
BOOKS = BusinessId(SHARING)
SHOP, EVENTS = WabaId("3736568475388304"), WabaId("7886060909223278")
OLIVA, OLIVAS_WABA = BusinessId("577542300013003"), WabaId("8638464517926266")
YOGA, YOGAS_WABA = BusinessId("9638189932390634"), WabaId("65316941514939978")


class Hands:
    """An open deployment, and what an app and a customer do in it."""

    def __init__(self, deployment: DemoDeployment) -> None:
        self._runner = asyncio.Runner()
        self._opened = open_operator(deployment.settings())
        self.operator: Operator = self.run(self._opened.__aenter__())
        self.act = ACT

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    def turn(self, seconds: int) -> None:
        """Act so much later."""
        self.act = Act(self.act.actor, self.act.now_s + seconds)

    def set(self, waba: WabaId = SHOP, to: SolutionId = NEW, app: AppId = APP, **more: Any) -> Intent:
        made: Intent = self.run(set_intent(self.operator.store, self.act, app, Wish(waba, to, **more)))
        return made

    def move(self, move: IntentMove, waba: WabaId = SHOP, solution: SolutionId = NEW, app: AppId = APP) -> Intent:
        named = Named(waba, frozenset({solution}))
        moved: Intent = self.run(move_intent(self.operator.store, self.act, app, named, move))
        return moved

    def accept(self, intent: IntentId, permissions: Permissions = ALL_PERMISSIONS, business: BusinessId = BOOKS) -> Intent:
        accepted: Intent = self.run(accept_intent(self.operator.store, self.act, business, intent, permissions))
        return accepted

    def decline(self, intent: IntentId, business: BusinessId = BOOKS) -> Intent:
        declined: Intent = self.run(decline_intent(self.operator.store, self.act, business, intent))
        return declined

    def share(self, *wabas: WabaId, solution: SolutionId = NEW, permissions: Permissions = ALL_PERMISSIONS) -> bool:
        consent = Consent(BOOKS, solution, frozenset(wabas), permissions)
        return bool(self.run(make_share(self.operator.store, self.act, consent)).changed)

    def close(self) -> None:
        self.run(self._opened.__aexit__(None, None, None))
        self._runner.close()


def reason_of(error: ChangeRefused) -> Reason | None:
    return error.refusal.reason if error.refusal else None
