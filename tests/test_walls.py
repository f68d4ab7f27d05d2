"""Which room may open which door (docs/corridor.md), for our own rooms and for third-party names."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "multipartner"
FILES = sorted(SRC.rglob("*.py"))

MAY_IMPORT: dict[str, set[str]] = {
    "domain": set(),
    "wire": {"domain"},
    "crypto": set(),
    "storage": {"domain"},
    "issuing": {"domain", "crypto", "storage.ports", "storage.graph_ports"},
    "partnering": {"domain", "crypto", "storage.ports", "storage.change_ports"},
    "web": {"domain", "wire", "issuing", "partnering"},
    "verify": {"domain", "crypto"},
    "client": {"domain", "wire", "crypto.sealing", "crypto.tenant_sealing", "keyfile"},
    "worlds": set(),
    "settings": {"setting_types"},
    "setting_types": set(),
    "keyfile": {"crypto", "private_file"},
    "private_file": set(),
    # Of `web` only what any HTTP application of ours needs, and nothing that leads to facts (decision record 0024).
    "broker": {
        "client",
        "wire",
        "domain",
        "crypto.credentials",
        "private_file",
        "web.asgi",
        "web.framing",
        "web.observing",
        "web.refusing",
    },
}
"""Rooms that are not listed (cli, wiring, operating) may open every door but those of `cli`."""

AT_HOME: dict[str, set[str]] = {
    "sqlalchemy": {"storage"},
    "alembic": {"storage"},
    "limits": {"storage"},
    "valkey": {"storage"},
    "aiosqlite": {"storage"},
    "sqlite3": {"storage", "client"},
    "cryptography": {"crypto"},
    "granian": {"cli"},
    "pytest": {"testing"},
    "typer": {"cli"},
    "rich": {"cli"},
    "httpx2": {"cli", "client"},
    "yaml": {"partnering"},
    "asyncpg": {"storage"},
    "pydantic": {"settings", "setting_types"},
    "pydantic_settings": {"settings", "setting_types"},
    "structlog": {"web"},
    "prometheus_client": {"web", "broker"},
    "starlette": {"web"},
    "python_multipart": {"web"},
}
CLOCKS = {"time", "datetime", "random", "secrets", "os", "asyncio", "socket", "logging"}


def room_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names if node.module == "multipartner"}
    return names


def _may(room: str, module: str) -> bool:
    target = module.removeprefix("multipartner.")
    allowed = MAY_IMPORT.get(room)
    if target.split(".")[0] == room or module in {"multipartner", "multipartner.__version__"}:
        return True
    if allowed is None:
        return target.split(".")[0] != "cli"
    return any(target == door or target.startswith(door + ".") for door in allowed)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_rooms_only_open_inwards(path: Path) -> None:
    """A room imports only the rooms that the house's table lets it."""
    ours = {name for name in imported_by(path) if name.split(".")[0] == "multipartner"}

    assert [name for name in sorted(ours) if not _may(room_of(path), name)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_third_parties_stay_in_their_room(path: Path) -> None:
    """A driver, a framework or the crypto library is named in one room, so that it can be changed there."""
    foreign = {name.split(".")[0] for name in imported_by(path)}

    assert [name for name in sorted(foreign) if room_of(path) not in AT_HOME.get(name, {room_of(path)})] == []


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) == "domain"], ids=lambda path: path.name)
def test_the_domain_reads_no_clock(path: Path) -> None:
    """Nothing in `domain` can wait, draw or ask for the time: `now` is handed in."""
    tree = ast.parse(path.read_text())

    assert {name.split(".")[0] for name in imported_by(path)} & CLOCKS == set()
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]


def test_only_authorize_builds_a_permit() -> None:
    """Issuing takes a `Permit`, and exactly one place of the source makes one."""
    makers = {
        path.relative_to(SRC).as_posix()
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Permit"
    }

    assert makers == {"domain/authorize.py"}


def test_files_and_functions_keep_their_size() -> None:
    """No file over 300 lines and no function over 60: past that, look for the seam."""
    long_files = [path.name for path in FILES if len(path.read_text().splitlines()) > 300]
    long_functions = [
        f"{path.name}:{node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]

    assert (long_files, long_functions) == ([], [])
