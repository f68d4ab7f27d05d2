"""`multipartner solution ...`: the API's functions from the command line, with the same rules and the same trail."""

import json

import pytest

from deployment import DemoDeployment
from serving import OWNER_APP, PARTNER_APP, SOLUTION, STRANGER_APP, run

INVITE = ("--owner", OWNER_APP, "--partner", PARTNER_APP, "--name", "Orders and replies", "--messaging", "owner")
NOBODY = "999999999999999"


def test_a_whole_life_from_the_command_line(demo: DemoDeployment) -> None:
    """An operator can do for each side what it could do over HTTP, and each step is an event."""
    made = json.loads(run("solution", "create", *INVITE, *demo.arguments, "--json").stdout)["solution_id"]
    shown = json.loads(run("solution", "show", made, "--as", PARTNER_APP, *demo.arguments, "--json").stdout)
    assert (shown["status"], shown["partner_status"], shown["messaging"]) == ("INITIATED", "NOTIFICATION_SENT", "owner")

    for verb, app, status in [
        ("accept", PARTNER_APP, "ACTIVE"),
        ("request-deactivation", OWNER_APP, "PENDING_DEACTIVATION"),
        ("reject-deactivation", PARTNER_APP, "ACTIVE"),
        ("request-deactivation", OWNER_APP, "PENDING_DEACTIVATION"),
        ("accept-deactivation", PARTNER_APP, "DEACTIVATED"),
    ]:
        told = run("solution", verb, made, "--as", app, *demo.arguments)
        assert (told.returncode, told.stdout.strip()) == (0, f"solution {made}: {status}")

    kinds = [event["kind"] for event in demo.events() if event.get("solution_id") == made]
    assert kinds == [
        "solution.created",
        "solution.accepted",
        "solution.deactivation_requested",
        "solution.deactivation_rejected",
        "solution.deactivation_requested",
        "solution.deactivated",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("accept", SOLUTION, "--as", PARTNER_APP), "status is ACTIVE"),
        (("accept", SOLUTION, "--as", OWNER_APP), "not the owner"),
        (("reject", SOLUTION, "--as", STRANGER_APP), "app not party"),
        (("accept", NOBODY, "--as", PARTNER_APP), "solution unknown"),
        (("show", SOLUTION, "--as", STRANGER_APP), "app not party"),
        (("create", *INVITE[:5], "x", *INVITE[6:]), "solution_name"),
        (("create", *INVITE[:7], "both"), "owner or partner"),
        (("create", "--owner", NOBODY, *INVITE[2:]), "unknown"),
    ],
)
def test_what_cannot_be_done_is_one_line(demo: DemoDeployment, arguments: tuple[str, ...], told: str) -> None:
    """A refused verb changes nothing, says why on the error stream and ends with another status than 0."""
    before = demo.dump()
    ended = run("solution", *arguments, *demo.arguments)

    assert ended.returncode != 0
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    assert demo.dump() == before
