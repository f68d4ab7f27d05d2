"""PyJWT, which shares no code with us, verifies what the service issues with what the service publishes."""

from typing import Any

import httpx2
import jwt
import pytest

from running import App, Running, running

__all__ = ["running"]

REQUIRED = ["iss", "aud", "sub", "client_id", "iat", "exp", "jti", "scope"]


def fetched(url: str, app: App | None = None) -> Any:
    headers = {"Authorization": f"Bearer {app.caller_token}"} if app else {}
    return httpx2.get(url, headers=headers).raise_for_status().json()


def verified(running: Running, token: str, **changed: Any) -> dict[str, Any]:
    """The claims, if PyJWT accepts the token. `typ` is checked here: PyJWT does not look at it."""
    keys = jwt.PyJWKSet.from_dict(fetched(running.url + "/.well-known/jwks.json"))
    header = jwt.get_unverified_header(token)
    assert (header["typ"], header["alg"]) == ("at+jwt", "EdDSA")
    issuer = fetched(running.url + "/.well-known/oauth-authorization-server")["issuer"]
    wanted = {"algorithms": ["EdDSA"], "issuer": issuer, "audience": running.facts["audience"]} | changed
    return dict(jwt.decode(token, keys[header["kid"]], options={"require": REQUIRED}, **wanted))


def granted(running: Running, app: App) -> tuple[str, int]:
    answer = fetched(running.url + running.target(), app)
    return answer["access_token"], answer["expires_at"]


def test_pyjwt_verifies_a_granular_token(running: Running) -> None:
    """Signature, issuer, audience and expiry hold for PyJWT, and the claims are the grant's (attack 26 for exp)."""
    token, expires_at = granted(running, running.owner)
    claims = verified(running, token)

    customer = next(b for b in running.facts["businesses"] if b["id"] == running.business[200])
    assert expires_at == claims["exp"]
    assert (running.owner.id, running.solution_id, customer["id"]) == (
        claims["client_id"],
        claims["solution_id"],
        claims["business_id"],
    )
    assert {"whatsapp_business_management", "whatsapp_business_messaging"} == set(claims["scope"].split())
    assert sorted(customer["waba_ids"]) == claims["authorization_details"][0]["waba_ids"]


def test_the_side_without_messaging_gets_a_narrower_token(running: Running) -> None:
    """The partner whose side has no messaging gets a token for management alone."""
    token, _ = granted(running, running.partner)

    assert verified(running, token)["scope"] == "whatsapp_business_management"


@pytest.mark.parametrize("changed", [{"issuer": "https://other.example"}, {"audience": "https://other.example"}])
def test_pyjwt_refuses_another_deployments_token(running: Running, changed: dict[str, str]) -> None:
    """A verifier that expects another issuer or audience refuses the token (attack 23)."""
    token, _ = granted(running, running.owner)

    with pytest.raises(jwt.InvalidTokenError):
        verified(running, token, **changed)


@pytest.mark.parametrize("segment", [1, 2])
def test_pyjwt_refuses_a_tampered_token(running: Running, segment: int) -> None:
    """One changed character in payload or signature, and PyJWT refuses (attack 25)."""
    token, _ = granted(running, running.owner)
    parts = token.split(".")
    middle = len(parts[segment]) // 2
    other = "A" if parts[segment][middle] != "A" else "B"
    parts[segment] = parts[segment][:middle] + other + parts[segment][middle + 1 :]

    with pytest.raises(jwt.InvalidTokenError):
        verified(running, ".".join(parts))
