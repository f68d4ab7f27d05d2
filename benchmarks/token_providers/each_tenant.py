"""For libraries whose object holds one token: an object for each tenant, in a dict."""

import threading
from collections.abc import Callable
from typing import Any

from multipartner.testing.torture import Answer, Tenant


class TokenRefused(Exception):  # noqa: N818 - says what happened
    """The endpoint gave no token. The library is to make of it what it makes of its callback's errors."""


def taken(answer: Answer) -> Answer:
    """Return an answer that holds a token. Raises TokenRefused."""
    if answer.status != 200:
        raise TokenRefused(f"HTTP {answer.status}")
    return answer


class EachTenant:
    """Makes the library's object when a tenant is asked for first."""

    def __init__(self, make: Callable[[Tenant], Any]) -> None:
        self._make = make
        self._made: dict[Tenant, Any] = {}
        self._lock = threading.Lock()

    def of(self, tenant: Tenant) -> Any:  # noqa: ANN401 - the library's
        made = self._made.get(tenant)
        if made is None:
            with self._lock:
                made = self._made.get(tenant) or self._made.setdefault(tenant, self._make(tenant))
        return made

    def all(self) -> list[Any]:
        return list(self._made.values())
