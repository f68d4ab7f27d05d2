"""Ready-made use with SDKs: they keep their ways, the token in each call is a fresh one."""

from typing import TYPE_CHECKING

from multipartner.client.adapters.httpx import httpx_auth
from multipartner.client.adapters.requests import RequestsTokenAuth
from multipartner.client.keys import TokenKey
from multipartner.client.provider import TokenProvider

if TYPE_CHECKING:
    import httpx
    from facebook_business.api import FacebookAdsApi  # type: ignore[import-untyped]


def facebook_business_api(
    provider: TokenProvider, key: TokenKey, *, api_version: str = "v23.0", proofs: bool = False
) -> "FacebookAdsApi":
    """Return a `FacebookAdsApi` whose calls carry the tenant's token in the header, not in the query as the SDK alone does."""
    from facebook_business.api import FacebookAdsApi  # noqa: PLC0415 - only those who use it have it
    from facebook_business.session import FacebookSession  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    session = FacebookSession()
    # The SDK puts a token into every query, even when it has none.
    session.requests.params.clear()
    session.requests.auth = RequestsTokenAuth(provider, key, proofs=proofs)
    return FacebookAdsApi(session, api_version=api_version)


def pywa_session(provider: TokenProvider, key: TokenKey, *, proofs: bool = False) -> "httpx.Client":
    """Return the `session` of a `pywa.WhatsApp`; its own `token` may then be any text, and is not sent."""
    import httpx  # noqa: PLC0415 - pywa brings it

    return httpx.Client(auth=httpx_auth(provider, key, proofs=proofs))
