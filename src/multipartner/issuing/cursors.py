"""Page cursors under the deployment's newest sealed key: a newer key ends all that were given before."""

from collections.abc import Sequence

from multipartner.crypto.cursors import CursorRefused, open_cursor, seal_cursor
from multipartner.crypto.sealing import MasterKeys
from multipartner.domain.graph import Viewer
from multipartner.domain.nodes import Position
from multipartner.issuing.authenticate import unsealed
from multipartner.storage.ports import KeyReader, StorageUnavailable

__all__ = ["CursorRefused", "Cursors"]


class Cursors:
    """Gives and takes them. The key is the newest fingerprint key's; `crypto.cursors` keeps the two uses apart by a label."""

    def __init__(self, reader: KeyReader, master: MasterKeys) -> None:
        self._reader = reader
        self._master = master
        self._opened: tuple[str, bytes] = ("", b"")

    async def give(self, viewer: Viewer, of: Sequence[str], positions: Sequence[Position], now_s: int) -> list[str]:
        """Make cursors for a viewer and one list, which `of` names with all that narrows it. Raises StorageUnavailable."""
        key = await self._key()
        return [seal_cursor(key, _bound_to(viewer, of), position, now_s) for position in positions]

    async def take(self, viewer: Viewer, of: Sequence[str], text: str, now_s: int) -> Position:
        """Read one. Raises CursorRefused, StorageUnavailable."""
        return open_cursor(await self._key(), _bound_to(viewer, of), text, now_s)

    async def _key(self) -> bytes:
        # Asked for each time: it is one small read, and the feed tells of no such change.
        newest = [record for record in await self._reader.sealed_keys() if record.purpose == "mac"][-1:]
        if not newest:
            raise StorageUnavailable("there is no sealed key")
        if self._opened[0] != newest[0].id:
            self._opened = newest[0].id, unsealed(self._master, newest[0].sealed, "sealed_key", newest[0].id)
        return self._opened[1]


def _bound_to(viewer: Viewer, of: Sequence[str]) -> tuple[str, ...]:
    tenant = viewer.tenant
    whose = (tenant.solution_id, tenant.business_id) if tenant is not None else ("", "")
    return viewer.kind.name, viewer.app_id, viewer.id, *whose, *of
