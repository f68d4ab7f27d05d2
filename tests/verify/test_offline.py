"""A resource server with nothing but the key set: claims to the second, WABAs and permissions to the letter."""

import asyncio
import json
from typing import Any

import pytest

from fakes import CUSTOMER, ISSUER, NOON_S, OWNER, PARTNER, SOLUTION, WABA, InProcess, populated_store
from multipartner.crypto.signing import Signer, jwk, new_private_key
from multipartner.domain.claims import MAX_TOKEN_BYTES
from multipartner.domain.model import Permission, WabaId
from multipartner.verify import NeedsIntrospection, NotPermitted, OfflineVerifier, TokenRefused

KID, PRIVATE, PUBLIC = new_private_key()
VERIFIER = OfflineVerifier({"keys": [jwk(KID, PUBLIC)]}, issuer=ISSUER, audience=ISSUER)
GOOD: dict[str, Any] = {
    "iss": ISSUER,
    "aud": ISSUER,
    "sub": "7.5",
    "client_id": "5",
    "iat": NOON_S,
    "exp": NOON_S + 3600,
    "scope": "whatsapp_business_management",
    "solution_id": "6",
    "business_id": "7",
    "gen": ["a", "b", "c", "d", "e"],
    "jti": "x",
}


_EXPIRIES: list[Any] = [None, "1800003600", NOON_S + 0.5, -1, float("nan"), 1e400, NOON_S, NOON_S - 1, True, []]


def _sign(claims: object) -> str:
    text = claims if isinstance(claims, str) else json.dumps(claims, separators=(",", ":"))
    return Signer(KID, PRIVATE).sign(text.encode())


def test_good_claims_are_read() -> None:
    """A token as we write it is accepted, from its first second to the last before exp."""
    for wall_s in (NOON_S, NOON_S + 3599):
        assert VERIFIER.verify(_sign(GOOD), wall_s=wall_s).business_id == "7"


@pytest.mark.parametrize(
    "change",
    [
        *({"exp": exp} for exp in _EXPIRIES),
        *({"iat": iat} for iat in (NOON_S + 61, NOON_S + 3600, "now", None)),
        *({"iss": iss} for iss in ("https://tokens.example/", "https://evil.example", "", None, [ISSUER])),
        *({"aud": aud} for aud in ([ISSUER], "https://other.example", "", None)),
        {"nbf": NOON_S + 10},
        {"admin": True},
    ],
    ids=str,
)
def test_claims_out_of_line_are_refused(change: dict[str, Any]) -> None:
    """Attack 23: claims of another type, time, issuer or audience are refused, and so are members we never write."""
    claims = {**GOOD, **change}
    with pytest.raises(TokenRefused):
        VERIFIER.verify(_sign({k: v for k, v in claims.items() if v is not None}), wall_s=NOON_S)


def test_duplicate_members_are_refused() -> None:
    """Attack 23: a payload with a member twice, spaces, or another order is not one we wrote."""
    text = json.dumps(GOOD, separators=(",", ":"))
    for forged in (
        text[:-1] + ',"exp":9999999999}',
        text.replace(",", ", "),
        '{"exp":9999999999,' + text[1:],
        text + " ",
        "[]",
        "",
    ):
        with pytest.raises(TokenRefused):
            VERIFIER.verify(_sign(forged), wall_s=NOON_S)


def test_skew_is_one_number() -> None:
    """Attack 23: iat may lie 60 s ahead and no second more; exp has no tolerance at all."""
    ahead = {**GOOD, "iat": NOON_S + 60}

    assert VERIFIER.verify(_sign(ahead), wall_s=NOON_S).iat == NOON_S + 60
    with pytest.raises(TokenRefused):
        VERIFIER.verify(_sign(ahead), wall_s=NOON_S - 1)
    with pytest.raises(TokenRefused):
        VERIFIER.verify(_sign(GOOD), wall_s=NOON_S + 3600)


def test_a_key_set_without_our_keys_is_refused() -> None:
    """A key set that cannot verify anything is an error at once, not a refusal of every token later."""
    unusable: list[dict[str, Any]] = [{}, {"keys": []}, {"keys": "x"}, {"keys": [{"kty": "RSA"}, 5]}]
    for key_set in unusable:
        with pytest.raises(ValueError, match="key set"):
            OfflineVerifier(key_set, issuer=ISSUER, audience=ISSUER)


def test_a_token_is_for_its_wabas_and_permissions_only() -> None:
    """Attack 32: another WABA, or a permission that is not in the grant, is refused."""

    async def scenario() -> None:
        store = populated_store()
        service = InProcess(store)
        token = (await service.token(store.add_credential(PARTNER))).json["access_token"]
        key_set = (await service.request("/.well-known/jwks.json")).json
        verifier = OfflineVerifier(key_set, issuer=ISSUER, audience=ISSUER)
        claims = verifier.verify(token, wall_s=service.now.wall_s)
        verifier.require(claims, WABA, Permission.MANAGEMENT)

        with pytest.raises(NotPermitted):
            verifier.require(claims, WABA, Permission.MESSAGING)
        with pytest.raises(NotPermitted):
            verifier.require(claims, "8299", Permission.MANAGEMENT)

    asyncio.run(scenario())


def test_a_share_too_large_for_a_token_is_told_by_introspection() -> None:
    """Beyond 2 kB the token carries no list of WABAs; introspection has all of them."""

    async def scenario() -> None:
        store = populated_store()
        wabas = tuple(WabaId(str(810000000000000 + n * 7919)) for n in range(400))
        store.share(SOLUTION, CUSTOMER, wabas)
        service = InProcess(store)
        token = (await service.token(store.add_credential(OWNER))).json["access_token"]
        verifier = OfflineVerifier((await service.request("/.well-known/jwks.json")).json, issuer=ISSUER, audience=ISSUER)
        claims = verifier.verify(token, wall_s=service.now.wall_s)

        assert len(token) <= MAX_TOKEN_BYTES
        with pytest.raises(NeedsIntrospection):
            verifier.require(claims, wabas[0], Permission.MESSAGING)
        told = await service.introspector(token, service.now)
        assert told.authorization_details[0].waba_ids == wabas

    asyncio.run(scenario())
