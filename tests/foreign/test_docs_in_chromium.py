"""The page at /docs in a real browser."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nodejs import CHROMIUM, needs_chromium, needs_node, node
from running import Running, running

__all__ = ["running"]

pytestmark = [pytest.mark.foreign, needs_node, needs_chromium]


def visited(demo: Running, folder: Path | None = None, *, script: bool = True) -> dict[str, Any]:
    known = {"url": demo.url, "solution": demo.solution_id, "business": demo.business[200], "refused": demo.business[422]}
    known |= {"browser": CHROMIUM or "", "token": demo.owner.caller_token}
    return dict(node("docs.mjs", known | {"script": script, "folder": str(folder) if folder else ""}))


def test_page_writes_code_and_sends_the_request(running: Running, tmp_path: Path) -> None:
    """Trying it fills the code in three languages, gets a real 200 and a real 422, and breaks no rule of its policy."""
    seen = visited(running, Path(os.environ.get("MULTIPARTNER_TEST_SCREENSHOTS", tmp_path)))

    assert [answer["status"] for answer in seen["answers"]] == [200, 422]
    assert json.loads(seen["answers"][0]["shown"])["access_token"].count(".") == 2
    assert json.loads(seen["answers"][1]["shown"])["error"]["code"] == 100
    for code in seen["code"].values():
        assert running.solution_id in code
        assert running.business[200] in code
        assert running.url in code
        assert running.owner.caller_token not in code
    assert running.owner.caller_token in seen["revealed"]
    # A browser itself reports each answer of 400 and above; anything else would be ours, a broken policy included.
    assert [line for line in seen["said"] if "status of 422" not in line] == []
    assert [url for url in seen["asked"] if not url.startswith(running.url + "/")] == []
    assert [url for url in [*seen["asked"], seen["address"]] if running.owner.caller_token in url] == []
    assert json.loads(seen["stored"]) == [{}, {}, ""]
    assert seen["overflow"] == [0, 0, 0, 0]


def test_page_works_without_javascript(running: Running) -> None:
    """With JavaScript switched off the form fills the code in by way of the server, token aside."""
    seen = visited(running, script=False)

    assert seen["said"] == []
    assert f"business={running.business[200]}" in seen["address"]
    for code in seen["code"].values():
        assert f"{running.solution_id}/access_token" in code
        assert running.business[200] in code
