"""The service on a deployment with the demo world, and three companies that call it."""

import asyncio
import json
from typing import Any

from deployment import DemoDeployment
from fakes import Reply
from issuing.real_engine import RealService
from serving import OWNER_APP, OWNER_USER, PARTNER_APP, PARTNER_USER, STRANGER_APP, STRANGER_USER

__all__ = ["FORM", "JSON", "PROPOSAL", "Companies", "Reply"]

SIDES = {"owner": (OWNER_USER, OWNER_APP), "partner": (PARTNER_USER, PARTNER_APP), "stranger": (STRANGER_USER, STRANGER_APP)}
PROPOSAL = {
    "owner_permissions": ["MESSAGING"],
    "partner_app_id": PARTNER_APP,
    "partner_permissions": [],
    "solution_name": "Orders and replies",
}
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Companies(RealService):
    """The service, and three companies that call it."""

    def __init__(self, demo: DemoDeployment, runner: asyncio.Runner, **settings: Any) -> None:
        with demo.held_open() as held:
            self.tokens = {name: held.caller_token(*side) for name, side in SIDES.items()}
        super().__init__(demo, runner, "", **settings)

    def call(self, who: str, method: str, path: str, body: Any = None, query: str = "", kind: str = JSON) -> Reply:
        """One call; `who` is a side, or a token's text."""
        headers = {"Authorization": f"Bearer {self.tokens.get(who, who)}"} if who else {}
        if body is not None:
            headers["Content-Type"] = kind
        sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.run(self.request(f"/v23.0/{path}", query, headers, method=method, body=sent))

    def create(self) -> str:
        made = self.call("owner", "POST", f"{OWNER_APP}/whatsapp_business_solution", PROPOSAL)
        assert made.status == 200, made.body
        return str(made.json["solution_id"])

    def status(self, solution_id: str) -> tuple[str, str]:
        told = self.call("owner", "GET", solution_id).json
        return told["status"], told["status_for_pending_request"]
