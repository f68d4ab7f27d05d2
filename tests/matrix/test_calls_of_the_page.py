"""Each call that the page at `/docs` shows, taken as it stands there, with its variables filled in."""

import argparse
import asyncio
import re
import shlex
from html import unescape
from urllib.parse import urlencode

import pytest

from deployment import DemoDeployment
from matrix.credentials import World
from multipartner.web.docs import asked
from multipartner.web.docs_page import Page
from multipartner.web.openapi_graph import GRAPH_OPERATIONS

PAGE = Page("https://tokens.example", ("v23.0",), {"style": "/s.css", "script": "/s.js", "icon": "/s.svg"})

VARIABLES = {
    "APPLICATION_ID": "{owner_app}",
    "BUSINESS_ID": "{owner_business}",
    "CLIENT_ID": "{owner_app}",
    "CLIENT_SECRET": "x",
    "INPUT_TOKEN": "x",
    "MIGRATION_INTENT_ID": "{intent}",
    "PARTNER_APP_ID": "{partner_app}",
    "PERMISSION": "whatsapp_business_messaging",
    "PHONE_NUMBER_ID": "{number_a}",
    "SOLUTION_ID": "{solution}",
    "SOLUTION_NAME": "Orders and replies",
    "USER_ID": "me",
    "WABA_ID": "{waba_a}",
}
OF_ONE = {
    "acceptWhatsAppBusinessSolution": {"SOLUTION_ID": "{invited}"},
    "rejectSolutionRequest": {"SOLUTION_ID": "{invited}"},
    "sendSolutionDeactivationRequest": {"SOLUTION_ID": "{accepted}"},
    "acceptWhatsAppBusinessSolutionDeactivationRequest": {"SOLUTION_ID": "{asked}"},
    "rejectSolutionDeactivationRequest": {"SOLUTION_ID": "{asked}"},
    "setSolutionMigrationIntent": {"SOLUTION_ID": "{others_solution}"},
}
"""Other values for the variables of one operation."""

PARTNERS = {*OF_ONE, "getMigrationIntentDetails"} - {"sendSolutionDeactivationRequest"}
"""Operations that are the partner's; the others are called by the owner."""

REFUSED = {"getAppAccessToken": 401}
"""The secret comes in the query, and a deployment refuses that unless it is told otherwise."""

CURL = argparse.ArgumentParser(exit_on_error=False)
CURL.add_argument("address")
CURL.add_argument("--request", default="GET")
CURL.add_argument("--get", action="store_true")
CURL.add_argument("--header", action="append", default=[])
CURL.add_argument("--data-urlencode", action="append", default=[])


def shown(operation_id: str) -> str:
    page = PAGE.render(asked(b"", ("v23.0",))).decode()
    card = page.partition(f'id="{operation_id}"')[2].partition("</article>")[0]
    return unescape(re.findall("<pre[^>]*><code>(.*?)</code></pre>", card, re.DOTALL)[-1])


@pytest.mark.timeout(60)
def test_each_call_of_the_page_is_answered(demo: DemoDeployment) -> None:
    """Method, address and parameters are right for every operation: pasted with good ids, each is answered 200."""
    with asyncio.Runner() as runner:
        world = World(demo, runner)
        answered = {operation.id: called(world, operation.id) for operation in GRAPH_OPERATIONS}
        world.close()

    assert answered == {operation.id: REFUSED.get(operation.id, 200) for operation in GRAPH_OPERATIONS}


def called(world: World, operation_id: str) -> int:
    """Send the call that the page shows, and say how it was answered."""
    values = VARIABLES | OF_ONE.get(operation_id, {}) | {"CALLER_TOKEN": "CALLER_TOKEN"}
    text = re.sub(r"\$([A-Z_]+)", lambda name: world.named(values[name[1]]), shown(operation_id).replace("\\\n", ""))
    given = CURL.parse_args(shlex.split(text)[1:])
    data = urlencode(dict(part.split("=", 1) for part in given.data_urlencode))
    path = given.address.removeprefix("https://tokens.example/v23.0/")
    who = "partner" if operation_id in PARTNERS else "owner"
    if "Authorization: Bearer CALLER_TOKEN" not in given.header:
        who = "none"
    if given.get:
        return world.ask(who, "GET", f"{path}?{data}").status
    return world.ask(who, given.request, path, form=data.encode()).status
