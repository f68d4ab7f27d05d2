"""A store in a folder of its own, and more handles on it: each is what a process of its own would be."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from client.store.stored import KEYS
from multipartner.client.store import SqliteTokenStore

Opener = Callable[..., SqliteTokenStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens" / "tokens.db"


@pytest.fixture
def opener(path: Path) -> Iterator[Opener]:
    """Opens the store once more, as another process would."""
    with ExitStack() as stack:

        def opened(**options: Any) -> SqliteTokenStore:
            options = {"keys": KEYS, "path": path, "wait_s": 1.0, **options}
            return stack.enter_context(closing(SqliteTokenStore(options.pop("path"), options.pop("keys"), **options)))

        yield opened


@pytest.fixture
def store(opener: Opener) -> SqliteTokenStore:
    return opener()


@pytest.fixture
def other(opener: Opener, store: SqliteTokenStore) -> SqliteTokenStore:
    assert store is not None
    return opener()
