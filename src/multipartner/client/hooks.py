"""Telling those who listen what happened."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from multipartner.client.keys import TokenKey

Hook = Callable[[str, TokenKey | None], None]
"""Told an event's name (`telling.EVENTS`) and the key, if it is one key's. What it raises is dropped."""


class Teller:
    """Tells each event once, in the thread that comes to it first; a hook that asks the provider is not told within itself."""

    def __init__(self, hooks: Sequence[Hook]) -> None:
        self._hooks = tuple(hooks)
        self._here = threading.local()

    def __call__(self, events: deque[tuple[str, TokenKey | None]]) -> None:
        """Empty the events. Without the provider's lock."""
        if getattr(self._here, "tells", False):
            return
        self._here.tells = True
        try:
            while events:
                with suppress(IndexError):
                    self._tell(*events.popleft())
        finally:
            self._here.tells = False

    def _tell(self, name: str, key: TokenKey | None) -> None:
        for hook in self._hooks:
            with suppress(Exception):
                hook(name, key)
