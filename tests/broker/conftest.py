import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.inprocess import InProcess


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[InProcess]:
    with contextlib.closing(InProcess(tmp_path)) as broker:
        yield broker
