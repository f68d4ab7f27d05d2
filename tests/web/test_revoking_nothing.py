"""RFC 7009 while the facts cannot be read or changed."""

import asyncio
from urllib.parse import urlencode

import pytest

from fakes import OWNER, InProcess, populated_store


@pytest.mark.parametrize("broken", ["", "the facts are away"])
def test_when_nothing_can_be_changed_it_is_said(broken: str) -> None:
    """While facts cannot be read, or a change cannot be written, the answer is 503 and never that the token is revoked."""

    async def scenario() -> None:
        store = populated_store()
        service = InProcess(store)
        token = (await service.token(store.add_credential(OWNER))).json["access_token"]
        store.broken = broken
        form = {"token": token, "client_id": OWNER, "client_secret": store.secrets[OWNER]}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = await service.request("/oauth/revoke", headers=headers, method="POST", body=urlencode(form).encode())

        assert (reply.status, reply.json) == (503, {"error": "temporarily_unavailable"})
        assert reply.headers["retry-after"] == "1"
        assert service.trail.refusals[-1].reason.value == "facts_unavailable"

    asyncio.run(scenario())
