"""`POST /oauth/revoke` (RFC 7009): an app ends a token that is for it.

A granular token has no row of its own: every one of a window is the same bytes. So its grant is revoked, which is what it
stands for (docs/decisions/0027).
"""

from collections.abc import Mapping
from typing import Final

from multipartner.domain.graph import Presented, Viewer, ViewerKind
from multipartner.domain.model import Secret
from multipartner.domain.reasons import RULES, Reason, Refusal, Station
from multipartner.issuing.inspect_token import Inspector
from multipartner.issuing.management import Management, TurnedAway
from multipartner.partnering import lives
from multipartner.partnering.acting import Act, UnknownEntity
from multipartner.partnering.credentials import revoke_credential
from multipartner.partnering.solutions import ChangeStore
from multipartner.web.asgi import Receive, Scope, Send, answer
from multipartner.web.oauth_forms import (
    OAuthRefused,
    answer_headers,
    client_in,
    form_of,
    invalid_client,
    later,
    must_post,
    refusing,
    token_in,
)
from multipartner.web.refusing import TurningAway
from multipartner.wire.ask import Arrival

REVOCATION_PATH: Final = "/oauth/revoke"
AUTH_METHODS: Final = ("client_secret_basic", "client_secret_post")
ROUTE: Final = "revoke"


class Revocation:
    """An endpoint of `web.guard.Route`."""

    def __init__(self, management: Management, inspect: Inspector, store: ChangeStore, turn_away: TurningAway) -> None:
        self._management = management
        self._inspect = inspect
        self._store = store
        self._turn_away = turn_away

    async def __call__(self, scope: Scope, receive: Receive, send: Send, arrival: Arrival, named: Mapping[bytes, bytes]) -> None:
        """Answer 200 without a body when the token is none any more, whether it ever was one or not; or an OAuth error."""
        async with refusing(send, self._turn_away, ROUTE, arrival):
            must_post(scope["method"])
            form = await form_of(receive, named)
            token = Secret(token_in(form))
            viewer = await self._client(form, arrival, named.get(b"authorization"))
            await self._revoke(viewer, token, arrival)
            await answer(send, 200, answer_headers(arrival), b"")
            self._turn_away.observer.counts[ROUTE, 200, None] += 1

    async def _client(self, form: Mapping[str, str], arrival: Arrival, authorization: bytes | None) -> Viewer:
        app_id, secret = client_in(form, authorization)
        presented = Presented(
            arrival.trace_id, ROUTE, "", "", bearer=None, proof=None, query_token=False, address=arrival.address, now=arrival.now
        )
        entered = await self._management.enter_client(presented, app_id, Secret(secret))
        if isinstance(entered, TurnedAway):
            raise _refused(entered)
        return entered.viewer

    async def _revoke(self, viewer: Viewer, token: Secret, arrival: Arrival) -> None:
        found = await self._inspect(viewer.app_id, token, arrival.now)
        # Nothing to do for what is no token any more, or another app's: told the same, so that nobody learns which it is.
        if found is None or found.ended is not None:
            return
        if found.kind is ViewerKind.APP:
            raise OAuthRefused(400, "unsupported_token_type", Refusal(Reason.CREDENTIAL_NOT_ENOUGH, found.kind.value))
        act = Act(viewer.actor, arrival.now.wall_s, arrival.trace_id)
        try:
            if found.tenant is not None:
                await lives.revoke_grant(self._store, act, found.tenant)
            elif found.credential_id is not None:
                await revoke_credential(self._store, act, found.credential_id)
        except UnknownEntity:
            return


def _refused(turned_away: TurnedAway) -> OAuthRefused:
    refusal = turned_away.refusal
    if refusal.reason is Reason.APP_SUSPENDED:
        return OAuthRefused(400, "unauthorized_client", refusal)
    if RULES[refusal.reason].station is Station.AUTHENTICATE:
        return invalid_client(refusal, "revocation")
    return later(429 if turned_away.retry_after_s else 503, refusal, turned_away.retry_after_s or 1)
