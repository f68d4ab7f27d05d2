"""What `ci_no_skips` promises, in one process and in several."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MISSED = """
import pytest

@pytest.mark.skip
def test_marked(): ...

def test_skips_itself():
    pytest.skip("nothing here to test with")

@pytest.mark.xfail(strict=True)
def test_is_known_to_fail():
    assert False

def test_passes(): ...
"""
MISSED_WHOLE = 'import pytest\npytest.importorskip("a_module_that_nobody_has")\ndef test_nothing(): ...\n'


@pytest.mark.parametrize("processes", [0, 2])
def test_a_skip_fails_the_run(tmp_path: Path, processes: int) -> None:
    """Tests that skip themselves, are marked, or are missing with their module fail; what is known to fail does not."""
    (tmp_path / "test_missed.py").write_text(MISSED)
    assert _ended(tmp_path, processes).splitlines()[-1].startswith("1 failed, 1 passed, 1 xfailed, 1 error")

    (tmp_path / "test_missed_whole.py").write_text(MISSED_WHOLE)
    assert "ERROR test_missed_whole.py - skipped, and CI allows no skips" in _ended(tmp_path, processes)


def _ended(folder: Path, processes: int) -> str:
    """What a run over the folder printed; it must have failed."""
    plugins = ["-p", "xdist", "-p", "ci_no_skips"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-ra", "--color=no", *plugins, "-n", str(processes), str(folder)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {1, 2}, done.stdout + done.stderr
    return done.stdout
