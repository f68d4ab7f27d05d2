"""Granular tokens as bytes: made the same everywhere, and refused when anything about them is not what we would write."""

import base64
import json
import re
import string
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from multipartner.crypto.signing import Signer, TokenRefused, Verifier, jwk, new_private_key, public_key_of, thumbprint

KID, PRIVATE, PUBLIC = new_private_key()
OTHER_KID, OTHER_PRIVATE, OTHER_PUBLIC = new_private_key()
PAYLOAD = b'{"iss":"https://tokens.example","exp":1}'
TOKEN = Signer(KID, PRIVATE).sign(PAYLOAD)
RING = Verifier({KID: PUBLIC, OTHER_KID: OTHER_PUBLIC})


def _segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _with_header(header: object, key: bytes = PRIVATE) -> str:
    """A token whose signature holds for any header, as a thief of the key could make it."""
    signed = f"{_segment(header)}.{_segment(PAYLOAD)}"
    return f"{signed}.{_segment(Ed25519PrivateKey.from_private_bytes(key).sign(signed.encode()))}"


def test_signing_twice_gives_the_same_text() -> None:
    """The same payload under the same key is the same token, byte for byte."""
    assert Signer(KID, PRIVATE).sign(PAYLOAD) == TOKEN
    assert RING.payload(TOKEN) == PAYLOAD


def test_an_independent_library_agrees() -> None:
    """PyJWT verifies the token with the published JWK, and finds the type marker (attack 24)."""
    key = jwt.PyJWK(jwk(KID, PUBLIC))
    claims = jwt.decode(TOKEN, key, algorithms=["EdDSA"], options={"verify_exp": False, "verify_aud": False})

    assert claims["iss"] == "https://tokens.example"
    assert jwt.get_unverified_header(TOKEN) == {"typ": "at+jwt", "alg": "EdDSA", "kid": KID}


HEADER: dict[str, Any] = {"typ": "at+jwt", "alg": "EdDSA", "kid": KID}


_EXTRAS: list[dict[str, Any]] = [
    {"jku": "https://evil.example"},
    {"x5u": "x"},
    {"jwk": jwk(KID, PUBLIC)},
    {"x5c": []},
    {"crit": ["b64"], "b64": False},
    {"crit": []},
    {"zip": "DEF"},
    {"cty": "JWT"},
]


@pytest.mark.parametrize(
    "header",
    [
        *({**HEADER, "alg": alg} for alg in ("none", "None", "nOnE", "HS256", "RS256", "PS256", "ES256", "Ed25519", "", None)),
        {"typ": "at+jwt", "kid": KID},
        *({**HEADER, "kid": kid} for kid in ("", "x" * 1000, "../../etc/passwd", "' OR 1=1 --", "https://evil.example", "\0", 5)),
        {"typ": "at+jwt", "alg": "EdDSA"},
        *({**HEADER, **more} for more in _EXTRAS),
        {**HEADER, "typ": "JWT"},
        {**HEADER, "typ": "AT+JWT"},
        {"alg": "EdDSA", "typ": "at+jwt", "kid": KID},
        b'{"typ":"at+jwt","alg":"EdDSA","kid":"' + KID.encode() + b'","kid":"' + KID.encode() + b'"}',
        b'{"typ": "at+jwt","alg":"EdDSA","kid":"' + KID.encode() + b'"}',
        b"not json",
    ],
    ids=lambda header: re.sub(r"[\w-]{43,}", "…", str(header)),  # keys are of this process; a test's id is of the run
)
def test_only_the_header_we_write_is_read(header: object) -> None:
    """Attacks 20, 21, 22: with any header but the ring's own, even a signature that holds is refused."""
    with pytest.raises(TokenRefused):
        RING.payload(_with_header(header))


def test_the_public_key_is_no_hmac_secret() -> None:
    """Attack 20: HS256 under the published key is refused."""
    forged = jwt.encode({"exp": 1}, PUBLIC, algorithm="HS256", headers={"kid": KID, "typ": "at+jwt"})
    with pytest.raises(TokenRefused):
        RING.payload(forged)


def test_a_key_answers_for_its_own_kid_only() -> None:
    """Attack 21: a token that names one key of the ring and is signed by another is refused."""
    with pytest.raises(TokenRefused):
        RING.payload(_with_header(HEADER, OTHER_PRIVATE))


NO_TOKENS = [
    "",
    ".",
    "..",
    "a.b",
    TOKEN + "=",
    TOKEN + ".",
    TOKEN + " ",
    " " + TOKEN,
    TOKEN + "\n",
    TOKEN.replace(".", ".."),
    f"{TOKEN}.x.y",
    "\u212a" + TOKEN[1:],
    "e" * 10_000_000,
    TOKEN[:-1],
    TOKEN[1:],
    TOKEN.rpartition(".")[0] + ".",
]


@pytest.mark.parametrize("text", NO_TOKENS, ids=range(16))
def test_nothing_but_three_canonical_segments_is_a_token(text: str) -> None:
    """Attacks 22, 25: padding, spaces, more or fewer segments, and texts too long are refused before anything is decoded."""
    with pytest.raises(TokenRefused):
        RING.payload(text)


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from(string.ascii_letters + string.digits + "-_.=+/ \0"))
def test_no_character_may_change(at: int, character: str) -> None:
    """Attack 25: a token with any one character replaced is refused, the unused bits of the last one included."""
    changed = TOKEN[:at] + character + TOKEN[at + 1 :]
    if changed != TOKEN:
        with pytest.raises(TokenRefused):
            RING.payload(changed)


@given(st.integers(0, len(TOKEN)), st.text(max_size=20))
def test_no_text_may_be_cut_or_added(at: int, more: str) -> None:
    """Attack 25: truncations and insertions are refused."""
    for changed in (TOKEN[:at], TOKEN[:at] + more + TOKEN[at:]):
        if changed != TOKEN:
            with pytest.raises(TokenRefused):
                RING.payload(changed)


def test_segments_of_two_tokens_do_not_mix() -> None:
    """Attack 25: header, payload and signature of two good tokens make no third."""
    other = Signer(OTHER_KID, OTHER_PRIVATE).sign(PAYLOAD.replace(b"1}", b"2}"))
    for pick in range(1, 7):
        mixed = ".".join((other if pick >> n & 1 else TOKEN).split(".")[n] for n in range(3))
        with pytest.raises(TokenRefused):
            RING.payload(mixed)


def test_a_key_set_is_read_with_care() -> None:
    """Keys of another type, use or algorithm, or whose kid is not their thumbprint, are passed over."""
    good = jwk(KID, PUBLIC)

    assert public_key_of(good) == (thumbprint(PUBLIC), PUBLIC)
    for change in (
        {"kty": "RSA"},
        {"alg": "HS256"},
        {"use": "enc"},
        {"kid": "mine"},
        {"x": "AAAA"},
        {"x": "!!"},
        {"crv": "X25519"},
    ):
        assert public_key_of({**good, **change}) is None
