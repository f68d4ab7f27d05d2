"""botocore: `DeferredRefreshableToken`, which its bearer token providers hand out. It takes a clock."""

from datetime import UTC, datetime

from benchmarks.token_providers.each_tenant import EachTenant, taken
from botocore.tokens import DeferredRefreshableToken, FrozenAuthToken

from multipartner.testing.torture import Ability, Adapter, Endpoint, Tenant
from multipartner.testing.torture.clock import SystemTime


class Asked:
    def __init__(self, endpoint: Endpoint) -> None:
        clock = endpoint.clock

        def now() -> datetime:
            return datetime.fromtimestamp(clock.wall(), UTC)

        # Its own clock where there is nothing to turn: that is what a hit costs.
        options = () if isinstance(clock, SystemTime) else (now,)

        def made(tenant: Tenant) -> DeferredRefreshableToken:
            def refresh() -> FrozenAuthToken:
                answer = taken(endpoint.fetch(tenant))
                return FrozenAuthToken(answer.token, datetime.fromtimestamp(answer.expires_at_s, UTC))

            return DeferredRefreshableToken("bench", refresh, *options)

        self._each = EachTenant(made)

    def get(self, tenant: Tenant) -> str:
        return str(self._each.of(tenant).get_frozen_token().token)


class Botocore(Adapter):
    """15 minutes before the end it refreshes in one caller's way, 10 minutes before in everybody's."""

    name = "botocore"
    abilities = Ability.SYNC | Ability.TENANTS | Ability.FORK | Ability.CLOCK
    early_left_s = 800.0

    def make(self, endpoint: Endpoint) -> Asked:
        return Asked(endpoint)
