"""The operation as ready code. A template is filled by the page's server, and again by its script when somebody types."""

import json
import re
from collections.abc import Mapping

import msgspec

from multipartner.web.openapi_described import Described, needed_in


class Snippet(msgspec.Struct, frozen=True):
    """One language. `token` is the expression that reads the caller token from the environment; `quote` wraps a literal one."""

    name: str
    template: str
    token: str
    quote: str

    def filled(self, values: Mapping[str, str]) -> str:
        """The code with `values` for base, version, solution and business, and the token from the environment."""
        text = self.template.replace("{token}", self.token)
        for name, value in values.items():
            text = text.replace("{" + name + "}", value)
        return text


SNIPPETS = (
    Snippet(
        "curl",
        """curl --get "{base}/{version}/{solution}/access_token" \\
  --data-urlencode "business_id={business}" \\
  --header "Authorization: Bearer {token}\"""",
        "$CALLER_TOKEN",
        "",
    ),
    Snippet(
        "python",
        """import json
import os
import urllib.error
import urllib.request

request = urllib.request.Request(
    "{base}/{version}/{solution}/access_token?business_id={business}",
    headers={"Authorization": "Bearer " + {token}},
)
try:
    with urllib.request.urlopen(request, timeout=10) as answer:
        granted = json.load(answer)
        print("good until", granted["expires_at"])
except urllib.error.HTTPError as refused:
    error = json.load(refused)["error"]
    print(refused.code, error["code"], error.get("error_subcode"), error["message"])""",
        'os.environ["CALLER_TOKEN"]',
        '"',
    ),
    Snippet(
        "javascript",
        """const answer = await fetch(
  "{base}/{version}/{solution}/access_token?business_id={business}",
  { headers: { authorization: "Bearer " + {token} } },
);
const body = await answer.json();
if (answer.ok) {
  console.log("good until", body.expires_at);
} else {
  console.error(answer.status, body.error.code, body.error.error_subcode, body.error.message);
}""",
        "process.env.CALLER_TOKEN",
        '"',
    ),
)


def call_of(base: str, version: str, operation: Described) -> str:
    """An operation as a call of curl with what it needs; ids and texts are left to whoever pastes it, as a shell's variables."""
    path = re.sub(r"\{([\w-]+)\}", lambda name: _variable(name[1]), operation.path)
    method = operation.method.upper()
    lines = [f'curl --request {method} "{base}{path.replace("$VERSION", version)}"']
    if method == "GET":
        lines[0] = lines[0].replace("--request GET ", "--get " if needed_in(operation) else "")
    if not operation.open:
        lines.append('--header "Authorization: Bearer $CALLER_TOKEN"')
    lines += [f"--data-urlencode {_quoted(name, schema)}" for name, schema in needed_in(operation).items()]
    return " \\\n  ".join(lines)


def _variable(name: str) -> str:
    return "$" + name.upper().replace("-", "_")


def _quoted(name: str, schema: object) -> str:
    match schema:
        case {"examples": [example, *_]}:
            return f"'{name}={example if isinstance(example, str) else json.dumps(example)}'"
        case {"enum": [word]}:
            return f'"{name}={word}"'
    return f'"{name}={_variable(name)}"'
