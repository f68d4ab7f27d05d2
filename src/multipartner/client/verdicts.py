"""What the flow tells one caller."""

import msgspec

from multipartner.client.failures import Failure
from multipartner.client.flights import Flight
from multipartner.client.tokens import AccessToken


class Serve(msgspec.Struct, frozen=True):
    """Hand this out. With `wait_for` the caller may first wait `soft_wait_s` for a newer one."""

    token: AccessToken
    wait_for: Flight | None = None


class Await(msgspec.Struct, frozen=True):
    """Wait for this flight, then ask again."""

    flight: Flight


class Refuse(msgspec.Struct, frozen=True):
    """Nothing can be had before `retry_at`; `too_short` when a token is there that does not live long enough."""

    failure: Failure
    retry_at: float
    too_short: bool = False


Verdict = Serve | Await | Refuse
