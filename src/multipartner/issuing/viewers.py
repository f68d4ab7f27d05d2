"""Station 2 of all operations but the token's: who asks, with a caller token, a granular or an app token."""

import msgspec

from multipartner.crypto.credentials import proof_matches
from multipartner.crypto.sealing import MasterKeys
from multipartner.domain.graph import Presented, Viewer, ViewerKind
from multipartner.domain.model import (
    MANAGEMENT_ONLY,
    AppId,
    BusinessId,
    Caller,
    CredentialId,
    Permission,
    Secret,
    SolutionId,
    SystemUserId,
    Tenant,
)
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.app_tokens import AppTokens
from multipartner.issuing.authenticate import Authenticator, unsealed
from multipartner.issuing.introspect import Introspection, Introspector
from multipartner.storage.ports import AppRecord, Reader


class Authenticated(msgspec.Struct, frozen=True):
    """Who asks, the app it asks for, and as what its calls are counted."""

    viewer: Viewer
    app: AppRecord
    caller: Caller


class Viewers:
    """Checks whatever credential comes. Granular tokens are judged as introspection does, so a change ends them here too."""

    def __init__(
        self, reader: Reader, master: MasterKeys, authenticate: Authenticator, introspect: Introspector, app_tokens: AppTokens
    ) -> None:
        self._reader = reader
        self._master = master
        self._authenticate = authenticate
        self._introspect = introspect
        self._app_tokens = app_tokens

    async def __call__(self, presented: Presented) -> Authenticated | Refusal:
        """Say who asks, or refuse. Raises StorageUnavailable."""
        text = presented.bearer.reveal() if presented.bearer is not None else ""
        if "|" not in text and text.count(".") != 2:
            return await self._with_caller_token(presented)
        if presented.query_token and not self._authenticate.accepts_query_token:
            return Refusal(Reason.CALLER_IN_QUERY)
        if "|" in text:
            return await self._with_app_token(presented, text)
        return await self._with_granular_token(presented, text)

    async def _with_caller_token(self, presented: Presented) -> Authenticated | Refusal:
        known = await self._authenticate(presented)
        if isinstance(known, Refusal):
            return known
        caller = known.caller
        app = await self._reader.app(caller.app_id)
        if app is None:
            return Refusal(Reason.CALLER_UNKNOWN, fact="its app is gone")
        actor = f"credential:{caller.credential_id}"
        viewer = Viewer(
            ViewerKind.CALLER, caller.app_id, caller.system_user_id, caller.permissions, actor, business_id=app.business_id
        )
        return Authenticated(viewer, app, caller)

    async def _with_app_token(self, presented: Presented, text: str) -> Authenticated | Refusal:
        app = await self._app_tokens(Secret(text))
        if isinstance(app, Refusal):
            return app
        return self._check_proof(presented, text, app) or _as_app(app)

    async def client(self, presented: Presented, app_id: str, secret: Secret) -> Authenticated | Refusal:
        """Say which app comes as an OAuth client with its secret, or refuse: the secret itself is all the proof there can be.

        Raises StorageUnavailable.
        """
        if presented.query_token and not self._authenticate.accepts_query_token:
            return Refusal(Reason.CALLER_IN_QUERY)
        app = await self._app_tokens.authenticated(app_id, secret.reveal())
        return Refusal(Reason.APP_TOKEN_INVALID) if app is None else _as_app(app)

    async def _with_granular_token(self, presented: Presented, text: str) -> Authenticated | Refusal:
        told = await self._introspect(text, presented.now)
        app = await self._reader.app(AppId(told.client_id)) if told.active else None
        if app is None:
            return Refusal(Reason.TOKEN_DEAD)
        refusal = self._check_proof(presented, text, app)
        if refusal is not None:
            return refusal
        viewer = _viewer_of(told)
        return Authenticated(viewer, app, _counted_as(app, viewer))

    def _check_proof(self, presented: Presented, text: str, app: AppRecord) -> Refusal | None:
        if presented.proof is None:
            return Refusal(Reason.PROOF_MISSING, fact=f"app {app.app_id}") if app.proof_required else None
        secret = unsealed(self._master, app.secret_sealed, "app", "secret", app.app_id).decode()
        if not proof_matches(presented.proof.reveal(), secret, text):
            return Refusal(Reason.PROOF_INVALID, fact=f"app {app.app_id}")
        return None


def _as_app(app: AppRecord) -> Authenticated:
    viewer = Viewer(ViewerKind.APP, app.app_id, app.app_id, MANAGEMENT_ONLY, f"app:{app.app_id}", None, app.business_id)
    return Authenticated(viewer, app, _counted_as(app, viewer))


def _viewer_of(told: Introspection) -> Viewer:
    tenant = Tenant(AppId(told.client_id), SolutionId(told.solution_id), BusinessId(told.business_id))
    permissions = frozenset(Permission(name) for name in told.scope.split())
    waba_ids = tuple(waba for detail in told.authorization_details for waba in detail.waba_ids)
    return Viewer(ViewerKind.GRANULAR, tenant.app_id, told.sub, permissions, f"token:{told.jti}", tenant, waba_ids=waba_ids)


def _counted_as(app: AppRecord, viewer: Viewer) -> Caller:
    """Calls with an app's own or a granular token count against the app, as those of its callers do."""
    return Caller(
        CredentialId(viewer.actor),
        SystemUserId(viewer.id),
        app.app_id,
        viewer.permissions,
        app.calls_per_hour,
        app.calls_per_business_per_hour,
    )
