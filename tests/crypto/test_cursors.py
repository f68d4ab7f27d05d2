"""Page cursors: what comes back, and what does not (attack 37)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multipartner.crypto.cursors import LIFETIME_S, CursorRefused, open_cursor, seal_cursor

KEY, NOON_S = b"k" * 32, 1_800_000_000
LIST = ("CALLER", "5372200989284704", "phone_numbers")
TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), min_size=1, max_size=3)


@given(TEXTS, TEXTS)
def test_a_position_comes_back(bound_to: list[str], position: list[str]) -> None:
    """Whoever asks for the same list within a day gets the position that was sealed."""
    text = seal_cursor(KEY, bound_to, position, NOON_S)

    assert open_cursor(KEY, bound_to, text, NOON_S + LIFETIME_S - 1) == tuple(position)
    with pytest.raises(CursorRefused):
        open_cursor(KEY, bound_to, text, NOON_S + LIFETIME_S)


@given(TEXTS, TEXTS)
def test_a_cursor_of_another_list_is_noise(one: list[str], other: list[str]) -> None:
    """A cursor opens for exactly the list that it was made for: neither for another one nor under another key."""
    text = seal_cursor(KEY, one, ["1"], NOON_S)

    if one != other:
        with pytest.raises(CursorRefused):
            open_cursor(KEY, other, text, NOON_S)
    with pytest.raises(CursorRefused):
        open_cursor(b"l" * 32, one, text, NOON_S)


@given(st.integers(0, 100), st.sampled_from("AB-_09z"))
def test_an_edited_cursor_is_refused(at: int, char: str) -> None:
    """A cursor with one character changed, one more or one less does not open."""
    text = seal_cursor(KEY, LIST, ["123456789012345"], NOON_S)
    at %= len(text)

    for edited in (text[:at] + char + text[at + 1 :], text[:at] + text[at + 1 :], text + char, text[:at]):
        if edited != text:
            with pytest.raises(CursorRefused):
                open_cursor(KEY, LIST, edited, NOON_S)


@given(st.text(max_size=600))
def test_any_text_is_refused(text: str) -> None:
    """What was never a cursor is refused, whatever it is."""
    with pytest.raises(CursorRefused):
        open_cursor(KEY, LIST, text, NOON_S)


def test_a_cursor_tells_nothing() -> None:
    """Neither the position nor whether two cursors are at one place can be read off them."""
    one, other = (seal_cursor(KEY, LIST, ["123456789012345"], NOON_S) for _ in range(2))

    assert one != other
    assert "1234567" not in one
