"""Other people's clients inspect tokens and get app tokens, each by its own method where it has one."""

from contextlib import closing
from typing import Any

import pytest

from clients.foreign_code import foreign_warnings
from clients.test_sdks import facebook_sdk as token_of
from running import App, Running, running

__all__ = ["foreign_warnings", "running"]


def facebook_sdk(demo: Running, app: App, token: str) -> tuple[str, dict[str, Any]]:
    """facebook-sdk: both methods are its own."""
    import facebook  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import

    facebook.FACEBOOK_GRAPH_URL = demo.url + "/"
    api = facebook.GraphAPI(access_token=app.caller_token)
    api.version = "v23.0"
    return api.get_app_access_token(app.id, app.secret), api.debug_access_token(token, app.id, app.secret)["data"]


def python_facebook_api(demo: Running, app: App, token: str) -> tuple[str, dict[str, Any]]:
    """python-facebook-api: both methods are its own, `appsecret_proof` of the app token beside."""
    from pyfacebook import GraphAPI  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import

    api = GraphAPI(
        app_id=app.id,
        app_secret=app.secret,
        access_token=app.caller_token,
        version="v23.0",
        base_url=demo.url + "/",
        access_token_url=demo.url + "/v23.0/oauth/access_token",
    )
    given = api.get_app_token()["access_token"]
    return given, api.debug_token(token, given)["data"]


def pywa(demo: Running, app: App, token: str) -> tuple[str, dict[str, Any]]:
    """pywa: a method for the app token, which then goes in the header."""
    from pywa.client import WhatsApp  # noqa: PLC0415 - slow to import

    client: Any = WhatsApp(phone_id="1", token=app.caller_token)
    client.api._session.base_url = demo.url + "/v23.0"
    with closing(client.api._session):
        given = client.api.get_app_access_token(int(app.id), app.secret)["access_token"]
        headers = {"Authorization": f"Bearer {given}"}
        answer = client.api._session.get("/debug_token", params={"input_token": token}, headers=headers)
    return given, answer.json()["data"]


def facebook_business(demo: Running, app: App, token: str) -> tuple[str, dict[str, Any]]:
    """The official SDK: generic calls, the caller token and its proof in the query."""
    from facebook_business.api import FacebookAdsApi  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import
    from facebook_business.session import FacebookSession  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    FacebookSession.GRAPH = demo.url
    api = FacebookAdsApi.init(
        app_id=app.id, app_secret=app.secret, access_token=app.caller_token, api_version="v23.0", crash_log=False
    )
    with closing(api._session.requests):
        data = api.call("GET", ("debug_token",), params={"input_token": token}).json()["data"]
    return f"{app.id}|{app.secret}", data


@pytest.mark.parametrize(
    "client", [facebook_sdk, python_facebook_api, pywa, facebook_business], ids=lambda client: client.__name__
)
def test_unmodified_client_inspects(running: Running, client: Any) -> None:
    """An unmodified client gets the app token by id and secret, and reads what a granular token is for."""
    token = token_of(running, running.business[200], running.owner)
    assert isinstance(token, str)

    app_token, data = client(running, running.owner, token)

    assert app_token == f"{running.owner.id}|{running.owner.secret}"
    assert (data["is_valid"], data["app_id"]) == (True, running.owner.id)
    assert data["user_id"] == f"{running.business[200]}.{running.owner.id}"
    assert all(scope["target_ids"] for scope in data["granular_scopes"])
