"""What a thief finds: in the database, the trail, the export, the output."""

import base64
import hashlib
from pathlib import Path

import pytest

from cli.command_line import as_process, in_process
from deployment import DemoDeployment, Deployment, demo_text
from multipartner import __version__, keyfile
from multipartner.crypto.credentials import CredentialType, MacKey, mac_of

OWNER, USER = "5372200989284704", "4567798337013316"


class Haul:
    """Every secret of one deployment, each in the forms a file could hold it in."""

    def __init__(self, deployment: Deployment, capsys: pytest.CaptureFixture[str], world: Path) -> None:
        cli = in_process(capsys, deployment)
        secrets = cli("world", "apply", str(world), "--json").json["secrets"]
        token = cli("credential", "create", "--system-user", USER, "--app", OWNER, "--json").json["token"]
        server = cli("resource-server", "create", "Gate", "--json").json["secret"]
        master = keyfile.read(deployment.master_key_file)
        raw: list[bytes] = [base64.b64decode(deployment.master_key_file.read_bytes())]
        for kid, sealed in deployment.rows("SELECT kid, private_sealed FROM signing_key"):
            raw.append(master.open(sealed, "signing_key", kid))
        for key_id, sealed in deployment.rows("SELECT id, sealed FROM sealed_key"):
            raw.append(master.open(sealed, "sealed_key", key_id))
        texts = [*secrets.values(), token, token.split("_")[2], server, server.split("_")[2]]
        self.needles = {text.encode() for text in texts} | {bytes.fromhex(secret) for secret in secrets.values()}
        for key in raw:
            self.needles |= {key, key.hex().encode(), base64.b64encode(key), base64.urlsafe_b64encode(key).rstrip(b"=")}
        self.token, self.master_key, self.mac_key = token, raw[0], raw[-1]

    def found_in(self, data: bytes) -> set[bytes]:
        return {needle for needle in self.needles if needle in data}


@pytest.fixture
def haul(deployment: Deployment, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Haul:
    world = tmp_path / "world.yaml"
    world.write_text(demo_text(), "utf-8")
    return Haul(deployment, capsys, world)


def test_the_databases_alone_hold_no_usable_secret(deployment: Deployment, haul: Haul) -> None:
    """Attack 59: who steals the databases, side files included, finds no token, app secret, private key or master key."""
    stolen = [path for path in deployment.directory.iterdir() if path != deployment.master_key_file]

    assert {path.name for path in stolen} >= {"facts.db", "trail.db"}
    for path in stolen:
        assert haul.found_in(path.read_bytes()) == set()


def test_what_is_stored_of_a_token_needs_the_sealed_key(deployment: Deployment, haul: Haul) -> None:
    """Attack 14: the stored fingerprint is an HMAC under a key the database holds only sealed, and no plain hash of the token."""
    ((mac, key_id),) = deployment.rows("SELECT mac, mac_key_id FROM credential")

    assert mac == mac_of(haul.token, CredentialType.CALLER, MacKey(key_id, haul.mac_key))
    assert mac != hashlib.sha256(haul.token.encode()).digest()


def test_no_verb_but_the_creating_one_prints_a_secret(
    deployment: Deployment, haul: Haul, capsys: pytest.CaptureFixture[str]
) -> None:
    """Attack 57: lists, exports, trail and doctor print no secret."""
    cli = in_process(capsys, deployment)
    reading = [
        ("world", "export"),
        ("world", "export", "--json"),
        ("credential", "list"),
        ("credential", "list", "--json"),
        ("resource-server", "list", "--json"),
        ("keys", "list", "--json"),
        ("audit", "export"),
        ("audit", "tail"),
        ("audit", "verify", "--json"),
        ("audit", "anchor"),
        ("doctor", "--json"),
        ("keys", "rotate", "--json"),
        ("app", "suspend", OWNER, "--json"),
    ]
    for arguments in reading:
        said = cli(*arguments)
        assert said.code == 0
        assert haul.found_in((said.out + said.err).encode()) == set(), arguments


def test_verbs_work_as_processes(demo: DemoDeployment) -> None:
    """The command line works as a process of its own: version, help, a change, a reading, an error."""
    assert as_process(demo, "--version").out == f"{__version__}\n"
    assert "credential" in as_process(demo).out
    made = as_process(demo, "credential", "create", "--system-user", USER, "--app", OWNER, "--json").json
    assert [row["id"] for row in as_process(demo, "credential", "list", "--json").json] == [made["id"]]
    assert as_process(demo, "app", "suspend", "1").one_line == "multipartner: app 1: unknown"
