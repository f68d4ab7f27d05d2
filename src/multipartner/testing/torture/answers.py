"""What the fake endpoint can say, and what it keeps of a call."""

from typing import Final, NamedTuple

import msgspec

from multipartner.testing.torture.adapter import Tenant


class ConnectionCut(ConnectionResetError):  # noqa: N818 - says what happened
    """The connection ended without an answer."""


class Answer(NamedTuple):
    """What the endpoint says: header names in lower case, a JSON body of the published contract."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def token(self) -> str:
        """The token of a 200. Raises KeyError for anything else."""
        return str(msgspec.json.decode(self.body)["access_token"])

    @property
    def expires_at_s(self) -> int:
        """When it ends, Unix seconds. Raises KeyError for anything but a 200."""
        return int(msgspec.json.decode(self.body)["expires_at"])


class Said(NamedTuple):
    """An answer that is no token: what goes into the error body, and the pause that it asks for. Status 0 cuts the connection."""

    status: int
    code: int
    is_transient: bool = False
    retry_after_s: int | None = None


UNAVAILABLE: Final = Said(500, 2, is_transient=True)
CUT: Final = Said(0, 0)
THROTTLED: Final = Said(429, 4, is_transient=True, retry_after_s=60)
DENIED: Final = Said(403, 200)


class Call(NamedTuple):
    """A call that reached the endpoint. `connection` is the caller's port, 0 in process."""

    app_id: str
    tenant: Tenant
    connection: int


class Minted(NamedTuple):
    """A token that the endpoint gave out."""

    app_id: str
    tenant: Tenant
    expires_at_s: int
