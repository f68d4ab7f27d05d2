"""The write side of a serving process: opened late, and never held up by what comes after a commit."""

import asyncio

from deployment import ACT, DemoDeployment
from multipartner.domain.model import AppId
from multipartner.late_store import LateStore
from multipartner.partnering.solutions import Proposal, create_solution, solution
from serving import OWNER_APP, PARTNER_APP

PROPOSAL = Proposal(AppId(PARTNER_APP), "Orders and replies", owner_messaging=True, partner_messaging=False)


def test_a_silent_feed_keeps_no_answer(demo: DemoDeployment) -> None:
    """A change that is committed is answered though the feed never says that it heard of it."""

    async def changed() -> None:
        store = LateStore(demo.backend, asyncio.Event().wait, patience_s=0)
        try:
            made = await create_solution(store, ACT, AppId(OWNER_APP), PROPOSAL)
            assert (await solution(store, AppId(PARTNER_APP), made.id)).id == made.id
        finally:
            await store.close()

    asyncio.run(changed())
