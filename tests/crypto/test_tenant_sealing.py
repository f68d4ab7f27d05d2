"""Sealing one tenant's token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multipartner.crypto.tenant_sealing import Binding, SealBroken, TenantKeys, id_in, key_id_of

KEYS = TenantKeys([bytes(range(32)), bytes(32)])
NUMBERS = st.integers(0, 1 << 53)
BINDINGS = st.builds(Binding, st.binary(max_size=40), NUMBERS, NUMBERS, NUMBERS, st.sampled_from([b"token", b"naming"]))


@given(st.binary(max_size=200), BINDINGS, BINDINGS)
def test_opens_for_its_binding_alone(plain: bytes, binding: Binding, other: Binding) -> None:
    """What was sealed comes back under the binding it was sealed for, and under no other."""
    sealed = KEYS.seal(plain, binding)

    assert KEYS.open(sealed, binding) == plain
    if other != binding:
        with pytest.raises(SealBroken):
            KEYS.open(sealed, other)


@given(st.binary(max_size=40), st.data())
def test_a_flipped_bit_does_not_open(plain: bytes, data: st.DataObject) -> None:
    """No byte of a sealed value can be changed, its format, algorithm and key id included, and none left out."""
    binding = Binding(b"tenant", 1, 2, 3)
    sealed = KEYS.seal(plain, binding)
    at = data.draw(st.integers(0, len(sealed) - 1))
    bit = 1 << data.draw(st.integers(0, 7))

    for changed in (sealed[:at] + bytes([sealed[at] ^ bit]) + sealed[at + 1 :], sealed[:at], sealed + b"\0"):
        with pytest.raises(SealBroken):
            KEYS.open(changed, binding)


def test_the_key_is_named_and_no_other_is_tried() -> None:
    """A sealed value names its key; a ring without that key refuses, whatever else it holds."""
    old, new = bytes(range(32)), bytes(32)
    sealed = TenantKeys([old]).seal(b"x", Binding(b"t", 1, 2, 3))

    assert id_in(sealed) == key_id_of(old)
    assert TenantKeys([new, old]).open(sealed, Binding(b"t", 1, 2, 3)) == b"x"
    assert TenantKeys([new, old]).ids == (key_id_of(new), key_id_of(old))
    with pytest.raises(SealBroken, match="not in the ring"):
        TenantKeys([new]).open(sealed, Binding(b"t", 1, 2, 3))


def test_two_seals_of_one_token_differ() -> None:
    """The same token sealed twice is two values: who reads the file does not see that nothing changed."""
    binding = Binding(b"t", 1, 2, 3)

    assert KEYS.seal(b"x", binding) != KEYS.seal(b"x", binding)


@pytest.mark.parametrize("keys", [[], [b"short"], [bytes(33)]], ids=["none", "short", "long"])
def test_only_whole_keys_make_a_ring(keys: list[bytes]) -> None:
    """A key of another length, or none at all, is refused."""
    with pytest.raises(ValueError, match="key"):
        TenantKeys(keys)
