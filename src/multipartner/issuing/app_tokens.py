"""App tokens, `{app-id}|{app-secret}`: an app that speaks for itself (facts: graph-wire 4.1, B)."""

import hmac
import re
import secrets
from typing import Final

from multipartner.crypto.sealing import MasterKeys
from multipartner.domain.model import AppId, Secret
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.authenticate import unsealed
from multipartner.storage.ports import AppRecord, Reader

_MOST_CHARS: Final = 512
_APP_ID: Final = re.compile("[0-9]+")


class AppTokens:
    """Checks an app's secret against the sealed one, which is opened for each check and not kept."""

    def __init__(self, reader: Reader, master: MasterKeys) -> None:
        self._reader = reader
        self._master = master
        self._nobodys = master.seal(secrets.token_hex(16).encode(), "app", "secret", "")

    async def __call__(self, text: Secret) -> AppRecord | Refusal:
        """Say which app this is the token of, or refuse. Raises StorageUnavailable."""
        app_id, _, secret = text.reveal().partition("|")
        app = await self.authenticated(app_id, secret)
        return app or Refusal(Reason.APP_TOKEN_INVALID)

    async def authenticated(self, app_id: str, secret: str) -> AppRecord | None:
        """Find the app if this is its secret: the same work for one that does not exist. Raises StorageUnavailable."""
        # What is no id is not asked for: a database may choke on it, and that would look like a fault of ours.
        if not _APP_ID.fullmatch(app_id) or len(app_id) + len(secret) > _MOST_CHARS:
            return None
        app = await self._reader.app(AppId(app_id))
        sealed, row_id = (app.secret_sealed, app.app_id) if app is not None else (self._nobodys, "")
        held = unsealed(self._master, sealed, "app", "secret", row_id)
        is_held = hmac.compare_digest(held, secret.encode())
        return app if is_held else None
