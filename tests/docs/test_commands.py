"""Commands in the pages are commands of the program: verbs, options, `make` verbs."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from docs.pages import PAGES, ROOT, blocks, prose
from multipartner.cli.commands import build


def _written(page: Path) -> set[str]:
    """Every `multipartner ...` of a page, in blocks and in the text; of a block's line without comment and pipe."""
    lines = {line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines()}
    found = {part for line in lines for part in re.findall(r"multipartner [^|#)&]+", line)}
    return found | {inline for inline in re.findall(r"`(multipartner [^`]+)`", prose(page)) if "…" not in inline}


WRITTEN = sorted({(page.relative_to(ROOT).as_posix(), command.strip()) for page in PAGES for command in _written(page)})


@pytest.fixture(scope="module")
def tree() -> Any:
    return typer.main.get_command(build())


@pytest.mark.parametrize(("page", "command"), WRITTEN, ids=lambda text: text.replace(" ", "_")[:60])
def test_commands_in_pages_exist(tree: Any, page: str, command: str) -> None:
    """No page tells of a verb or an option that the program does not have."""
    words = [word for word in shlex.split(command)[1:] if not re.match(r"\d*[<>]", word)]
    node = tree
    # A group can be a command itself, as `broker` is.
    while words and hasattr(node, "commands") and not (words[0].startswith("-") and node.invoke_without_command):
        assert words[0] in node.commands, f"{page}: {command}"
        node = node.commands[words.pop(0)]

    options = {name for parameter in node.params for name in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    assert used - options - {"--help"} == set(), f"{page}: {command}"


def test_make_verbs_in_pages_exist() -> None:
    """No page tells of a `make` verb that the Makefile does not have."""
    verbs = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    told = {
        verb
        for page in PAGES
        for text in (prose(page), *(block.text for block in blocks(page)))
        for verb in re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)
    }

    assert told - verbs == set()
