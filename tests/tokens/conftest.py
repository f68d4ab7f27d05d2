"""One service for a test, on the engine it runs on."""

import asyncio
from collections.abc import Iterator

import pytest

from deployment import DemoDeployment
from tokens.bearers import Bearers


@pytest.fixture
def bearers(demo: DemoDeployment) -> Iterator[Bearers]:
    with asyncio.Runner() as runner:
        made = Bearers(demo, runner, failures_per_hour=10_000)
        yield made
        made.close()
