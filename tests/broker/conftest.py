from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.inprocess import InProcess


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[InProcess]:
    broker = InProcess(tmp_path)
    yield broker
    broker.upstreams.close()
