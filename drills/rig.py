"""The whole of it: two servers, a relay before each, three replicas, Redis, proxy, and a look at what is true in the end."""

import asyncio
import json
import os
import pwd
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
from benchmarks.world import OWNER
from drills.checking import Truth
from drills.load import Door
from drills.postgres import Pair, as_user, server_user
from drills.relay import Relay
from drills.service import PROXY_NAME, Service
from drills.world import FLAGS, World, make_world

from multipartner.settings import load

ISSUER: Final = f"https://{PROXY_NAME}"
SHARES: Final = 24_000

_USABLE: Final = """
SELECT business_id FROM share JOIN app_grant USING (business_id, solution_id)
WHERE app_id = $1 AND share.status = 'ACTIVE' AND app_grant.status = 'ACTIVE'
"""


class Rig(msgspec.Struct, frozen=True):
    """A running cluster. `relays`: one before each server, in the order of `pair.nodes`."""

    folder: Path
    pair: Pair
    relays: list[Relay]
    world: World
    service: Service

    def doors(self) -> list[Door]:
        """New ones: the proxy's, then each replica's."""
        replicas = [Door(replica.name, replica.port) for replica in self.service.replicas]
        return [Door("proxy", self.service.proxy_port), *replicas]

    async def truth(self, since_s: int) -> Truth:
        """What the primary says, once all is over. `since_s`: Unix seconds; events before are left out."""
        usable = await self.pair.primary.fetch(_USABLE, OWNER)
        bodies = await self.pair.primary.fetch("SELECT body FROM trail_event WHERE at_s >= $1", since_s)
        events = [json.loads(body) for (body,) in bodies]
        return Truth(
            frozenset(business for (business,) in usable),
            Counter(event["actor"] for event in events if event["kind"] != "token.issued"),
            frozenset(event["jti"] for event in events if event["kind"] == "token.issued"),
        )

    async def audit(self) -> list[str]:
        """What `audit verify` finds wrong."""
        command = [str(Path(sys.executable).with_name("multipartner")), "audit", "verify"]
        told = {"MULTIPARTNER_DATABASE": self.pair.primary.url(), "MULTIPARTNER_MASTER_KEY_FILE": str(self.folder / "master.key")}
        process = await asyncio.create_subprocess_exec(*command, env=os.environ | told, stdout=-1, stderr=-2)
        said, _ = await process.communicate()
        return [] if process.returncode == 0 else [f"audit verify: {said.decode().strip()[-300:]}"]


@asynccontextmanager
async def running_rig() -> AsyncIterator[Rig]:
    """Start all, and stop all at the end."""
    async with AsyncExitStack() as made:
        folder = _folder()
        made.callback(shutil.rmtree, folder, ignore_errors=True)
        pair = Pair(folder)
        made.callback(pair.stop)
        await asyncio.to_thread(pair.start)
        await pair.follow()
        world = await asyncio.to_thread(make_world, folder, pair.primary.url(), ISSUER, SHARES)
        relays = [Relay(node.port) for node in pair.nodes]
        for relay in relays:
            await relay.open()
            made.push_async_callback(relay.cut)
        url = _through(pair, relays)
        key = folder / "master.key"
        service = await asyncio.to_thread(Service, folder, key, url, [f"--issuer={ISSUER}", *FLAGS])
        made.callback(service.stop)
        await service.answers()
        settings = load({"database": url, "master_key_file": key, "issuer": ISSUER})
        yield Rig(folder, pair, relays, msgspec.structs.replace(world, settings=settings), service)


def _through(pair: Pair, relays: list[Relay]) -> str:
    """Both servers by their relays, as an operator names them."""
    before, _, after = pair.primary.url(relays[0].port).partition(f":{relays[0].port}/")
    return f"{before}:{relays[0].port},127.0.0.1:{relays[1].port}/{after}&target_session_attrs=read-write"


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="multipartner-drill-"))
    if as_user():
        owner = pwd.getpwnam(server_user())
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    return folder
