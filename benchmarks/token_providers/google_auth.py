"""google-auth: `Credentials.before_request`, blocking as by default or not, with `refresh` as its documentation wants it."""

from datetime import UTC, datetime
from typing import Any, Final

from benchmarks.token_providers.each_tenant import EachTenant, taken
from benchmarks.token_providers.travelling import TravellingClock
from google.auth.credentials import Credentials

from multipartner.testing.torture import Ability, Adapter, Endpoint, Tenant

_NO_TRANSPORT: Final = object()


class Granular(Credentials):  # type: ignore[misc] # the library is not there when types are checked
    """The credentials of one tenant."""

    def __init__(self, endpoint: Endpoint, tenant: Tenant) -> None:
        super().__init__()
        self._endpoint, self._tenant = endpoint, tenant

    def refresh(self, request: Any) -> None:  # noqa: ANN401, ARG002 - the library's interface
        answer = taken(self._endpoint.fetch(self._tenant))
        self.token = answer.token
        # It compares with a time without a zone.
        self.expiry = datetime.fromtimestamp(answer.expires_at_s, UTC).replace(tzinfo=None)


class Asked:
    def __init__(self, endpoint: Endpoint, *, non_blocking: bool) -> None:
        self._each = EachTenant(lambda tenant: self._made(endpoint, tenant, non_blocking))

    def _made(self, endpoint: Endpoint, tenant: Tenant, non_blocking: bool) -> Granular:  # noqa: FBT001 - one caller
        made = Granular(endpoint, tenant)
        if non_blocking:
            made.with_non_blocking_refresh()
        return made

    def get(self, tenant: Tenant) -> str:
        headers: dict[str, str] = {}
        self._each.of(tenant).before_request(_NO_TRANSPORT, "GET", "https://graph.example/", headers)
        return headers["authorization"].removeprefix("Bearer ")

    def reject(self, tenant: Tenant, token: str) -> None:  # noqa: ARG002 - its own session does not look at the token either
        """What `AuthorizedSession` does at a 401."""
        self._each.of(tenant).refresh(_NO_TRANSPORT)


class GoogleAuth(Adapter):
    """As by default: whoever finds the token stale fetches one."""

    name = "google-auth"
    abilities = Ability.SYNC | Ability.TENANTS | Ability.REJECT | Ability.FORK | Ability.CLOCK
    early_left_s = 200.0
    clock = TravellingClock
    non_blocking = False

    def make(self, endpoint: Endpoint) -> Asked:
        return Asked(endpoint, non_blocking=self.non_blocking)


class GoogleAuthNonBlocking(GoogleAuth):
    """With `with_non_blocking_refresh`."""

    name = "google-auth, non-blocking"
    non_blocking = True
