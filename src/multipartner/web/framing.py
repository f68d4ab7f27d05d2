"""What is looked at before a request is read: how it was framed, when it came, and by which id it will be known.

Used by every ASGI application of ours; needs nothing of the service.
"""

import base64
import os
import time
import weakref
from collections.abc import Mapping

from multipartner.domain.model import Instant
from multipartner.domain.reasons import Reason
from multipartner.web.asgi import Receive, read_body

MAX_URL_BYTES = 4096
MAX_HEADERS = 100
MAX_HEADER_BYTES = 8192
MAX_HEADERS_BYTES = 16384

_ONCE = frozenset({b"host", b"authorization", b"content-length", b"content-type", b"transfer-encoding"})

BEFORE_METHOD = frozenset({Reason.UNKNOWN_PATH, Reason.UNKNOWN_VERSION})
"""What is told of a path before anybody looks at the method."""


class TraceIds:
    """Ids of 23 characters of base64url that begin with A, as `fbtrace_id` has today; 108 bits random, so they tell no count.

    Drawn from the operating system for many at a time; a forked child must not draw the same ones (attack 27). The four
    characters after the A are the time of drawing, in steps of 256 s: ids of one time lie side by side in the trail's index,
    where random ones would dirty a page each.
    """

    __slots__ = ("__weakref__", "_pool")

    def __init__(self) -> None:
        self._pool: list[bytes] = []
        forget = weakref.WeakMethod(self.forget)
        os.register_at_fork(after_in_child=lambda: (alive := forget()) and alive())

    def take(self) -> bytes:
        """One id that was never given before."""
        if not self._pool:
            head = b"A" + base64.urlsafe_b64encode((int(time.time()) >> 8).to_bytes(3, "big"))
            drawn = base64.urlsafe_b64encode(os.urandom(54 * 64))
            self._pool = [head + drawn[at : at + 18] for at in range(0, len(drawn), 18)]
        return self._pool.pop()

    def forget(self) -> None:
        """Throw away what was drawn."""
        self._pool = []


def read_clocks() -> Instant:
    """Time enters here: the one place of the service that reads a clock for a request."""
    return Instant(int(time.time()), time.clock_gettime_ns(time.CLOCK_BOOTTIME))


def framing_fault(listed: list[tuple[bytes, bytes]], named: Mapping[bytes, bytes]) -> str:
    """Name what is wrong with a request's headers; empty when nothing is."""
    if len(listed) > MAX_HEADERS:
        return "more than 100 headers"
    if len(listed) != len(named):
        names = [name for name, _ in listed]
        repeated = [name for name in _ONCE & named.keys() if names.count(name) > 1]
        if repeated:
            return f"repeated header: {repeated[0].decode()}"
    if b"transfer-encoding" in named:
        return "transfer-encoding"
    if not named.get(b"host"):
        return "no Host"
    # One sum on the usual path; lengths one by one only when it could matter.
    if sum(map(len, named.values())) + sum(map(len, named)) > MAX_HEADER_BYTES or len(listed) != len(named):
        sizes = [len(name) + len(value) for name, value in listed]
        if max(sizes) > MAX_HEADER_BYTES or sum(sizes) > MAX_HEADERS_BYTES:
            return "headers too large"
    return ""


async def has_no_body(receive: Receive, content_length: bytes) -> bool:
    """A GET's body may be absent, or the `{}` that the official Node SDK sends and the Graph API ignores."""
    if content_length == b"0":
        return True
    return content_length == b"2" and await read_body(receive, 2) == b"{}"
