"""The demo world's companies with every kind of credential, and the names of the table."""

import asyncio
import json
from typing import Any, Final

from deployment import ACT, DemoDeployment
from fakes import Reply
from multipartner.domain.model import AppId, BusinessId, CredentialId, SolutionId, Tenant
from multipartner.partnering.credentials import revoke_credential
from multipartner.partnering.lives import restore_grant
from serving import OWNER_APP, OWNER_USER, PARTNER_APP, SHARING, SHARING_TOO, SOLUTION
from solutions.companies import FORM, JSON, SIDES, Companies

NAMES: Final = {
    "solution": SOLUTION,
    "others_solution": "19510788341329023",
    "ended_solution": "684885962212487",
    "owner_app": OWNER_APP,
    "partner_app": PARTNER_APP,
    "owner_user": OWNER_USER,
    "owner_business": "869452005598175",
    "a": SHARING,
    "b": SHARING_TOO,
    "lumen": "9638189932390634",
    "waba_a": "3736568475388304",
    "waba_b": "8638464517926266",
    "waba_b_unshared": "206988415877711",
    "waba_withdrawn": "76481125580067598",
    "waba_of_revoked_grant": "87487354599953938",
    "waba_lumen": "65316941514939978",
    "number_a": "479674803286150",
    "number_b": "73369469190117985",
    "number_withdrawn": "990346335648620",
    "nobody": "999999999999999",
}
"""Things of the demo world that calls leave as they are."""


class World(Companies):
    """The service, and one of each kind of credential."""

    def __init__(self, demo: DemoDeployment, runner: asyncio.Runner) -> None:
        super().__init__(demo, runner, failures_per_hour=100_000, calls_per_hour=100_000)
        self._demo = demo
        self._unmoved: dict[str, str] = {}
        self.tokens["granular_a"] = self._granular(SHARING)
        self.tokens["granular_b"] = self._granular(SHARING_TOO)
        self.tokens["app"] = f"{OWNER_APP}|{demo.secrets[AppId(OWNER_APP)].reveal()}"
        self.tokens["revoked"] = revoked = demo.caller_token(OWNER_USER, OWNER_APP)
        demo.operate(lambda o: revoke_credential(o.store, ACT, CredentialId(revoked.split("_")[1])))
        assets = {path.rsplit(".")[-1]: path for _, path in self.service.app.served() if path.startswith("/docs/")}
        self._assets = {"style": assets["css"], "script": assets["js"], "icon": assets["svg"]}

    def named(self, path: str) -> str:
        """Put ids in place of a path's names."""
        for name in ("invited", "accepted", "asked", "intent"):
            if f"{{{name}}}" in path and name not in self._unmoved:
                self._unmoved[name] = self._at(name)
        return path.format(**NAMES, **self._assets, **self._unmoved)

    def ask(self, who: str, method: str, path: str, body: Any = None, form: bytes | None = None) -> Reply:
        """One call; `who` is one of the table's credentials, and `path` has no names any more."""
        headers = {} if who == "none" else {"Authorization": f"Bearer {self.tokens[who]}"}
        sent = form or b""
        if body is not None:
            sent = json.dumps(body).encode()
        if sent:
            headers["Content-Type"] = JSON if form is None else FORM
        place, _, query = path.partition("?")
        whole = place if place.startswith("/") else f"/v23.0/{place}"
        # Nothing to wait for: what the calls change is known to the service that changed it.
        reply = self._runner.run(self.request(whole, query, headers, method=method, body=sent))
        if method == "POST" and reply.status == 200:
            self._unmoved.clear()
        if method == "DELETE" and reply.status == 200:
            self._given_anew(who)
        return reply

    def _given_anew(self, who: str) -> None:
        """Give a credential again that a call has just ended."""
        if who in SIDES:
            self.tokens[who] = self._demo.caller_token(*SIDES[who])
            return
        business_id = {"granular_a": SHARING, "granular_b": SHARING_TOO}[who]
        tenant = Tenant(AppId(OWNER_APP), SolutionId(SOLUTION), BusinessId(business_id))
        self._demo.operate(lambda o: restore_grant(o.store, ACT, tenant))
        self.tokens[who] = self._granular(business_id)

    def _granular(self, business_id: str) -> str:
        given = self.call("owner", "GET", f"{SOLUTION}/access_token", query=f"business_id={business_id}")
        return str(given.json["access_token"])

    def _at(self, name: str) -> str:
        """A new solution, invited, accepted or asked to end; or an intent to move a WABA to another one."""
        if name == "intent":
            set_ = self.call(
                "partner", "POST", f"{NAMES['waba_a']}/set_solution_migration_intent", {"solution_id": NAMES["others_solution"]}
            )
            return str(set_.json["migration_intent_id"])
        made = self.create()
        if name != "invited":
            self.call("partner", "POST", f"{made}/accept")
        if name == "asked":
            self.call("owner", "POST", f"{made}/send_deactivation_request")
        return made
