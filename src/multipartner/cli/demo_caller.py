"""What the demo asks the service, over HTTP like everybody."""

import base64
import json
from typing import Any

import httpx2

from multipartner.cli.demo_world import Demo
from multipartner.domain.model import Secret

VERSION = "v23.0"


class DemoCaller:
    """The owner's app, and a resource server, of a running demo."""

    def __init__(self, demo: Demo, url: str) -> None:
        self.demo = demo
        self.url = url
        # No proxy, whatever the environment says: the demo is on this machine.
        self._http = httpx2.Client(base_url=url, trust_env=False, timeout=10)

    def path(self) -> str:
        """The operation's path."""
        return f"/{VERSION}/{self.demo.solution.id}/access_token"

    def ask(self, business_id: str) -> tuple[int, dict[str, Any]]:
        """Ask for a granular token: status and JSON."""
        token = self.demo.app("owner").caller_token.reveal()
        answer = self._http.get(self.path(), params={"business_id": business_id}, headers={"Authorization": f"Bearer {token}"})
        return answer.status_code, answer.json()

    def key_set(self) -> dict[str, object]:
        """The published keys."""
        document: dict[str, object] = self._http.get("/.well-known/jwks.json").raise_for_status().json()
        return document

    def introspect(self, token: Secret) -> dict[str, Any]:
        """Ask what a token is good for (RFC 7662)."""
        server = self.demo.resource_server
        auth = (server.id, server.text.reveal())
        document: dict[str, Any] = (
            self._http.post("/oauth/introspect", data={"token": token.reveal()}, auth=auth).raise_for_status().json()
        )
        return document


def decoded(token: Secret) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a granular token, for the eye: nothing is verified."""
    header, claims, _ = token.reveal().split(".")
    return _part(header), _part(claims)


def _part(segment: str) -> dict[str, Any]:
    part: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return part
