"""The tutorial does what it says: its commands are run in order, and every answer has the shape that is shown."""

import json
import re
from typing import Any

import pytest

from docs.pages import DOCS, Block, blocks
from docs.shell import printed_by

TUTORIAL = DOCS / "tutorial.md"
CALLS = 10
END = "\x1e"
"""Printed between two blocks, and by nothing else."""

_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_GIVEN_ID = re.compile(r"\d{15,17}")


class Shapes:
    """Compares what is shown with what came. An id that the service gives is another each time, and one within a run."""

    def __init__(self, own: str) -> None:
        self._own = set(_GIVEN_ID.findall(own))
        self._given: dict[str, str] = {}

    def differ(self, shown: Any, real: Any, at: str = "answer") -> str:
        """Where the first difference is; empty if there is none. `…` stands for any text, a number for any number."""
        if type(shown) is not type(real):
            return f"{at}: {type(shown).__name__} shown, {type(real).__name__} came"
        if isinstance(shown, dict):
            if list(shown) != list(real):
                return f"{at}: {list(shown)} shown, {list(real)} came"
            return next(filter(None, (self.differ(shown[name], real[name], f"{at}.{name}") for name in shown)), "")
        if isinstance(shown, list):
            if len(shown) != len(real):
                return f"{at}: {len(shown)} shown, {len(real)} came"
            return next(
                filter(None, (self.differ(*pair, f"{at}[{n}]") for n, pair in enumerate(zip(shown, real, strict=True)))), ""
            )
        if isinstance(shown, bool) or shown is None:
            return "" if shown == real else f"{at}: {shown} shown, {real} came"
        return "" if isinstance(shown, int) or self._is_text(shown, real) else f"{at}: {shown!r} shown, {real!r} came"

    def _is_text(self, shown: str, real: str) -> bool:
        if _GIVEN_ID.fullmatch(shown) and shown not in self._own:
            return bool(_GIVEN_ID.fullmatch(real)) and self._given.setdefault(shown, real) == real
        if _TIME.fullmatch(shown):
            return bool(_TIME.fullmatch(real))
        return bool(re.fullmatch(re.escape(shown).replace("…", ".+"), real))


def _steps() -> list[tuple[Block, Block | None]]:
    """Each block of commands, with what the page says that it prints."""
    listed = list(blocks(TUTORIAL))
    after = [*listed[1:], None]
    return [
        (b, then if then and then.language != "sh" else None) for b, then in zip(listed, after, strict=True) if b.language == "sh"
    ]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each block of commands printed."""
    script = "".join(f"{commands.text}printf '{END}'\n" for commands, _ in _steps())
    return printed_by(script, tmp_path_factory.mktemp("tutorial")).split(END)


def test_each_answer_has_the_shape_that_is_shown(printed: list[str]) -> None:
    """The tutorial's commands, run in order as they stand, print what it shows: each JSON by its shape, each line of text."""
    steps = _steps()
    shapes = Shapes("".join(commands.text for commands, _ in steps))

    assert len(printed) == len(steps) + 1
    for (commands, shown), real in zip(steps, printed, strict=False):
        if shown is None:
            continue
        if shown.language == "json":
            assert shapes.differ(json.loads(shown.text), json.loads(real)) == "", commands.heading
        else:
            lines = iter(real.splitlines())
            for line in shown.text.splitlines():
                assert any(re.fullmatch(re.escape(line).replace("…", ".+"), came) for came in lines), (line, real)


def test_there_are_ten_calls_each_with_its_answer() -> None:
    """Under each numbered heading stands one call, and after it its answer."""
    calls = [(commands.heading, shown) for commands, shown in _steps() if "curl " in commands.text]

    assert [heading.partition(".")[0] for heading, _ in calls] == [str(number) for number in range(1, CALLS + 1)]
    assert all(shown is not None and shown.language == "json" for _, shown in calls)


@pytest.mark.parametrize(
    ("real", "told"),
    [
        ({"id": "123456789012345", "n": 7, "ok": True, "list": [{"a": "xyz"}]}, ""),
        ({"id": "123456789012345", "n": 7, "ok": True}, "answer: ['id', 'n', 'ok', 'list'] shown, ['id', 'n', 'ok'] came"),
        ({"id": "1", "n": 7, "ok": True, "list": [{"a": "xyz"}]}, "answer.id: '999999999999999' shown, '1' came"),
        ({"id": "123456789012345", "n": "7", "ok": True, "list": [{"a": "xyz"}]}, "answer.n: int shown, str came"),
        ({"id": "123456789012345", "n": 7, "ok": False, "list": [{"a": "xyz"}]}, "answer.ok: True shown, False came"),
        ({"id": "123456789012345", "n": 7, "ok": True, "list": []}, "answer.list: 1 shown, 0 came"),
        ({"id": "123456789012345", "n": 7, "ok": True, "list": [{"a": "yz"}]}, "answer.list[0].a: 'x…' shown, 'yz' came"),
    ],
)
def test_another_shape_is_noticed(real: Any, told: str) -> None:
    """A member more or less, another type, another truth, another text: each is told by its place."""
    shown = {"id": "999999999999999", "n": 1, "ok": True, "list": [{"a": "x…"}]}

    assert Shapes("").differ(shown, real) == told


def test_one_shown_id_stands_for_one_id() -> None:
    """The id that the first answer gave is the one that later answers speak of."""
    shapes = Shapes("'100000000000001'")

    assert shapes.differ("999999999999999", "123456789012345") == ""
    assert shapes.differ("999999999999999", "123456789012346") != ""
    assert shapes.differ("100000000000001", "123456789012345") != ""
