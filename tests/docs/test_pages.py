"""What the pages state and the code knows is the same."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from deployment import Deployment
from docs import tables
from docs.pages import DOCS, PAGES, ROOT, anchors, blocks, links, prose, table
from multipartner.cli.serve import _shown
from multipartner.crypto.credentials import PATTERN
from multipartner.domain import claims, keyring
from multipartner.domain.events import EventKind
from multipartner.domain.world import World
from multipartner.partnering import worldfile
from multipartner.settings import Settings
from multipartner.web.vitals import Check
from running import Running, running

__all__ = ["running"]

SRC = ROOT / "src" / "multipartner"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page leads to a file that exists, and to a heading of it."""
    for link in links(page):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists() or target == DOCS / "benchmarks.md", link
        if fragment:
            assert fragment in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_named_in_pages_exist(page: Path) -> None:
    """Every file that a page names by its path is there, and holds the function that it names."""
    for path, symbol in re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)(?::([\w.]+))?`", prose(page)):
        file = next((base / path for base in (ROOT, SRC) if (base / path).is_file()), None)
        assert file is not None, path
        assert not symbol or symbol in _symbols(file), f"{path}:{symbol}"


def _symbols(file: Path) -> set[str]:
    tree = ast.parse(file.read_text("utf-8"))
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = {node.name for node in tree.body if isinstance(node, named)}
    found |= {
        target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets if isinstance(target, ast.Name)
    }
    found |= {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return found | {f"{kind.name}.{node.name}" for kind in classes for node in kind.body if isinstance(node, named)}


def test_precedence_table_is_the_codes() -> None:
    """docs/corridor.md lists each reason with the status, type, code and subcode that a caller reads, in precedence order."""
    assert tables.precedence() == table(tables.CORRIDOR, "reason")


def test_rooms_table_is_the_walls() -> None:
    """docs/corridor.md allows exactly the imports that the walls' test allows."""
    assert tables.rooms() == table(tables.CORRIDOR, "room")


def test_settings_are_documented() -> None:
    """docs/settings.md has every setting with its default, in the order of --help."""
    told = [cells[:2] for cells in table(DOCS / "settings.md", "setting")]

    assert [(f"`{n}`", f"`{_shown(f.default) or 'none'}`") for n, f in Settings.model_fields.items()] == told


def test_metrics_are_documented(running: Running) -> None:
    """docs/operations.md names exactly the metrics that a running service exports, and the checks of readiness."""
    metrics = httpx2.get(f"{running.facts['operations_url']}/metrics", trust_env=False, timeout=10).text
    exported = set(re.findall(r"^# TYPE (multipartner_\w+)", metrics, re.MULTILINE))
    text = prose(DOCS / "operations.md")

    assert {cells[0].strip("`") for cells in table(DOCS / "operations.md", "metric")} == exported | {
        "multipartner_requests_total"
    }
    assert all(f"`{check.value}`" in text for check in Check)


def test_numbers_of_keys_are_the_codes() -> None:
    """The seconds that the pages give for keys and tokens are those of the code."""
    told = (DOCS / "operations.md").read_text("utf-8")

    assert f"{keyring.PUBLISH_AHEAD_S} s later on" in told
    assert f"max-age {keyring.KEY_SET_MAX_AGE_S} s + skew {claims.SKEW_S} s" in told
    assert f"{claims.MAX_TOKEN_BYTES:,} bytes" in (DOCS / "tokens.md").read_text("utf-8")


def test_leak_pattern_is_the_codes() -> None:
    """The pattern for leak scanners in docs/tokens.md is the one that credentials are made by."""
    assert [f"{PATTERN}\n"] == [block.text for block in blocks(DOCS / "tokens.md") if block.heading == "Leak scanners"]


def test_claims_are_documented() -> None:
    """docs/tokens.md explains every claim that a granular token has, and no other."""
    told = {name for cells in table(DOCS / "tokens.md", "claim") for name in re.findall(r"`(\w+)`", cells[0])}

    assert set(claims.Claims.__struct_fields__) == told


