"""docs/client-store.md says what the code does."""

import inspect
import re
from pathlib import Path

import pytest

from docs.pages import DOCS, blocks, prose, table
from multipartner.client import store as module
from multipartner.client.store import SqliteTokenStore
from multipartner.client.store_schema import LONGEST_LEASE_S

PAGE = DOCS / "client-store.md"


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's example makes a store, and opens it again."""
    (example,) = [block.text for block in blocks(PAGE) if block.language == "python"]
    monkeypatch.chdir(tmp_path)

    for _ in range(2):
        scope: dict[str, object] = {}
        exec(example, scope)  # noqa: S102 - our own page
        made = scope["store"]
        assert isinstance(made, SqliteTokenStore)
        made.close()


def test_its_numbers_are_the_codes() -> None:
    """Longest lease, remembered deletions and the default bound stand on the page as they are in the code."""
    text = prose(PAGE)
    bound = inspect.signature(SqliteTokenStore).parameters["max_rows"].default

    assert f"at most {LONGEST_LEASE_S} seconds" in text
    assert f"more than {module.MOST_TOMBSTONES:,} deletions" in text
    assert f"(`max_rows`, {bound:,})" in text


def test_what_it_says_is_what_is_said() -> None:
    """Each line that a refused store is told to print is one that the code prints."""
    source = "".join(path.read_text() for path in Path(module.__file__).parent.glob("store*.py"))
    told = [part.strip() for cells in table(PAGE, "it says") for part in re.split("[,;]", cells[0])]

    assert len(told) > 8
    missing = [part for part in told if part not in source and part.removeprefix("is ") not in source]
    assert missing == []
