"""The page at `/docs`: how to call, what comes back, why it was refused, with code to copy and a request to try.

Everything it needs comes from here (attack 71's policy: no inline script or style, nothing from elsewhere); what is typed
into it goes nowhere but into the one request that "Send" makes.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from urllib.parse import parse_qsl

import msgspec

from multipartner.web.asgi import Headers, Receive, Scope, Send, answer
from multipartner.web.docs_page import Asked, Page
from multipartner.web.guard import Route
from multipartner.web.observing import Observer
from multipartner.web.openapi import EXAMPLE_BUSINESS_ID, EXAMPLE_SOLUTION_ID, OPENAPI_PATH, document
from multipartner.wire.ask import Arrival

DOCS_PATH = "/docs"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

_GUARDED: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)

_STATIC = (
    ("site.css", "text/css; charset=UTF-8"),
    ("try.js", "text/javascript; charset=UTF-8"),
    ("icon.svg", "image/svg+xml"),
)

_READ = ("GET", "HEAD")
_ID = re.compile(r"[0-9]{1,64}", re.ASCII)
_MAX_QUERY_BYTES = 512


def routes(issuer: str, versions: Sequence[str], observer: Observer) -> tuple[Route, ...]:
    """The page, its files and the OpenAPI document. `issuer` is the deployment's address, `versions` oldest first."""
    assets = [_asset(name, media_type, observer) for name, media_type in _STATIC]
    style, script, icon = (route.path.decode() for route in assets)
    page = Page(issuer, versions, {"style": style, "script": script, "icon": icon})
    return (
        Route(DOCS_PATH.encode(), _READ, Docs(page, observer)),
        Route(OPENAPI_PATH.encode(), _READ, OpenApi(issuer, versions, observer)),
        *assets,
    )


class Docs:
    """`GET /docs`; without JavaScript its form comes back here, with ids and version in the query, never a token."""

    def __init__(self, page: Page, observer: Observer) -> None:
        self._page = page
        self._counts = observer.counts

    async def __call__(
        self, scope: Scope, _receive: Receive, send: Send, _arrival: Arrival, _named: Mapping[bytes, bytes]
    ) -> None:
        """Answer with the page, its examples filled with the ids of the query where those are ids."""
        body = self._page.render(asked(scope["query_string"], self._page.versions))
        listed: Headers = [(b"content-type", b"text/html; charset=UTF-8"), (b"cache-control", b"no-cache"), *_GUARDED]
        await answer(send, 200, listed, body)
        self._counts["docs", 200, None] += 1


class OpenApi:
    """`GET /openapi.json`: public, the same for everybody."""

    def __init__(self, issuer: str, versions: Sequence[str], observer: Observer) -> None:
        self._body = msgspec.json.encode(document(issuer, versions))
        self._counts = observer.counts

    async def __call__(
        self, _scope: Scope, _receive: Receive, send: Send, _arrival: Arrival, _named: Mapping[bytes, bytes]
    ) -> None:
        """Answer with the document."""
        listed = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"public, max-age=300"),
            (b"access-control-allow-origin", b"*"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await answer(send, 200, listed, self._body)
        self._counts["openapi", 200, None] += 1


class Asset:
    """One file of the page. Its name holds a hash of its bytes, so it may be kept for ever."""

    def __init__(self, body: bytes, media_type: str, observer: Observer) -> None:
        self._body = body
        self._media_type = media_type.encode()
        self._counts = observer.counts

    async def __call__(
        self, _scope: Scope, _receive: Receive, send: Send, _arrival: Arrival, _named: Mapping[bytes, bytes]
    ) -> None:
        """Answer with the file."""
        kept = (b"cache-control", b"public, max-age=31536000, immutable")
        await answer(send, 200, [(b"content-type", self._media_type), kept, *_GUARDED], self._body)
        self._counts["docs", 200, None] += 1


def asked(query: bytes, versions: Sequence[str]) -> Asked:
    """Read the form's fields; whatever is not an id or a served version becomes the example's."""
    given: dict[str, str] = {}
    if len(query) <= _MAX_QUERY_BYTES:
        given = dict(parse_qsl(query.decode("latin-1")))
    solution, business = given.get("solution", ""), given.get("business", "")
    return Asked(
        given["version"] if given.get("version") in versions else versions[-1],
        solution if _ID.fullmatch(solution) else EXAMPLE_SOLUTION_ID,
        business if _ID.fullmatch(business) else EXAMPLE_BUSINESS_ID,
    )


def _asset(name: str, media_type: str, observer: Observer) -> Route:
    body = files("multipartner.web").joinpath("static", name).read_bytes()
    stem, _, suffix = name.partition(".")
    path = f"{DOCS_PATH}/{stem}.{hashlib.sha256(body).hexdigest()[:12]}.{suffix}"
    return Route(path.encode(), _READ, Asset(body, media_type, observer))
