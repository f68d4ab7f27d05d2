"""Opaque credentials: random, recognisable, compared in constant time, useless at rest."""

import os
import re
import statistics
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multipartner.crypto import credentials
from multipartner.crypto.credentials import CredentialType, MacKey
from multipartner.crypto.sealing import MasterKeys, SealBroken
from multipartner.web.framing import TraceIds

KEY = MacKey("k", b"k" * 32)


def test_a_credential_is_found_by_its_identifier_and_its_pattern() -> None:
    """Attack 27: a new credential has the published form, 256 random bits, and is not made twice."""
    made = [credentials.new_credential(CredentialType.CALLER) for _ in range(200)]

    assert len({text for _, text in made}) == len({identifier for identifier, _ in made}) == 200
    for identifier, text in made:
        assert re.fullmatch(credentials.PATTERN, text)
        assert credentials.identifier_of(text, CredentialType.CALLER) == identifier
        assert credentials.identifier_of(text, CredentialType.RESOURCE_SERVER) is None
    assert len(credentials.ALPHABET) ** credentials.SECRET_CHARS > 2**256


def test_forked_processes_draw_other_secrets() -> None:
    """Attack 27: children forked from one process never make equal secrets, and neither do their trace ids repeat."""
    ids = TraceIds()
    ids.take()
    drawn = set()
    for _ in range(4):
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(write_end, credentials.new_credential(CredentialType.CALLER)[1].encode() + b"|" + ids.take())
            os._exit(0)
        os.waitpid(pid, 0)
        drawn.update(os.read(read_end, 1000).split(b"|"))
        os.close(read_end)
        os.close(write_end)

    assert len(drawn) == 8


@given(st.text(max_size=90))
def test_no_text_breaks_the_check(text: str) -> None:
    """Attacks 11, 15: any text is judged without an error, and only a whole credential has an identifier."""
    assert credentials.identifier_of(text, CredentialType.CALLER) is None
    assert not credentials.proof_matches(text, "s", "t")


def test_a_fingerprint_separates_kinds_and_keys() -> None:
    """Attack 24: the same text has another fingerprint as another kind of credential or under another key."""
    _, text = credentials.new_credential(CredentialType.CALLER)
    macs = {credentials.mac_of(text, kind, MacKey("k", key)) for kind in CredentialType for key in (b"a" * 32, b"b" * 32)}

    assert len(macs) == 2 * len(CredentialType)


def test_refusing_takes_as_long_whatever_is_wrong() -> None:
    """Attack 13: over 100,000 comparisons, a wrong first and a wrong last byte cost the same, within the noise of the runs."""
    _, text = credentials.new_credential(CredentialType.CALLER)
    mac = credentials.mac_of(text, CredentialType.CALLER, KEY)
    first, last = bytes([mac[0] ^ 1]) + mac[1:], mac[:-1] + bytes([mac[-1] ^ 1])
    samples: dict[bytes, list[int]] = {first: [], last: []}
    for _ in range(500):
        for wrong, taken in samples.items():
            begun = time.perf_counter_ns()
            for _ in range(100):
                credentials.mac_matches(text, CredentialType.CALLER, KEY, wrong)
            taken.append(time.perf_counter_ns() - begun)
    one, two = statistics.median(samples[first]), statistics.median(samples[last])
    spread = statistics.median(abs(t - one) for t in samples[first])

    # The rule is about code paths; the bound is the run's own spread, so no machine is too slow or too noisy for it.
    assert abs(one - two) <= max(4 * spread, 0.05 * one)


def test_a_sealed_value_opens_in_its_own_row_only() -> None:
    """A sealed value copied to another row, changed, or met by another master key does not open."""
    keys = MasterKeys([b"1" * 32])
    sealed = keys.seal(b"secret", "app", "secret", "1")

    assert keys.open(sealed, "app", "secret", "1") == b"secret"
    assert keys.seal(b"secret", "app", "secret", "1") != sealed
    for row in (("app", "secret", "2"), ("app", "secret1", ""), ("app",)):
        with pytest.raises(SealBroken):
            keys.open(sealed, *row)
    for broken in (sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1]), b"", b"\x02" + sealed[1:]):
        with pytest.raises(SealBroken):
            keys.open(broken, "app", "secret", "1")
    with pytest.raises(SealBroken):
        MasterKeys([b"2" * 32]).open(sealed, "app", "secret", "1")
    assert MasterKeys([b"2" * 32, b"1" * 32]).open(sealed, "app", "secret", "1") == b"secret"


def test_master_keys_are_whole() -> None:
    """A master key of another length, or none at all, is refused."""
    for keys in ([], [b"short"], [b"1" * 32, b""]):
        with pytest.raises(ValueError, match="master key"):
            MasterKeys(keys)


def test_keys_do_not_print_themselves() -> None:
    """Attack 57: no key shows its bytes in a repr."""
    assert "kkkk" not in repr(KEY) + str(KEY) + f"{KEY}"
    assert "1111" not in repr(MasterKeys([b"1" * 32]))
