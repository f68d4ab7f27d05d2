"""An open deployment with the demo world."""

from typing import TYPE_CHECKING

import pytest

from deployment import DemoDeployment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrations.customers import Hands


@pytest.fixture
def hands(demo: DemoDeployment) -> "Iterator[Hands]":
    from migrations.customers import Hands  # noqa: PLC0415 - it imports what tests of the pure parts do not need

    made = Hands(demo)
    yield made
    made.close()
