"""Tokens as the Graph API inspects, gives and revokes them (facts: graph-wire 4.1, 4.2): none of it in the published contract."""

from typing import Final

from multipartner.domain.graph import ViewerKind
from multipartner.domain.model import Permission, Secret, SystemUserId
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.inspect_token import Inspector
from multipartner.partnering import credentials, lives
from multipartner.partnering.solutions import ChangeStore
from multipartner.web.graph_operations import Operation, Operations, Work
from multipartner.wire import inspected as wire
from multipartner.wire.graph_ask import ME, ParameterRefused, Parameters

_GRANT_TYPE: Final = "client_credentials"
_PERMISSIONS: Final = frozenset(permission.value for permission in Permission)


class TokenLife:
    """Runs them over a store."""

    def __init__(self, store: ChangeStore, inspect: Inspector) -> None:
        self._store = store
        self._inspect = inspect

    def operations(self) -> Operations:
        """All of them, by edge and method."""
        return {
            "/debug_token": {"GET": Operation("debugToken", frozenset({"input_token", "fields"}), self.debug)},
            "/oauth/access_token": {"GET": Operation("getAppAccessToken", _CLIENT, self.app_token, _client_in)},
            "permissions": {"DELETE": Operation("deletePermissions", frozenset(), self.delete_all)},
            "permissions/{permission}": {"DELETE": Operation("deletePermission", frozenset(), self.delete_one)},
        }

    async def debug(self, work: Work) -> bytes | Refusal:
        """`GET /debug_token`: whatever cannot be told of a token is told in the answer's `error`, as of one that never was."""
        text = work.parameters.needed_secret("input_token")
        names = wire.inspected_fields(work.parameters.text("fields"))
        if work.viewer.kind is ViewerKind.GRANULAR:
            return Refusal(Reason.CREDENTIAL_NOT_ENOUGH, work.viewer.kind.value)
        if isinstance(names, Refusal):
            return names
        return wire.inspected(await self._inspect(work.viewer.app_id, text, work.presented.now), names)

    async def app_token(self, work: Work) -> bytes | Refusal:
        """`GET /oauth/access_token`: the app was let in with what its token is made of."""
        app_id, secret = _client_in(work.parameters)
        return wire.app_token(f"{app_id}|{secret.reveal()}")

    async def delete_all(self, work: Work) -> bytes | Refusal:
        """`DELETE /{User-ID}/permissions`: what whoever asks stands for ends with the answer."""
        refusal = _not_oneself(work)
        if refusal is not None:
            return refusal
        if work.viewer.tenant is not None:
            await lives.revoke_grant(self._store, work.act, work.viewer.tenant)
        else:
            await credentials.revoke_access(self._store, work.act, SystemUserId(work.viewer.id), work.viewer.app_id)
        return wire.SUCCESS

    async def delete_one(self, work: Work) -> bytes | Refusal:
        """`DELETE /{User-ID}/permissions/{permission}`."""
        if work.item not in _PERMISSIONS:
            return Refusal(Reason.INVALID_PARAMETER, parameter="permission")
        refusal = _not_oneself(work)
        if refusal is not None:
            return refusal
        if work.viewer.tenant is not None:
            return Refusal(Reason.GRANT_INDIVISIBLE)
        user, permission = SystemUserId(work.viewer.id), Permission(work.item)
        await credentials.narrow_access(self._store, work.act, user, work.viewer.app_id, permission)
        return wire.SUCCESS


_CLIENT: Final = frozenset({"client_id", "client_secret", "grant_type"})


def _client_in(given: Parameters) -> tuple[str, Secret]:
    if given.needed_text("grant_type") != _GRANT_TYPE:
        raise ParameterRefused(Refusal(Reason.INVALID_PARAMETER, fact="grant_type", parameter="grant_type"))
    return given.needed_id("client_id"), given.needed_secret("client_secret")


def _not_oneself(work: Work) -> Refusal | None:
    """Nobody gives up what is another's. An app has no permissions of its own: its secret is renewed instead."""
    if work.viewer.kind is ViewerKind.APP:
        return Refusal(Reason.CREDENTIAL_NOT_ENOUGH, work.viewer.kind.value)
    if work.presented.node_id not in {ME, work.viewer.id}:
        return Refusal(Reason.NODE_UNKNOWN, fact="a credential reaches its own user's permissions alone")
    return None
