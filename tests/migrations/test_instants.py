"""Instants as callers write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multipartner.wire.migrations import unix_s
from multipartner.wire.solutions import instant


@given(st.integers(0, 253_402_300_799))
def test_what_we_print_we_read(at_s: int) -> None:
    """An instant comes back as the second it was."""
    assert unix_s(instant(at_s)) == at_s


@pytest.mark.parametrize(
    ("text", "at_s"),
    [
        ("2024-12-01T10:00:00Z", 1_733_047_200),
        ("2024-12-01T11:30:00+01:30", 1_733_047_200),
        ("2024-12-01T09:59:59.000001Z", 1_733_047_200),
        ("2024-12-01T10:00:00", None),
        ("2024-12-01", None),
        ("20241201T100000Z", None),
        ("2024-12-01 10:00:00Z", None),
        ("2024-12-01T10:00:60Z", None),
        ("2024-02-30T10:00:00Z", None),
        ("2024-12-01t10:00:00z", 1_733_047_200),
        ("tomorrow", None),
        ("", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("9999-12-31T23:59:59-23:00", None),
        ("1969-12-31T23:59:59Z", None),
        ("\N{ARABIC-INDIC DIGIT TWO}024-12-01T10:00:00Z", None),
    ],
)
def test_an_instant_has_its_offset_and_its_bounds(text: str, at_s: int | None) -> None:
    """Attack 47: an instant names its offset, is never rounded to an earlier second, and can be written again."""
    assert unix_s(text) == at_s
