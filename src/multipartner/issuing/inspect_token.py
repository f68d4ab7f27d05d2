"""What a token is: told to the app that it is for, and to nobody else (facts: graph-wire 4.1)."""

from multipartner.domain.graph import Inspected, ViewerKind
from multipartner.domain.model import AppId, Instant, Secret, names_of
from multipartner.domain.reasons import Reason
from multipartner.issuing.app_tokens import AppTokens
from multipartner.issuing.authenticate import Authenticator, ended
from multipartner.issuing.introspect import Introspector, tenant_of
from multipartner.storage.ports import AppReader, AppRecord


class Inspector:
    """Looks at caller tokens, granular tokens and app tokens, as they are judged when somebody comes with them.

    Another app's token is as unknown as one that was never made: the same answer after the same work, so that nobody learns
    of a token whether it is good by asking about it (attacks 13, 31).
    """

    def __init__(self, reader: AppReader, authenticate: Authenticator, introspect: Introspector, app_tokens: AppTokens) -> None:
        self._reader = reader
        self._authenticate = authenticate
        self._introspect = introspect
        self._app_tokens = app_tokens

    async def __call__(self, app_id: AppId, text: Secret, now: Instant) -> Inspected | None:
        """Say what `text` is at `now`; None when it is no token, or another app's. Raises StorageUnavailable."""
        app = await self._reader.app(app_id)
        if app is None:
            return None
        if "|" in text.reveal():
            return await self._app_token(app, text)
        if text.reveal().count(".") == 2:
            return await self._granular_token(app, text, now)
        return await self._caller_token(app, text, now)

    async def _app_token(self, app: AppRecord, text: Secret) -> Inspected | None:
        app_id, _, secret = text.reveal().partition("|")
        found = await self._app_tokens.authenticated(app_id, secret)
        is_own = found is not None and found.app_id == app.app_id
        return Inspected(ViewerKind.APP, app.app_id, app.name) if is_own else None

    async def _caller_token(self, app: AppRecord, text: Secret, now: Instant) -> Inspected | None:
        record = await self._authenticate.record_of(text.reveal())
        if record is None or record.caller.app_id != app.app_id:
            return None
        caller, refusal = record.caller, ended(record, now.wall_s)
        return Inspected(
            ViewerKind.CALLER,
            app.app_id,
            app.name,
            caller.system_user_id,
            names_of(caller.permissions),
            record.created_at_s,
            record.expires_at_s or 0,
            ended=refusal.reason if refusal is not None else None,
            credential_id=caller.credential_id,
        )

    async def _granular_token(self, app: AppRecord, text: Secret, now: Instant) -> Inspected | None:
        signed = await self._introspect.signed(text.reveal(), now)
        # Anybody can check a signature, and so learns nothing; of another app's token no fact is looked at.
        if signed is None or signed.claims.client_id != app.app_id:
            return None
        claims = signed.claims
        waba_ids = () if signed.expired else await self._introspect.reach(claims)
        over = Reason.CALLER_EXPIRED if signed.expired else Reason.CALLER_REVOKED
        return Inspected(
            ViewerKind.GRANULAR,
            app.app_id,
            app.name,
            claims.sub,
            tuple(claims.scope.split()),
            claims.iat,
            claims.exp,
            waba_ids,
            None if waba_ids else over,
            tenant_of(claims),
        )
