"""The key ring over a store whose reads take their time: what comes meanwhile, and who is cancelled."""

import asyncio
from collections.abc import Sequence

from fakes import MemoryStore, populated_store
from multipartner.issuing.keyring import KeyRing
from multipartner.storage.ports import SigningKeyRecord


class GatedKeys(MemoryStore):
    """A store that has read its keys but does not answer before the gate opens."""

    gate: asyncio.Event

    async def signing_keys(self) -> Sequence[SigningKeyRecord]:
        read = list(await super().signing_keys())
        await self.gate.wait()
        return read


def _gated() -> tuple[GatedKeys, KeyRing]:
    store = GatedKeys()
    vars(store).update(vars(populated_store()), gate=asyncio.Event(), reads=0)
    return store, KeyRing(store, store.master, 3600)


async def _begun(*loads: "asyncio.Task[None]") -> None:
    for _ in loads:
        await asyncio.sleep(0)


def test_a_cold_ring_is_read_once() -> None:
    """However many requests need the keys at once, the store is asked for them once."""

    async def scenario() -> None:
        store, ring = _gated()
        loads = [asyncio.create_task(ring.load()) for _ in range(50)]
        await _begun(*loads)
        store.gate.set()
        await asyncio.gather(*loads)

        assert store.reads == 1
        assert len(ring.key_set(store.keys[0].signs_from_s)["keys"]) == 1

    asyncio.run(scenario())


def test_a_ring_that_a_change_overtook_is_read_again() -> None:
    """Keys that were read before a change and arrive after it are not used, by nobody who waited for them."""

    async def scenario() -> None:
        store, ring = _gated()
        loads = [asyncio.create_task(ring.load()) for _ in range(3)]
        await _begun(*loads)
        store.keys.clear()
        kid = store.add_key()
        ring.forget()
        store.gate.set()
        await asyncio.gather(*loads)

        assert [key["kid"] for key in ring.key_set(0)["keys"]] == [kid]

    asyncio.run(scenario())


def test_a_cancelled_request_leaves_the_keys_to_the_others() -> None:
    """When the request that reads the keys is given up, one that waits reads them."""

    async def scenario() -> None:
        store, ring = _gated()
        first, second = asyncio.create_task(ring.load()), asyncio.create_task(ring.load())
        await _begun(first, second)
        first.cancel()
        store.gate.set()
        await second

        assert first.cancelled()
        assert store.reads == 2

    asyncio.run(scenario())
