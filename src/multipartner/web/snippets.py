"""The operation as ready code. A template is filled by the page's server, and again by its script when somebody types."""

from collections.abc import Mapping

import msgspec


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
