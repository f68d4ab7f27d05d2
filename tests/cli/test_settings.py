"""Settings that do not fit together, or that name what they cannot mean."""

from pathlib import Path

import pytest

from multipartner import settings as s


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"calls_per_hour": 1, "workers": 2}, "MULTIPARTNER_CALLS_PER_HOUR: must be at least 1 for each of the 2 workers"),
        ({"calls_per_business_per_hour": 3, "workers": 4}, "MULTIPARTNER_CALLS_PER_BUSINESS_PER_HOUR: must be at least 1 for"),
        ({"failures_per_hour": 7, "workers": 8}, "MULTIPARTNER_FAILURES_PER_HOUR: must be at least 1 for each of the 8 workers"),
        ({"port": 9000, "operations_port": 9000}, "MULTIPARTNER_OPERATIONS_PORT: must be another than port"),
        ({"trusted_proxies": "10.0.0.1/8"}, "MULTIPARTNER_TRUSTED_PROXIES: each must be an address or a network"),
        ({"trusted_proxies": "proxy.example"}, "MULTIPARTNER_TRUSTED_PROXIES: each must be an address or a network"),
        ({"audience": ""}, "MULTIPARTNER_AUDIENCE: must be 1 to 200 printable ASCII characters"),
        ({"audience": "a" * 201}, "MULTIPARTNER_AUDIENCE: must be 1 to 200 printable ASCII characters"),
        ({"audience": "a\nb"}, "MULTIPARTNER_AUDIENCE: must be 1 to 200 printable ASCII characters"),
    ],
)
def test_settings_that_cannot_mean_what_they_say_are_refused(given: dict[str, object], told: str) -> None:
    """A limit that is less than one for each worker, a port used twice, a proxy nobody is: each refused in one line."""
    with pytest.raises(s.SettingsError) as refused:
        s.load(given)

    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "https://",
        "https:///path",
        "https://:443",
        "https:tokens.example",
        "tokens.example",
        "ftp://tokens.example",
        "HTTPS://tokens.example",
        "http://tokens.example",
        "http://localhost:1@evil.example",
        "http://127.0.0.1:80.evil.example",
        "http://127.0.0.1.evil.example",
        "http://localhost\\@evil.example",
        "https://user@tokens.example",
        "https://@tokens.example",
        "https://x\nSet: y",
        "https://x\ty",
        "https://x y",
        "https://tökens.example",
        "https://x?y",
        "https://x?",
        "https://x#z",
        "https://x#",
        "https://x?y#z",
        "https://x/",
        "https://x/path/",
        "https://x:",
        "https://x:0",
        "https://x:65536",
        "https://x:-1",
        "https://x:٤٤٣",
        "https://a..b",
        "https://<x>",
        "https://[::1",
        "https://[x]",
        "https://[::1%25lo]",
        "https://" + "x." * 96 + "y",
    ],
)
def test_an_issuer_is_an_https_url_and_nothing_else(issuer: str) -> None:
    """Attack 79: an issuer that only looks like https or loopback, or holds more than scheme, host, port and path, is refused."""
    with pytest.raises(s.SettingsError) as refused:
        s.load({"issuer": issuer})

    assert str(refused.value).startswith("MULTIPARTNER_ISSUER: must be ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "issuer",
    [
        "https://tokens.example",
        "https://tokens.example:8443",
        "https://tokens.example/tenant/a",
        "https://192.0.2.7",
        "https://[2001:db8::1]:8443",
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "https://" + "x." * 95 + "yz",
    ],
)
def test_an_issuer_that_is_one_is_taken_as_it_stands(issuer: str) -> None:
    """Issuers with port, path, an address for a host, or plain HTTP on loopback are served unchanged."""
    assert s.load({"issuer": issuer}).issuer_url == issuer


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("::ffff:10.0.0.0/104", ("10.0.0.0/8",)),
        ("::ffff:10.0.0.1, 192.0.2.0/24", ("10.0.0.1/32", "192.0.2.0/24")),
        ("::/0,2001:db8::/32", ("::/0", "2001:db8::/32")),
    ],
)
def test_an_ipv4_proxy_written_as_ipv6_is_still_trusted(given: str, meant: tuple[str, ...]) -> None:
    """Trusted proxies in IPv4-mapped form are the IPv4 networks that they mean."""
    assert s.load({"trusted_proxies": given}).trusted_proxies == meant


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("MULTIPARTNER_WORKRES", "did you mean MULTIPARTNER_WORKERS?"),
        ("multipartner_ports", "did you mean MULTIPARTNER_PORT?"),
        ("MULTIPARTNER_TOKEN_LIFETIME", "did you mean MULTIPARTNER_TOKEN_LIFETIME_S?"),
        ("MULTIPARTNER_QQQ", "see `multipartner serve --help`"),
    ],
)
def test_an_unknown_setting_is_told_with_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch, name: str, told: str) -> None:
    """A misspelt setting is refused with the name that was probably meant, or with where they are listed."""
    monkeypatch.setenv(name, "2")

    with pytest.raises(s.SettingsError) as refused:
        s.load()

    assert str(refused.value) == f"{name}: no such setting; {told}"


