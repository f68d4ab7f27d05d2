"""docs/torture-kit.md does what it says, and lists what there is."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

from docs.pages import DOCS, blocks, table
from multipartner.testing.torture import PROBES, Ability

PAGE = DOCS / "torture-kit.md"


def _pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with our plugin alone: others take seconds to import."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "multipartner.testing.plugin", *options]
    env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=100)


def test_the_ten_lines_run(tmp_path: Path) -> None:
    """The page's example runs as it stands: the probes that it is said to pass do, those that it is said to fail do."""
    for block in blocks(PAGE):
        if block.language == "python":
            text = block.text.replace(
                "    def make(", "    patience_s = 1.0  # the test's, which waits for what fails\n\n    def make("
            )
            (tmp_path / text.split("\n", 1)[0].removeprefix("# ")).write_text(text)

    ran = _pytest(tmp_path, "--torture-table", "-k", "herd or neighbour or dead", "test_mine.py")

    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "cold herd (Mine, sync): 1 calls, 0 waited, 0 errors, 0 wrong, 0 hung: passed" in ran.stdout
    assert "of 8 tenants wait for another one's token" in ran.stdout
    assert "400 calls for a tenant that is refused" in ran.stdout


def test_all_probes_are_listed() -> None:
    """The table of the probes is that of the code, in its order."""
    assert [cells[0] for cells in table(PAGE, "probe")] == list(PROBES)


def test_all_abilities_are_listed() -> None:
    """The table of the abilities is that of the code, in its order."""
    assert [cells[0] for cells in table(PAGE, "ability")] == [f"`{ability.name}`" for ability in Ability]


def test_the_plugin_is_inert(tmp_path: Path) -> None:
    """A run of pytest that does not use the kit imports the plugin's file and nothing else of ours."""
    (tmp_path / "test_other.py").write_text(
        "import sys\n\n\ndef test_nothing_of_ours():\n"
        "    ours = {name for name in sys.modules if name.split('.')[0] == 'multipartner'}\n"
        "    assert ours == {'multipartner', 'multipartner.testing', 'multipartner.testing.plugin'}\n"
        "    assert not {'msgspec', 'httpx2'} & set(sys.modules)\n"
    )

    ran = _pytest(tmp_path, "test_other.py")

    assert ran.returncode == 0, ran.stdout
    assert [point.value for point in entry_points(group="pytest11", name="multipartner")] == ["multipartner.testing.plugin"]


def test_the_kit_needs_nothing_of_the_rest() -> None:
    """The kit imports nothing of ours but itself and the plugin: it is good for providers that have nothing to do with ours."""
    code = "import sys, multipartner.testing.torture; print(*(name for name in sys.modules if name.startswith('multipartner.')))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert [name for name in ran.stdout.split() if not name.startswith("multipartner.testing")] == []
