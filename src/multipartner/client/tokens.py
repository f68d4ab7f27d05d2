"""The token type that callers get. It cannot print, compare, pickle or copy itself."""

from typing import Final

from multipartner.client.keys import Secret, TokenKey, fingerprint

NEVER: Final = float("inf")
IN_USE: Final = 3
"""For so many lives more a used token is fetched anew though nobody asks; so often it is passed over when room is made."""


class AccessToken:
    """A granular token as fetched. `reveal()` is the only way to its text.

    `expires_at_s` is Unix seconds as the API said it, 0 for a token that does not expire (facts: graph-wire, finding 7).
    `generation` counts the tokens of one key: the larger one is the newer.
    """

    # The provider's own, on the boot clock in seconds: when it came, when it is fetched anew, and when it is handed out no more.
    # They move while the token is in use, so that the way of a hit is one look-up, one clock and one comparison.
    __slots__ = ("_text", "expires_at_s", "fetched_at", "generation", "refresh_at", "until", "used")

    def __init__(self, text: str, expires_at_s: int, generation: int, fetched_at: float, refresh_at: float, until: float) -> None:
        self._text = text
        self.expires_at_s = expires_at_s
        self.generation = generation
        self.fetched_at = fetched_at
        self.refresh_at = refresh_at
        self.until = until
        self.used = IN_USE

    def reveal(self) -> str:
        """Return the text; callers are few and easy to list."""
        return self._text

    @property
    def secret(self) -> Secret:
        """The text in a wrapper that does not print it either."""
        return Secret(self._text)

    @property
    def authorization(self) -> str:
        """The header's value for a call with this token."""
        return f"Bearer {self._text}"

    @property
    def fingerprint(self) -> str:
        """Tells two tokens apart in a log, and tells nothing of either."""
        return fingerprint(self._text)

    def __repr__(self) -> str:
        return f"<AccessToken {self.fingerprint} generation {self.generation} expires_at_s {self.expires_at_s}>"

    def __reduce_ex__(self, _: object) -> str | tuple[object, ...]:
        raise TypeError("an AccessToken is neither pickled nor copied")


__all__ = ["NEVER", "AccessToken", "TokenKey"]