def test_world_file_example_applies(deployment: Deployment) -> None:
    """The example in docs/world-files.md applies, changes nothing the second time, and names every field there is."""
    example = next(block.text for block in blocks(DOCS / "world-files.md") if block.language == "yaml")

    assert deployment.apply(example).lines
    assert deployment.apply(example).lines == ()
    sections = {cells[0].strip("`") for cells in table(DOCS / "world-files.md", "section")} - {""}
    assert set(World.__struct_fields__) - {"version"} == sections
    assert worldfile.parse(example.encode(), "example.yaml").shares


@pytest.mark.parametrize("marker", ["multipartner.verify", "import jwt"])
def test_offline_verification_works_as_documented(running: Running, marker: str) -> None:
    """The Python of docs/tokens.md, run as it stands against a service, accepts a token that it just issued."""
    code = next(block.text for block in blocks(DOCS / "tokens.md") if block.language == "python" and marker in block.text)
    bearer = {"Authorization": f"Bearer {running.owner.caller_token}"}
    token = httpx2.get(running.url + running.target(), headers=bearer, trust_env=False, timeout=10).json()["access_token"]
    customer = next(b for b in running.facts["businesses"] if b["id"] == running.business[200])
    given = {"ISSUER": running.url, "AUDIENCE": running.url, "token": token, "waba_id": customer["waba_ids"][0]}
    told = "".join(f"{name} = {value!r}\n" for name, value in given.items())

    # In a process of its own: the token goes in by stdin, so that it stands in no argument list.
    done = subprocess.run([sys.executable, "-"], input=(told + code).encode(), capture_output=True, timeout=30, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(("language", "file"), [("nginx", "nginx.conf"), ("haproxy", "haproxy.cfg")])
def test_proxy_lines_are_those_that_are_tried(language: str, file: str) -> None:
    """The lines in SECURITY.md stand in the configurations that the foreign tier runs."""
    shown = next(block.text for block in blocks(ROOT / "SECURITY.md") if block.language == language)
    tried = {line.strip() for line in (ROOT / "deploy" / file).read_text("utf-8").splitlines()}

    assert [line for line in shown.splitlines() if line.strip() not in tried] == []


@pytest.mark.parametrize("path", sorted((DOCS / "decisions").glob("*.md")), ids=lambda path: path.name[:4])
def test_decision_records_have_their_form(path: Path) -> None:
    """A decision record says context, choice and price in about ten lines."""
    text = path.read_text("utf-8")

    assert text.startswith(f"# {path.name[:4]}: ")
    assert re.findall(r"^\*\*(\w+)\.\*\* ", text, re.MULTILINE) == ["Context", "Choice", "Price"]
    assert len(text.splitlines()) <= 12


def test_decision_records_are_numbered() -> None:
    """Decision records are numbered without a gap, and those that the source cites exist."""
    numbers = [path.name[:4] for path in sorted((DOCS / "decisions").glob("*.md"))]
    cited = {number for file in SRC.rglob("*.py") for number in re.findall(r"decision record (\d{4})", file.read_text("utf-8"))}

    assert [f"{n:04}" for n in range(1, len(numbers) + 1)] == numbers
    assert cited <= set(numbers)


def test_changelog_fragments_are_found() -> None:
    """`towncrier` takes every fragment in changelog.d, and each is one sentence."""
    done = subprocess.run(
        [Path(sys.executable).with_name("towncrier"), "build", "--draft", "--version", "0"],
        cwd=ROOT, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    drafted = " ".join(done.stdout.decode().split())
    for fragment in (ROOT / "changelog.d").glob("*.md"):
        text = fragment.read_text("utf-8").strip()
        assert text.endswith("."), fragment.name
        assert "\n" not in text, fragment.name
        assert " ".join(text.split()) in drafted, fragment.name


def test_events_of_the_trail_are_named_in_one_list() -> None:
    """docs/operations.md lists the kinds of event that a trail can hold."""
    told = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", prose(DOCS / "operations.md")))

    assert {kind.value for kind in EventKind} | {"trail.pruned"} <= told


def test_pages_name_no_place_of_ours() -> None:
    """The pages stand alone: no path or host of the machine that they were written on."""
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(?:work|root|home)/", page.read_text("utf-8")), page.name
