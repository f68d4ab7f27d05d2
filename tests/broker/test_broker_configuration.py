"""What a broker's configuration may say, and how it is refused."""

from pathlib import Path

import pytest

from multipartner.broker.configuration import ConfigurationRefused, account_of, read

MAIN = '[accounts.main]\norigin = "https://graph.facebook.com"\napp_id = "5372200989284704"\ncaller_token_file = "main.token"\n'

REFUSED = {
    "is not TOML": "= 1",
    "top level: object contains unknown field `port`": f"port = 1\n{MAIN}",
    "top level: object missing required field `accounts`": "",
    "accounts: must hold at least one": "[accounts]\n",
    "accounts.'Main'": MAIN.replace("main]", "Main]"),
    "accounts.*.origin: expected `str`": MAIN.replace('"https://graph.facebook.com"', "1"),
    "accounts.main: origin must be https: a token sent over plain http": MAIN.replace("https://", "http://"),
    "accounts.main: origin must be https://host[:port] and nothing more": MAIN.replace(".com", ".com/v23.0"),
    "accounts.main: app_id must be 1 to 32 digits": MAIN.replace("5372200989284704", "my-app"),
    "accounts.main: version must look like v23.0": f'{MAIN}version = "23"\n',
    "accounts.main.prefetch: business_id must be": f'{MAIN}prefetch = [{{ solution = "1", businesses = [] }}]\n',
    "accounts.main.prefetch: solution_id must be": f'{MAIN}prefetch = [{{ solution = "x", businesses = ["1"] }}]\n',
    "accounts.main.prefetch_per_s: must be 0.1 to 1000": f"{MAIN}prefetch_per_s = 0\n",
    "accounts.*: object contains unknown field `caller_token`": f'{MAIN}caller_token = "EAAGsecret"\n',
    "listen: plain HTTP on a public address; put a TLS proxy in front": f'listen = "0.0.0.0:80"\n{MAIN}',
    "listen: plain HTTP on a public address": f'listen = "[::]:80"\n{MAIN}',
    "listen: must be an address and a port such as": f'listen = "broker.example:80"\n{MAIN}',
    "listen: must be an address and a port": f'listen = "127.0.0.1"\n{MAIN}',
    "listen: must be an address": f'listen = "127.0.0.1:99999"\n{MAIN}',
    "listen: a unix socket needs an absolute path": f'listen = "unix:broker.sock"\n{MAIN}',
    "operations_port: must be another than": f"operations_port = 8084\n{MAIN}",
    "operations_port: must be 0": f"operations_port = -1\n{MAIN}",
    "wait_s: must be 0.1 to 60 seconds": f"wait_s = 600\n{MAIN}",
    "log_level: must be one of debug, info, warning, error": f'log_level = "loud"\n{MAIN}',
    "log_format: must be one of json, console": f'log_format = "xml"\n{MAIN}',
    "log_successes_per_s: must be 0 or more": f"log_successes_per_s = -1\n{MAIN}",
    "credentials_file: the environment has no STATE_DIRECTORY": f'credentials_file = "$STATE_DIRECTORY/c.json"\n{MAIN}',
}


@pytest.mark.parametrize("told", REFUSED)
def test_a_wrong_setting_is_refused_by_name_shape_and_fix(tmp_path: Path, told: str) -> None:
    """One line: the file, the setting, what it must be; and never a secret that somebody wrote into the wrong place."""
    file = tmp_path / "broker.toml"
    file.write_text(REFUSED[told], "utf-8")

    with pytest.raises(ConfigurationRefused) as refused:
        read(file, {})

    line = str(refused.value)
    assert line.startswith(f"{file}: ")
    assert told in line
    assert "\n" not in line
    assert "EAAGsecret" not in line


@pytest.mark.parametrize(
    ("listen", "shown"),
    [
        ("127.0.0.1:0", "http://127.0.0.1:0"),
        ("localhost:81", "http://127.0.0.1:81"),
        ("[::1]:81", "http://[::1]:81"),
        ("unix:/run/b.sock", "unix:/run/b.sock"),
    ],
)
def test_local_addresses_need_no_leave(tmp_path: Path, listen: str, shown: str) -> None:
    """Loopback and unix sockets are served on as they are; a public address once a proxy is said to terminate TLS."""
    file = tmp_path / "broker.toml"
    file.write_text(f'listen = "{listen}"\n{MAIN}', "utf-8")
    assert str(read(file, {}).listen) == shown

    file.write_text(f'listen = "192.0.2.1:80"\ntls_terminated = true\n{MAIN}', "utf-8")
    assert str(read(file, {}).listen) == "http://192.0.2.1:80"


def test_paths_are_the_files_folders_or_the_environments(tmp_path: Path) -> None:
    """A relative path is relative to the configuration; `$NAME/...` begins where the environment says."""
    (tmp_path / "secrets").mkdir()
    for name in ("main.token", "secrets/other.token"):
        secret = tmp_path / name
        secret.touch(0o600)
        secret.write_text(f"token-of-{secret.stem}\n")
    file = tmp_path / "broker.toml"
    other = MAIN.replace("main", "other").replace("other.token", "$CREDENTIALS_DIRECTORY/other.token")
    file.write_text(MAIN + other, "utf-8")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path / "secrets")}

    configuration = read(file, environment)

    headers = [account_of(configuration, name, environment).authorization() for name in ("main", "other")]
    assert headers == ["Bearer token-of-main", "Bearer token-of-other"]
    assert configuration.credentials_file == tmp_path / "broker-credentials.json"


SPOILED = {
    "there is no caller token file": lambda path: path.unlink(),
    "open to others (mode 0644); run `chmod 600": lambda path: path.chmod(0o644),
    "is a symbolic link": lambda path: path.rename(path.with_name("t")) and path.symlink_to("t"),
    "holds no caller token; it must be one line": lambda path: path.write_text("two Xyzzy\n"),
    "holds no caller token": lambda path: path.write_text("\n"),
    "it must be one line of printable ASCII": lambda path: path.write_text("Xyzzy\u00e9"),
}


@pytest.mark.parametrize("told", SPOILED)
def test_a_secret_is_taken_from_a_private_file_alone(tmp_path: Path, told: str) -> None:
    """Attack 57: a caller token comes from a plain file of this user's alone; what is wrong is told without what stands in it."""
    secret, file = tmp_path / "main.token", tmp_path / "broker.toml"
    secret.touch(0o600)
    secret.write_text("Xyzzy")
    file.write_text(MAIN, "utf-8")
    SPOILED[told](secret)

    with pytest.raises(ConfigurationRefused) as refused:
        account_of(read(file, {}), "main", {})

    assert told in str(refused.value)
    assert str(refused.value).startswith(f"{secret}: ")
    assert "Xyzzy" not in str(refused.value)
