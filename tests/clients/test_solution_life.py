"""A solution's life driven by two SDKs, as two companies would: installed as published, unmodified."""

from contextlib import closing
from typing import Any

import pytest

from clients.foreign_code import foreign_warnings
from running import Running, running

__all__ = ["foreign_warnings", "running"]


class Owner:
    """The official Python SDK: token and `appsecret_proof` in the query, parameters as a form with JSON inside."""

    def __init__(self, demo: Running) -> None:
        from facebook_business.api import FacebookAdsApi  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import
        from facebook_business.session import FacebookSession  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

        FacebookSession.GRAPH = demo.url
        app = demo.owner
        self._api = FacebookAdsApi.init(
            app_id=app.id, app_secret=app.secret, access_token=app.caller_token, api_version="v23.0", crash_log=False
        )

    def close(self) -> None:
        """Let go of its connection, as the SDK itself never does."""
        self._api._session.requests.close()

    def call(self, method: str, path: tuple[str, ...], **params: Any) -> dict[str, Any]:
        """Ask, and give the body."""
        return dict(self._api.call(method, path, params=params).json())

    def refused(self, method: str, path: tuple[str, ...]) -> tuple[int, int]:
        """Ask for what is refused: status and code of the SDK's typed error."""
        from facebook_business.exceptions import FacebookRequestError  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import

        with pytest.raises(FacebookRequestError) as caught:
            self._api.call(method, path)
        return caught.value.http_status(), caught.value.api_error_code()


class Partner:
    """pywa: token in the header, JSON bodies."""

    def __init__(self, demo: Running) -> None:
        from pywa.client import WhatsApp  # noqa: PLC0415 - slow to import

        self._client = WhatsApp(phone_id="1", token=demo.partner.caller_token)
        self._client.api._session.base_url = f"{demo.url}/v23.0"

    def close(self) -> None:
        """Let go of its connection."""
        self._client.api._session.close()

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Ask, and give the body."""
        return dict(self._client.api._request(method, path, **({"json": body} if body else {})))


def test_two_sdks_make_and_end_a_solution(running: Running) -> None:
    """facebook-business invites and asks for the end, pywa accepts and agrees, and each reads what the other did."""
    with closing(Owner(running)) as owner, closing(Partner(running)) as partner:
        made = owner.call(
            "POST",
            (running.owner.id, "whatsapp_business_solution"),
            owner_permissions=["MESSAGING"],
            partner_permissions=[],
            partner_app_id=running.partner.id,
            solution_name="Orders and replies",
        )["solution_id"]

        accepted = partner.call("POST", f"/{made}/accept", partner_app_id=running.partner.id)
        assert (accepted["success"], accepted["partner_status"]) == (True, "ACCEPTED")
        assert owner.call("GET", (made,), fields="status,partners")["partners"]["data"][0]["status"] == "ACCEPTED"

        assert owner.call("POST", (made, "send_deactivation_request"), reason="moving on")["success"] is True
        assert owner.refused("POST", (made, "accept_deactivation_request")) == (403, 200)
        assert partner.call("GET", f"/{made}")["status_for_pending_request"] == "PENDING_DEACTIVATION"
        assert partner.call("POST", f"/{made}/accept_deactivation_request")["status"] == "DEACTIVATED"
        assert owner.refused("POST", (made, "send_deactivation_request")) == (422, 100)
