"""`multipartner migration ...` and `share make`: the same functions from the command line, with the same rules and trail."""

import pytest

from cli.command_line import Cli, in_process
from deployment import DemoDeployment
from migrations.customers import APP, BOOKS, BRIGHTLINE, EVENTS, NEW, OLD, OLIVA, QUILLMARK, SHOP, YOGAS_WABA

ASK = ("--waba", SHOP, "--to", NEW, "--as", APP)
MANAGE, MESSAGE = "whatsapp_business_management", "whatsapp_business_messaging"
NOBODY = "999999999999999"


@pytest.fixture
def cli(demo: DemoDeployment, capsys: pytest.CaptureFixture[str]) -> Cli:
    return in_process(capsys, demo)


def test_a_waba_moves_from_the_command_line(cli: Cli, demo: DemoDeployment) -> None:
    """An operator asks for the app, consents for the customer and confirms for the app; each step is an event."""
    intent = cli("migration", "set", *ASK, "--json").json["migration_intent_id"]
    shown = cli("migration", "show", intent, "--as", APP, "--json").json
    assert (shown["status"], shown["waba_id"], shown["source_solution_id"]) == ("INITIATED", SHOP, OLD)

    consent = ("--business", BOOKS, "--permission", MANAGE, "--permission", MESSAGE)
    for arguments, status in [
        (("accept", intent, *consent), "ACCEPTED"),
        (("confirm", *ASK), "COMPLETED"),
    ]:
        told = cli("migration", *arguments)
        assert (told.code, told.out.strip()) == (0, f"migration intent {intent}: {status}")
    shown_text = cli("migration", "show", intent, "--as", QUILLMARK).out
    assert "COMPLETED" in shown_text
    kinds = [event["kind"] for event in demo.events()]
    assert kinds[-5:] == [
        *("migration.set", "migration.accepted", "share.changed", "share.made", "migration.confirmed"),
    ]


def test_a_customer_says_no_and_an_app_takes_back(cli: Cli, demo: DemoDeployment) -> None:
    """`decline` and `cancel` end an intent and move nothing; with a time `set` schedules it."""
    shares = demo.rows("SELECT * FROM share")
    for arguments in (("decline", "{}", "--business", BOOKS), ("cancel", *ASK)):
        made = cli("migration", "set", *ASK, "--from", OLD, "--not-before", "2030-01-31T10:00:00Z")
        intent = made.out.split()[0]
        shown = cli("migration", "show", intent, "--as", APP).out
        assert "2030-01-31T10:00:00Z" in shown
        told = cli("migration", *(word.format(intent) for word in arguments))
        assert told.out.strip() == f"migration intent {intent}: REJECTED"
    assert demo.rows("SELECT * FROM share") == shares


def test_a_customer_shares_from_the_command_line(cli: Cli, demo: DemoDeployment) -> None:
    """`share make` records a consent, says so once, and says the second time that nothing is new."""
    consent = ("--business", BOOKS, "--solution", NEW, "--waba", SHOP, "--waba", EVENTS, "--permission", MANAGE)
    what = f"share of business {BOOKS} with solution {NEW}"

    for done in ("shared", "already shared so"):
        told = cli("share", "make", *consent)
        assert (told.code, told.out.strip()) == (0, f"{what}: {done}")
    assert [event["kind"] for event in demo.events()][-1] == "share.made"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("migration", "set", "--waba", YOGAS_WABA, "--to", OLD, "--as", BRIGHTLINE), "reaches no WABA"),
        (("migration", "set", *ASK, "--not-before", "tomorrow"), "an instant"),
        (("migration", "show", NOBODY, "--as", APP), "unknown"),
        (("migration", "accept", NOBODY, "--business", BOOKS, "--permission", MANAGE), "no such one"),
        (("migration", "accept", NOBODY, "--business", BOOKS), "--permission"),
        (("share", "make", "--business", OLIVA, "--solution", NEW, "--waba", SHOP, "--permission", MANAGE), f"WABA {SHOP}"),
    ],
    ids=["not-reached", "instant", "show", "accept", "accept-nothing", "anothers"],
)
def test_what_cannot_be_done_is_one_line(cli: Cli, demo: DemoDeployment, arguments: tuple[str, ...], told: str) -> None:
    """A refused verb changes nothing, says why on the error stream and ends with another status than 0."""
    before = demo.dump()

    assert told in cli(*arguments).one_line
    assert demo.dump() == before
