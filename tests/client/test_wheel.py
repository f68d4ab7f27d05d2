"""What a plain installation brings."""

import email
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

BLOCKED = (
    "granian",
    "starlette",
    "sqlalchemy",
    "alembic",
    "aiosqlite",
    "pydantic",
    "typer",
    "rich",
    "structlog",
    "yaml",
    "asyncpg",
)


def test_a_plain_installation_brings_nothing_of_the_server(tmp_path: Path) -> None:
    """The built wheel asks for httpx2, cryptography and msgspec alone; the server's parts come with its extra."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        required = email.message_from_bytes(archive.read(metadata)).get_all("Requires-Dist") or []
        assert "multipartner/client/provider.py" in archive.namelist()

    plain = {requirement.split(">")[0] for requirement in required if "extra ==" not in requirement}
    assert plain == {"cryptography", "httpx2", "msgspec"}


def test_the_client_imports_nothing_of_the_server() -> None:
    """With every library of the server away, the client and its adapters import and work."""
    code = f"""
import sys
sys.modules.update(dict.fromkeys({BLOCKED!r}))
import multipartner.client, multipartner.client.webhooks, multipartner.client.adapters.httpx, multipartner.client.adapters.sdks
import multipartner.client.adapters.requests, multipartner.client.adapters.aiohttp
loaded = {{name.split(".")[1] for name in sys.modules if name.startswith("multipartner.")}}
print(sorted(loaded))
"""
    told = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True, timeout=60)

    assert told.stdout.strip() == "['client', 'domain', 'wire']"
