"""An app's secret, lost or leaked, and renewed."""

import pytest

from cli.command_line import as_process, in_process
from deployment import DemoDeployment
from multipartner.crypto.credentials import appsecret_proof
from multipartner.domain.model import AppId
from serving import OWNER_APP, OWNER_USER, SHARING, get, path_of, serving


def test_a_renewed_secret_is_obeyed_by_the_next_request(demo: DemoDeployment) -> None:
    """When `app secret renew` has ended, the old secret proves nothing, the new one does, and the app's token is the same."""
    token, old = demo.caller_token(OWNER_USER, OWNER_APP), demo.secrets[AppId(OWNER_APP)].reveal()
    with serving(demo) as served:

        def asked(secret: str) -> tuple[int, bytes]:
            answer = get(served.url, f"{path_of(SHARING)}&appsecret_proof={appsecret_proof(secret, token)}", token)
            return answer.status, answer.body if answer.status == 200 else b""

        before = asked(old)
        new = as_process(demo, "app", "secret", "renew", OWNER_APP, "--json").json

        assert before[0] == 200
        assert new["app_id"] == OWNER_APP
        assert (asked(old)[0], asked(new["secret"])) == (400, before)


def test_a_renewed_secret_is_shown_once_and_told_without_it(demo: DemoDeployment, capsys: pytest.CaptureFixture[str]) -> None:
    """The trail says that a secret was renewed; neither it nor the databases hold the secret."""
    secret, _, told = in_process(capsys, demo)("app", "secret", "renew", OWNER_APP).out.partition("\n")

    assert len(bytes.fromhex(secret)) == 16
    assert "Shown this once" in told
    event = demo.events()[-1]
    assert (event["kind"], event["app_id"]) == ("app.secret_renewed", OWNER_APP)
    for path in demo.directory.iterdir():
        assert secret.encode() not in path.read_bytes()
