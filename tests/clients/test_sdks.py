"""Other people's clients, installed as they are published, against the running service."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from clients.foreign_code import foreign_warnings
from running import App, Running, running

__all__ = ["foreign_warnings", "running"]


@dataclass(frozen=True)
class Told:
    """What a client made of a refusal; what it does not tell is None."""

    status: int | None
    code: int | None
    subcode: int | None
    transient: bool | None = None


Call = Callable[[Running, str, App], "str | Told"]
"""Asks for a business' token with an app's credentials; gives the token or what the client's typed error tells."""


def facebook_business(demo: Running, business_id: str, app: App) -> str | Told:
    """The official Python SDK: token in the query, `appsecret_proof` on every call."""
    from facebook_business.api import FacebookAdsApi  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import
    from facebook_business.exceptions import FacebookRequestError  # type: ignore[import-untyped]  # noqa: PLC0415 - as above
    from facebook_business.session import FacebookSession  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    FacebookSession.GRAPH = demo.url
    api = FacebookAdsApi.init(
        app_id=app.id, app_secret=app.secret, access_token=app.caller_token, api_version="v23.0", crash_log=False
    )
    try:
        answer = api.call("GET", (demo.solution_id, "access_token"), params={"business_id": business_id})
    except FacebookRequestError as error:
        return Told(error.http_status(), error.api_error_code(), error.api_error_subcode(), error.api_transient_error())
    return str(answer.json()["access_token"])


def python_facebook_api(demo: Running, business_id: str, app: App) -> str | Told:
    """python-facebook-api: token in the query, `appsecret_proof` on every call, JSON content type demanded."""
    from pyfacebook import FacebookError, GraphAPI  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import

    api = GraphAPI(app_id=app.id, app_secret=app.secret, access_token=app.caller_token, version="v23.0", base_url=demo.url + "/")
    try:
        answer = api.get_connection(demo.solution_id, "access_token", business_id=business_id)
    except FacebookError as error:
        # It copies the members that came onto the error, so one that did not come is no attribute.
        return Told(None, error.code, getattr(error, "error_subcode", None), getattr(error, "is_transient", None))
    return str(answer["access_token"])


def facebook_sdk(demo: Running, business_id: str, app: App) -> str | Told:
    """facebook-sdk: token in the query, JSON content type demanded."""
    import facebook  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import

    facebook.FACEBOOK_GRAPH_URL = demo.url + "/"
    api = facebook.GraphAPI(access_token=app.caller_token)
    api.version = "v23.0"
    try:
        answer = api.get_connections(demo.solution_id, "access_token", business_id=business_id)
    except facebook.GraphAPIError as error:
        return Told(None, error.code, error.result["error"].get("error_subcode"), error.result["error"].get("is_transient"))
    return str(answer["access_token"])


def pywa(demo: Running, business_id: str, app: App) -> str | Told:
    """pywa: token in the header, an error class for each code."""
    from pywa.client import WhatsApp  # noqa: PLC0415 - slow to import
    from pywa.errors import WhatsAppError  # noqa: PLC0415 - as above

    client: Any = WhatsApp(phone_id="1", token=app.caller_token)
    client.api._session.base_url = demo.url + "/v23.0"
    try:
        answer = client.api._request("GET", f"/{demo.solution_id}/access_token", params={"business_id": business_id})
    except WhatsAppError as error:
        return Told(error.status_code, error.code, error.subcode, error.is_transient)
    finally:
        client.api._session.close()
    return str(answer["access_token"])


CLIENTS: list[Call] = [facebook_business, python_facebook_api, facebook_sdk, pywa]
SENDS_PROOF: list[Call] = [facebook_business, python_facebook_api]

REFUSALS = {403: (200, 1349174), 404: (803, None), 422: (100, None)}


def _agrees(told: "str | Told", status: int, code: int, subcode: int | None) -> bool:
    return (
        isinstance(told, Told)
        and told.status in {None, status}
        and (code, subcode) == (told.code, told.subcode)
        and not told.transient
    )


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_unmodified_client_gets_a_token(running: Running, client: Call) -> None:
    """An unmodified client gets a granular token, and those that send appsecret_proof have it accepted."""
    token = client(running, running.business[200], running.owner)

    assert isinstance(token, str)
    assert token.count(".") == 2


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_all_clients_get_the_same_token(running: Running, client: Call) -> None:
    """Whichever client asks, within one window the token is the same bytes."""
    first = facebook_sdk(running, running.business[200], running.owner)
    told = client(running, running.business[200], running.owner)

    # A window may end between the two calls; then the third one is in the new one with the second.
    assert told in {first, facebook_sdk(running, running.business[200], running.owner)}


@pytest.mark.parametrize("outcome", REFUSALS)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_unmodified_client_reads_each_refusal(running: Running, client: Call, outcome: int) -> None:
    """403, 404 and 422 arrive as the client's own typed error with the documented code and subcode."""
    told = client(running, running.business[outcome], running.owner)

    assert _agrees(told, outcome, *REFUSALS[outcome]), told


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_unmodified_client_reads_an_invalid_token(running: Running, client: Call) -> None:
    """401/190 arrives as the client's own typed error."""
    app = running.owner
    wrong = App(app.id, app.name, app.role, app.secret, app.caller_token[:-1] + ("0" if app.caller_token[-1] != "0" else "1"))

    assert _agrees(client(running, running.business[200], wrong), 401, 190, None)


@pytest.mark.parametrize("client", SENDS_PROOF, ids=lambda client: client.__name__)
def test_proof_of_another_secret_is_refused(running: Running, client: Call) -> None:
    """A client that signs with another app's secret gets 400/100: its appsecret_proof is really checked."""
    app = running.owner
    wrong = App(app.id, app.name, app.role, running.partner.secret, app.caller_token)

    assert _agrees(client(running, running.business[200], wrong), 400, 100, None)


def test_pywa_raises_its_class_for_each_code(running: Running) -> None:
    """Our codes become pywa's own classes: 190 to ExpiredAccessToken, 200 to APIPermission."""
    from pywa.client import WhatsApp  # noqa: PLC0415 - slow to import
    from pywa.errors import APIPermission, ExpiredAccessToken  # noqa: PLC0415 - as above

    def ask(token: str, business_id: str) -> None:
        client: Any = WhatsApp(phone_id="1", token=token)
        client.api._session.base_url = running.url + "/v23.0"
        try:
            client.api._request("GET", f"/{running.solution_id}/access_token", params={"business_id": business_id})
        finally:
            client.api._session.close()

    with pytest.raises(ExpiredAccessToken):
        ask("no token", running.business[200])
    with pytest.raises(APIPermission):
        ask(running.owner.caller_token, running.business[403])
