"""A restored backup becomes a deployment of its own: nothing that was issued before is good there."""

from multipartner.crypto.sealing import MasterKeys
from multipartner.domain.events import EventKind
from multipartner.partnering.acting import Act
from multipartner.storage.change_ports import ChangeStore


async def renew_restored(store: ChangeStore, act: Act, told: dict[str, str]) -> None:
    """Give it a generation that it never had, and say in the trail of what backup it was made."""
    async with store.transaction() as changes:
        await changes.mark_deployment(act.mark())
        await changes.record(act.event(EventKind.DEPLOYMENT_RESTORED, **told))


def open_all(master: MasterKeys, sealed: list[tuple[bytes, str, str]]) -> None:
    """Open every sealed value, told with its table and id. Raises SealBroken."""
    for value, table, row_id in sealed:
        master.open(value, table, row_id)
