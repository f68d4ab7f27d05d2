"""jose, as published, verifies what the service issues with what the service publishes."""

import json
from typing import Any

import pytest

from nodejs import needs_node, node
from rawhttp import ask, request
from running import Running, running

__all__ = ["running"]

pytestmark = [pytest.mark.foreign, needs_node]


def granted(running: Running) -> str:
    answer = ask(running.address, request(running.target(), f"Authorization: Bearer {running.owner.caller_token}"))
    assert answer is not None
    return str(json.loads(answer.body)["access_token"])


def verdicts(running: Running, *tokens: str, **changed: str) -> list[dict[str, Any]]:
    known = {"url": running.url, "issuer": running.facts["issuer"], "audience": running.facts["audience"]}
    return list(node("verify.mjs", known | {"tokens": tokens} | changed))


def flipped(token: str, segment: int) -> str:
    parts = token.split(".")
    middle = len(parts[segment]) // 2
    other = "A" if parts[segment][middle] != "A" else "B"
    parts[segment] = parts[segment][:middle] + other + parts[segment][middle + 1 :]
    return ".".join(parts)


def test_jose_verifies_a_granular_token(running: Running) -> None:
    """Jose accepts the token with the published key set, demanding at+jwt, EdDSA, issuer and audience."""
    (verdict,) = verdicts(running, granted(running))

    assert verdict["good"]
    assert verdict["header"]["typ"] == "at+jwt"
    assert verdict["claims"]["business_id"] == running.business[200]


def test_jose_refuses_tampered_tokens(running: Running) -> None:
    """One changed character in payload or signature, a cut or an added segment: jose refuses each (attack 25)."""
    token = granted(running)
    header, payload, signature = token.split(".")
    tampered = [flipped(token, 1), flipped(token, 2), f"{header}.{payload}.", f"{header}.{payload}", f"{token}.{signature}"]

    assert [verdict["good"] for verdict in verdicts(running, *tampered)] == [False] * len(tampered)


@pytest.mark.parametrize("name", ["issuer", "audience"])
def test_jose_refuses_another_deployments_token(running: Running, name: str) -> None:
    """A verifier that expects another issuer or audience refuses the token (attack 23)."""
    (verdict,) = verdicts(running, granted(running), **{name: "https://other.example"})

    assert verdict == {"good": False, "code": "ERR_JWT_CLAIM_VALIDATION_FAILED"}
