"""The service on a deployment with the demo world, and everything that somebody may come with."""

import asyncio
import base64
from typing import Any
from urllib.parse import urlencode

from deployment import DemoDeployment
from multipartner.crypto.credentials import appsecret_proof
from multipartner.domain.model import AppId
from serving import OWNER_APP, PARTNER_APP, SHARING, SOLUTION, STRANGER_APP
from solutions.companies import FORM, Companies, Reply

__all__ = ["APPS", "FORM", "Bearers", "told"]

APPS = {"owner": OWNER_APP, "partner": PARTNER_APP, "stranger": STRANGER_APP}


class Bearers(Companies):
    """Three companies, their apps' secrets and their customers' tokens."""

    def __init__(self, demo: DemoDeployment, runner: asyncio.Runner, **settings: Any) -> None:
        super().__init__(demo, runner, **settings)
        self.secrets = {name: demo.secrets[AppId(app)].reveal() for name, app in APPS.items()}

    def app_token(self, who: str) -> str:
        return f"{APPS[who]}|{self.secrets[who]}"

    def granular(self, who: str = "owner", business: str = SHARING) -> str:
        """A customer's token for one of the solution's apps."""
        given = self.ask_for(who, business)
        assert given.status == 200, given.body
        return str(given.json["access_token"])

    def ask_for(self, who: str = "owner", business: str = SHARING) -> Reply:
        return self.call(who, "GET", f"{SOLUTION}/access_token", query=f"business_id={business}")

    def inspect(self, who: str, token: str, more: str = "") -> Reply:
        return self.call(who, "GET", "debug_token", query=urlencode({"input_token": token}) + more)

    def data(self, who: str, token: str) -> dict[str, Any]:
        reply = self.inspect(who, token)
        assert reply.status == 200, reply.body
        return dict(reply.json["data"])

    def proved(self, who: str, token: str) -> str:
        """`appsecret_proof` for a token, as a query's end."""
        return "&appsecret_proof=" + appsecret_proof(self.secrets[who], token)

    def revoke(self, who: str, token: str, *, basic: bool = True, **form: str) -> Reply:
        """RFC 7009, by the app of one of them."""
        headers = {"Content-Type": FORM}
        client = {"client_id": APPS[who], "client_secret": self.secrets[who]}
        if basic:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(client.values()).encode()).decode()
            client = {}
        return self.post_revoke(headers, urlencode({"token": token, **client, **form}).encode())

    def post_revoke(self, headers: dict[str, str], body: bytes, method: str = "POST") -> Reply:
        return self.run(self.request("/oauth/revoke", headers=headers, method=method, body=body))


def told(reply: Reply) -> tuple[int, int, int | None]:
    """Status, code and subcode of a refusal."""
    error = reply.json["error"]
    return reply.status, error["code"], error.get("error_subcode")
