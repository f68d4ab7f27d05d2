"""The redaction and the escaping, on texts of every kind."""

import json
import logging
import logging.config

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multipartner.crypto.credentials import CredentialType, new_credential
from multipartner.crypto.signing import Signer, new_private_key
from multipartner.domain.reasons import Reason
from multipartner.web import logs
from multipartner.web.observing import Seen

_KID, _PRIVATE, _ = new_private_key()
_SECRETS = [
    new_credential(CredentialType.CALLER)[1],
    new_credential(CredentialType.RESOURCE_SERVER)[1],
    Signer(_KID, _PRIVATE).sign(b'{"iss":"https://tokens.example","jti":"x"}'),
]


def _fail(error: Exception) -> None:
    raise error


@given(st.sampled_from(_SECRETS), st.text(), st.text())
def test_credentials_are_hidden_wherever_they_stand(secret: str, before: str, after: str) -> None:
    """A credential of ours or a JWT does not survive redaction, whatever stands around it (attack 57)."""
    shown = logs.redact(f"{before} {secret} {after}")

    assert secret.replace(".", "_").split("_")[-1] not in shown.replace(before, "").replace(after, "")


@pytest.mark.parametrize(
    "text",
    [
        "GET /x?access_token=s3cr3t&a=1",
        "appsecret_proof=s3cr3t",
        "access_token%3Ds3cr3t",
        '{"access_token": "s3cr3t"}',
        "{'client_secret': 's3cr3t'}",
        "Authorization: Bearer s3cr3t",
        "authorization: basic s3cr3t==",
        "token=s3cr3t",
        "GET /v23.0/debug_token?input_token=123|s3cr3t&fields=app_id",
        "input_token=123%7Cs3cr3t",
    ],
)
def test_named_secrets_are_hidden(text: str) -> None:
    """A value is hidden for its name, whatever it looks like (attack 57)."""
    assert "s3cr3t" not in logs.redact(text)


@given(st.text(alphabet=st.characters()))
def test_everything_prints_on_one_line(text: str) -> None:
    """No text breaks a line, moves a cursor or turns the reading direction (attack 51)."""
    assert logs.printable(text).isprintable()


def test_an_error_is_told_without_secrets_or_locals(capfd: pytest.CaptureFixture[str]) -> None:
    """An unexpected error leaves type, redacted text and places in the log, and none of the values around it."""
    secret = _SECRETS[0]
    try:
        _fail(ValueError(f"could not read access_token={secret}\nnext"))
    except ValueError:
        logs.RequestLog(logs.logger("info", "json")).error("Atrace")

    line = json.loads(capfd.readouterr().err)
    assert (line["trace_id"], line["error"]) == ("Atrace", "builtins.ValueError")
    assert line["error_text"] == "could not read access_token=[redacted]\\nnext"
    assert line["stack"][0].startswith("test_logs.py:")
    assert secret not in json.dumps(line)


def test_what_other_libraries_log_is_cleaned_as_well(capfd: pytest.CaptureFixture[str]) -> None:
    """A record of the server's or of asyncio's passes the same redaction, its exception too."""
    logging.config.dictConfig(logs.standard_config("info", "json"))
    try:
        _fail(OSError(f"broken at token={_SECRETS[2]}"))
    except OSError:
        logging.getLogger("asyncio").exception("Task failed for %s", _SECRETS[1])
    finally:
        logging.getLogger().handlers.clear()
        logging.getLogger("_granian").handlers.clear()

    line = json.loads(capfd.readouterr().err)
    assert (line["event"], line["logger"]) == ("Task failed for [redacted]", "asyncio")
    assert line["error_text"] == "broken at token=[redacted]"


def test_console_form_is_cleaned_too(capfd: pytest.CaptureFixture[str]) -> None:
    """The form for people prints one line as well, with nothing in it that opens anything."""
    seen = Seen("Atrace", "access_token", 401, Reason.CALLER_UNKNOWN, f"\x1b[31m{_SECRETS[0]}\n")
    logs.RequestLog(logs.logger("info", "console")).seen(seen)

    printed = capfd.readouterr().err
    assert printed.count("\n") == 1
    assert "\x1b" not in printed
    assert _SECRETS[0] not in printed
