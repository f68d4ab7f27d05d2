"""The text of the page at `/docs`: a template with places, and what the tables put into them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files

import msgspec

import multipartner
from multipartner.domain.reasons import RULES, Reason, Station
from multipartner.web import openapi
from multipartner.web.oauth import INTROSPECTION_PATH, JWKS_PATH
from multipartner.web.openapi_described import Described, names_in, reasons_of
from multipartner.web.openapi_graph import LIFE_OPERATIONS
from multipartner.web.openapi_reads import READS
from multipartner.web.openapi_schemas import HEADERS
from multipartner.web.openapi_tokens import TOKEN_OPERATIONS
from multipartner.web.revocation import REVOCATION_PATH
from multipartner.web.snippets import SNIPPETS, call_of
from multipartner.wire import refusals

_PLACE = re.compile(r"\{\{([a-z_]+)\}\}")
_CODE = re.compile(r"`([^`]+)`")

_STATIONS = {
    Station.PARSE: "Reading the request",
    Station.LIMIT: "Limits",
    Station.AUTHENTICATE: "Who asks",
    Station.AUTHORIZE: "What may be given",
    Station.ISSUE: "Making the token",
}


class Asked(msgspec.Struct, frozen=True):
    """What the examples are filled with."""

    version: str
    solution_id: str
    business_id: str


class Page:
    """The page of one deployment; `assets` maps style, script and icon to their paths."""

    def __init__(self, issuer: str, versions: Sequence[str], assets: Mapping[str, str]) -> None:
        self.versions = tuple(versions)
        self._issuer = issuer
        template = files("multipartner.web").joinpath("static", "docs.html").read_text("utf-8")
        self._fixed = {
            **assets,
            "release": escape(multipartner.__version__),
            "base": escape(issuer),
            "answer": escape(json.dumps({"access_token": openapi.EXAMPLE_TOKEN, "expires_at": 1735689600}, indent=2)),
            "headers": _headers(),
            "refusals": "".join(_status(status) for status in openapi.STATUSES),
            "precedence": _precedence(),
            "solutions": "".join(_described(issuer, versions[-1], operation) for operation in LIFE_OPERATIONS),
            "reads": "".join(_described(issuer, versions[-1], operation) for operation in READS),
            "tokens": "".join(_described(issuer, versions[-1], operation) for operation in TOKEN_OPERATIONS),
            "revoke": escape(_revoke(issuer)),
            "introspect": escape(_introspect(issuer)),
            "key_set": escape(f"curl {issuer}{JWKS_PATH}"),
            "versions": ", ".join(f"<code>{escape(version)}</code>" for version in versions),
            "oldest": escape(versions[0]),
        }
        self._template = _fill(template, self._fixed)

    def render(self, asked: Asked) -> bytes:
        """Fill in what a visitor asked for."""
        options = (
            f"<option{' selected' if version == asked.version else ''}>{escape(version)}</option>" for version in self.versions
        )
        places = {
            "version_options": "".join(options),
            "solution": escape(asked.solution_id),
            "business": escape(asked.business_id),
            "snippets": "".join(_snippets(self._issuer, asked)),
        }
        return _fill(self._template, places).encode()


def _fill(template: str, places: Mapping[str, str]) -> str:
    # One pass: a filled-in text is never looked at for places again.
    return _PLACE.sub(lambda match: places.get(match[1], match[0]), template)


def _snippets(base: str, asked: Asked) -> Iterable[str]:
    values = {"base": base, "version": asked.version, "solution": asked.solution_id, "business": asked.business_id}
    for snippet in SNIPPETS:
        attributes = {"data-template": snippet.template, "data-token": snippet.token, "data-quote": snippet.quote}
        written = " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())
        code = escape(snippet.filled(values))
        yield f'<pre class="panel panel-{snippet.name}" tabindex="0"><code {written}>{code}</code></pre>'


def _headers() -> str:
    shown = ("facebook-api-version", "x-fb-request-id", "x-app-usage", "x-business-use-case-usage", "Retry-After")
    return "".join(f"<tr><td><code>{escape(name)}</code></td><td>{_prose(HEADERS[name])}</td></tr>" for name in shown)


def _status(status: int) -> str:
    answers = "".join(_answer(row, reasons) for row, reasons in openapi.answers_of(status).items())
    meaning = _prose(openapi.STATUSES[status])
    return (
        f'<article class="card status" id="status-{status}"><header>{_chip(status)}<p>{meaning}</p></header>{answers}</article>'
    )


def _answer(row: refusals.Row, reasons: Sequence[Reason]) -> str:
    codes = f"<code>code {row.code}</code>"
    if row.error_subcode:
        codes += f" <code>error_subcode {row.error_subcode}</code>"
    if row.is_transient:
        codes += ' <span class="transient">retry later</span>'
    why = "".join(f"<li>{_prose(RULES[reason].text)}</li>" for reason in reasons)
    example = msgspec.json.format(refusals.render(reasons[0], openapi.EXAMPLE_TRACE_ID), indent=2).decode()
    return (
        f'<div class="refusal"><div class="told"><p class="message">{escape(row.message)}</p>'
        f'<p class="codes">{escape(row.type)} {codes}</p></div>'
        f"<ul>{why}</ul><details><summary>As it arrives</summary><pre><code>{escape(example)}</code></pre></details></div>"
    )


def _precedence() -> str:
    parts: list[str] = []
    station: Station | None = None
    for reason in Reason:
        rule = RULES[reason]
        if rule.station is not station and _STATIONS[rule.station]:
            station = rule.station
            parts.append(f"</ol><h3>{_STATIONS[station]}</h3><ol class='steps'>")
        parts.append(f"<li>{_chip(refusals.ROWS[reason].status)}<span>{_prose(rule.text)}</span></li>")
    return f"<div class='precedence'>{''.join(parts).removeprefix('</ol>')}</ol></div>"


def _described(base: str, version: str, operation: Described) -> str:
    statuses = sorted({refusals.ROWS[reason].status for reason in reasons_of(operation)})
    body = ", ".join(f"<code>{escape(name)}</code>" for name in names_in(operation)) or "none"
    return (
        f'<article class="card" id="{escape(operation.id)}"><h3>{escape(operation.summary)}</h3>'
        f'<p class="endpoint"><span class="verb">{operation.method.upper()}</span><code>{escape(operation.path)}</code></p>'
        f"<p>{_prose(operation.whose)}</p><p>Parameters: {body}.</p><p>{''.join(map(_chip, [200, *statuses]))}</p>"
        f"<pre tabindex='0'><code>{escape(call_of(base, version, operation))}</code></pre></article>"
    )


def _chip(status: int) -> str:
    return f'<span class="chip s{status // 100}">{status}</span>'


def _prose(text: str) -> str:
    """Escape a sentence; what stands between backquotes becomes code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _introspect(issuer: str) -> str:
    return f'curl --user "$SERVER_ID:$SERVER_SECRET" \\\n  --data-urlencode "token=$TOKEN" \\\n  {issuer}{INTROSPECTION_PATH}'


def _revoke(issuer: str) -> str:
    return f'curl --user "$APP_ID:$APP_SECRET" \\\n  --data-urlencode "token=$TOKEN" \\\n  {issuer}{REVOCATION_PATH}'