@pytest.mark.parametrize("setting", ["database", "trail"])
def test_a_folder_for_a_database_is_told_with_the_fix(tmp_path: Path, setting: str) -> None:
    """A folder where a database file is wanted is refused by name, with a file that would do."""
    with pytest.raises(s.SettingsError) as refused:
        s.load({setting: tmp_path})

    assert str(refused.value).startswith(
        f"MULTIPARTNER_{setting.upper()}: {tmp_path} is a folder; name a file, such as {tmp_path}/"
    )


def test_limits_of_exactly_one_for_each_worker_and_ports_left_to_the_system_are_fine() -> None:
    """The smallest limits that can be divided are served, and so are two ports that the system chooses."""
    given = {"calls_per_hour": 4, "calls_per_business_per_hour": 4, "failures_per_hour": 4, "workers": 4}

    assert s.load(given | {"port": 0, "operations_port": 0}).workers == 4


def test_a_proxy_that_nobody_named_is_warned_of() -> None:
    """With TLS terminated in front and no trusted proxy, all clients would be one: that is said, with the fix."""
    (warning,) = s.warnings(s.load({"tls_terminated": True}))

    assert warning.startswith("MULTIPARTNER_TRUSTED_PROXIES: ")
    assert s.warnings(s.load({"tls_terminated": True, "trusted_proxies": "10.0.0.1"})) == ()
    assert s.warnings(s.load()) == ()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:12/34@127.0.0.1/db",
        "postgresql://u:12?34@127.0.0.1:1/db",
        "postgresql://u:12/34?5@127.0.0.1/db",
        "postgresql://u:12/34[@127.0.0.1/db",
        "postgresql://u:12/34\N{ACCOUNT OF}@127.0.0.1/db",
        "postgresql://u:\N{ACCOUNT OF}12/34@127.0.0.1/db",
        "postgresql:u:12/34@127.0.0.1/db",
        "host=127.0.0.1 user=u password=12/34 dbname=db",
        "postgresql://u:12%2F34@127.0.0.1:99999/db",
        "postgresql://u:12%2F34@h1,/db",
    ],
    ids=str.__len__,
)
def test_a_database_that_can_be_misread_is_refused_without_its_text(url: str) -> None:
    """Attack 57: what somebody reads as a password never becomes a host, a database or a file, all of which are shown."""
    with pytest.raises(s.SettingsError) as refused:
        s.load({"database": url})

    told = str(refused.value)
    assert told.startswith("MULTIPARTNER_DATABASE: ")
    assert "\n" not in told
    assert "12" not in told
    assert "34" not in told
