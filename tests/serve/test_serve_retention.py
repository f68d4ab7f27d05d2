"""The trail's retention is kept by the service itself."""

import asyncio
import json

from deployment import NOW_S, DemoDeployment
from multipartner.domain.events import EventKind
from multipartner.domain.model import Instant
from multipartner.operating import backend_of
from multipartner.storage.audit import verify
from multipartner.storage.trail_reading import Filter, export
from multipartner.wiring import build_service

DAY_S = 86_400
PATIENCE = 2000


def _kinds(demo: DemoDeployment) -> list[str]:
    lines: list[str] = []
    export(backend_of(demo.settings()), Filter(), lines.append)
    return [json.loads(line)["kind"] for line in lines]


def test_serving_prunes_what_is_older_than_the_setting(demo: DemoDeployment) -> None:
    """With trail_retention_days set, serving takes older events out, says so in the trail, and what stays verifies."""
    before = _kinds(demo)
    settings = demo.settings(trail_retention_days=30)

    async def serve() -> None:
        service = build_service(settings, clock=lambda: Instant(NOW_S + 100 * DAY_S, 10**15))
        told: asyncio.Queue[str] = asyncio.Queue()
        stop = asyncio.Event()

        async def receive() -> dict[str, str]:
            if not told.empty():
                await stop.wait()
            return {"type": "lifespan"}

        async def send(message: dict[str, str]) -> None:
            await told.put(message["type"])

        running = asyncio.create_task(service.app({"type": "lifespan"}, receive, send))  # type: ignore[arg-type] # ASGI's plain dicts
        for _ in range(PATIENCE):
            if EventKind.TRAIL_PRUNED.value in _kinds(demo):
                break
            await asyncio.sleep(0.005)
        stop.set()
        await running

    asyncio.run(serve())
    after = _kinds(demo)

    assert EventKind.WORLD_APPLIED.value in before
    assert EventKind.TRAIL_PRUNED.value in after
    assert EventKind.WORLD_APPLIED.value not in after
    assert verify(backend_of(demo.settings())).whole
