"""What `multipartner demo` prints: at most 40 lines of at most 100 characters."""

import json
import shutil
import sys
from shlex import quote

from rich.console import Console
from rich.text import Text

from multipartner.cli.demo_caller import VERSION, DemoCaller, decoded
from multipartner.cli.demo_world import Demo
from multipartner.domain.model import Secret
from multipartner.wire.answer import parse

WIDTH = 100

_WHY = {
    200: "shares its WABAs",
    403: "took back this app's grant",
    404: "never dealt with this app",
    422: "withdrew its share",
}


def print_page(caller: DemoCaller, operations_url: str, database: str) -> None:
    """Fetch a token and print who is who, what to paste, and what the token says; `database` is the one to explain from."""
    demo = caller.demo
    status, body = caller.ask(demo.business(200).id)
    if status != 200:
        raise RuntimeError(f"the demo's own request was answered {status}")
    token, _ = parse(json.dumps(body).encode())
    # Soft wrap: what is to be pasted must not be broken, however narrow the terminal.
    console = Console(soft_wrap=True, highlight=False)
    for line in [*_who(demo), *_what(caller, database), *_token(token), *_end(caller, operations_url)]:
        console.print(line)


def _who(demo: Demo) -> list[Text]:
    lines = [Text(f"{demo.solution.name}, solution {demo.solution.id}", "bold")]
    lines += [Text(f"  {app.role:<9}{app.name:<26}app {app.id}") for app in demo.apps]
    for business in demo.businesses:
        line = Text(f"  customer {business.name:<26}business {business.id:<18}")
        line.append(f"{business.outcome} ", _style(business.outcome)).append(_WHY[business.outcome])
        lines.append(line)
    return lines


def _what(caller: DemoCaller, database: str) -> list[Text]:
    demo = caller.demo
    good = demo.business(200).id
    asked = [(200, '-H "$A" ', good), (401, "", good)]
    asked += [(status, '-H "$A" ', demo.business(status).id) for status in (403, 404, 422)]
    lines = [
        Text(),
        Text("Paste these two lines, then any of the five, then the last with an answer's fbtrace_id", "bold"),
        Text(f"U={caller.url}{caller.path()}"),
        Text(f"A='Authorization: Bearer {demo.app('owner').caller_token.reveal()}'"),
    ]
    lines += [
        Text(f'curl {header}"$U?business_id={business_id}"'.ljust(60)).append(f"# {status}", _style(status))
        for status, header, business_id in asked
    ]
    return [*lines, Text(f"{_program()} explain TRACE_ID --database {quote(database)}")]


def _program() -> str:
    """How this program is called from where the demo was started."""
    return "multipartner" if shutil.which("multipartner") else quote(sys.argv[0])


def _token(token: Secret) -> list[Text]:
    header, claims = decoded(token)
    lines = [Text(), Text("The granular token, decoded", "bold"), Text(f"  {json.dumps(header)}"[:WIDTH])]
    for name, value in claims.items():
        if name == "authorization_details":
            lines += [Text(f"  {name} [{{ {value[0]['type']}", "cyan")]
            lines += [Text(f"    {key:<10}{' '.join(part)}") for key, part in value[0].items() if isinstance(part, list)]
            lines[-1].append(" }]", "cyan")
        else:
            shown = " ".join(value) if isinstance(value, list) else str(value)
            lines.append(Text(f"  {name:<12}{shown}"))
    return lines


def _end(caller: DemoCaller, operations_url: str) -> list[Text]:
    demo = caller.demo
    filled = f"{caller.url}/docs?version={VERSION}&solution={demo.solution.id}&business={demo.business(200).id}"
    return [Text(), Text(filled, "bold"), Text(f"{operations_url}/metrics   Ctrl-C stops and cleans up", "bold")]


def _style(status: int) -> str:
    return "green" if status == 200 else "red"
