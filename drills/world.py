"""The deployment that is drilled: one solution, some ten thousand customers who share with it, on the pair's database."""

import asyncio
import random
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
from benchmarks.world import OWNER, OWNER_AND_PARTNER, USER

from multipartner import keyfile
from multipartner.domain.model import ALL_PERMISSIONS, AppId, SystemUserId
from multipartner.operating import create_deployment, open_operator
from multipartner.partnering import worldfile
from multipartner.partnering.acting import Act
from multipartner.partnering.applying import apply_world
from multipartner.partnering.credentials import Wanted, create_credential, create_resource_server
from multipartner.settings import Settings, load

LIFETIME_S: Final = 120
REISSUE_S: Final = 4
"""Short, so that under load there is always somebody whose token is made anew and must be written into the trail."""

_CHANGED_AT_S: Final = 1_760_000_000
FLAGS: Final = (
    f"--token-lifetime-s={LIFETIME_S}",
    f"--reissue-interval-s={REISSUE_S}",
    "--calls-per-hour=1000000000",
    "--calls-per-business-per-hour=1000000000",
    "--log-level=warning",
)
"""Limits are counted as always; they are so high because a drill asks more than a day's customers do."""

_SHARES: Final = (
    "INSERT INTO business (id, name) SELECT b, 'Customer ' || b FROM unnest($1::text[]) b",
    "INSERT INTO waba (id, business_id, name) SELECT '9' || b, b, 'WABA' FROM unnest($1::text[]) b",
    "INSERT INTO connection (app_id, business_id, connected_at_s) SELECT app.id, b, 1760000000 FROM app, unnest($1::text[]) b",
    """INSERT INTO share (business_id, solution_id, status, permissions, generation, changed_at_s)
       SELECT b, s.id, 'ACTIVE', $2, substr(md5(random()::text), 1, 11), 1760000000 FROM solution s, unnest($1::text[]) b""",
    "INSERT INTO share_waba (business_id, solution_id, waba_id) SELECT b, s.id, '9' || b FROM solution s, unnest($1::text[]) b",
    """INSERT INTO app_grant (business_id, solution_id, app_id, status, generation, changed_at_s)
       SELECT b, s.id, app.id, 'ACTIVE', substr(md5(random()::text), 1, 11), 1760000000
       FROM solution s, app, unnest($1::text[]) b""",
    "UPDATE app SET connected_businesses = (SELECT count(*) FROM connection WHERE app_id = app.id)",
)


class World(msgspec.Struct, frozen=True):
    """Who asks there, and for whom. `businesses`: all customers, in random order; a drill takes the next ones."""

    settings: Settings
    token: str
    server_id: str
    server_secret: str
    businesses: list[str]

    def take(self, how_many: int) -> list[str]:
        """Customers that no drill had before."""
        return [self.businesses.pop() for _ in range(how_many)]


def make_world(folder: Path, url: str, issuer: str, shares: int) -> World:
    """Create the deployment and load its customers."""
    key = folder / "master.key"
    settings = load({"database": url, "master_key_file": key, "issuer": issuer})
    keyfile.create(key)
    return asyncio.run(_make(settings, url, shares))


async def _make(settings: Settings, url: str, shares: int) -> World:
    act = Act("operator:drill", _CHANGED_AT_S)
    await create_deployment(settings, act)
    async with open_operator(settings) as operator:
        await apply_world(operator.store, operator.master, act, worldfile.parse(OWNER_AND_PARTNER.encode(), "drill.yaml"))
        wanted = Wanted(SystemUserId(USER), AppId(OWNER), ALL_PERMISSIONS)
        caller = await create_credential(operator.store, operator.master, act, wanted)
        server = await create_resource_server(operator.store, operator.master, act, "Drill")
    businesses = [str(number) for number in random.Random(shares).sample(range(10**14, 10**15), shares)]  # noqa: S311 - ids of a drill
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            # Nobody reads the feed yet: it need not tell of each.
            await connection.execute("SET LOCAL session_replication_role = replica")
            for statement in _SHARES:
                values = (businesses, " ".join(sorted(p.value for p in ALL_PERMISSIONS)))
                await connection.execute(statement, *values[: statement.count("$1") + statement.count("$2")])
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
    return World(settings, caller.text.reveal(), server.id, server.text.reveal(), businesses)
