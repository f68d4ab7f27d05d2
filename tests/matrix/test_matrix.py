"""The table of `table.py` against the service: every way in, with every kind of credential."""

import asyncio
import itertools
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from deployment import DemoDeployment
from matrix.credentials import NAMES, World
from matrix.table import CREDENTIALS, OPERATORS, ROWS, WORDS, Row
from multipartner.web.graph_operations import Operation, Work, together
from multipartner.web.operations import PATHS, Operations, Readings, Workers
from multipartner.wire import refusals

UNVERSIONED = ("/me", "/debug_token", "/oauth/access_token")


@pytest.fixture
def world(demo: DemoDeployment) -> Iterator[World]:
    with asyncio.Runner() as runner:
        made = World(demo, runner)
        yield made
        made.close()


def told(world: World, who: str, row: Row) -> str:
    """What becomes of a credential, in a word of the table; a refusal that is not the table's byte for byte is told whole."""
    reply = world.ask(who, row.method, world.named(row.path), row.body, row.form)
    if reply.status == 200:
        return "ok"
    if reply.status == 400:
        return "bad"
    if reply.status == 401 and "Basic" in reply.headers.get("www-authenticate", ""):
        return "basic"
    trace_id = reply.headers["x-fb-request-id"]
    bodies = {
        refusals.render(reason, trace_id): word for word, reason in WORDS.items() if refusals.ROWS[reason].status == reply.status
    }
    return bodies.get(reply.body, f"{reply.status} {reply.body.decode()}")


@pytest.mark.both_engines
def test_every_credential_gets_what_the_table_says(world: World) -> None:
    """Attacks 17, 30, 32, 38, 39: over all routes, what each kind of credential gets is what the table says."""
    # Words that share their bytes are one word here: all ways in which a token is wrong are told alike.
    alike = {
        word: min(w for w, r in WORDS.items() if refusals.ROWS[r] == refusals.ROWS[reason]) for word, reason in WORDS.items()
    }
    seen = {(row.method, row.path, who): told(world, who, row) for row in ROWS for who in CREDENTIALS}
    wanted = {(row.method, row.path, who): row.expected[who] for row in ROWS for who in CREDENTIALS}

    wrong = {key: (seen[key], word) for key, word in wanted.items() if alike.get(seen[key], seen[key]) != alike.get(word, word)}
    assert wrong == {}


def test_every_route_has_its_row(world: World) -> None:
    """No way into the service is without a row in the table, and no row is without a way in."""
    served = set(world.service.app.served())
    rows = {(row.method, _template(world.named(row.path))) for row in ROWS}
    # Whoever judges methods itself refuses the others in a form of its own.
    rows = {("*" if ("*", path) in served else method, path) for method, path in rows}

    assert {(method, _hashed(path)) for method, path in served} == {(method, _hashed(path)) for method, path in rows}
    assert set(PATHS) == set(OPERATORS)


def test_operators_paths_know_no_credentials(tmp_path: Path) -> None:
    """Attack 72: the operators' listener answers the same with every credential and with none: it tells no secret by one."""
    listener = socket.create_server(("127.0.0.1", 0))
    operations = Operations(listener, Readings(tmp_path, Workers(1, lambda: (1,))))
    operations.start()
    try:
        for path in OPERATORS:
            if path == "/readyz":
                continue
            told = {_operators(listener, path, token) for token in (None, "mpc_x", f"{NAMES['owner_app']}|secret", "a.b.c")}
            assert {status for status, _ in told} == {200}
            assert len(told) == 1
    finally:
        operations.stop()


def _operators(listener: socket.socket, path: str, token: str | None) -> tuple[int, bytes]:
    request = Request(f"http://127.0.0.1:{listener.getsockname()[1]}{path}")
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
        return answer.status, answer.read()


def _template(path: str) -> str:
    place = path.partition("?")[0]
    if place.startswith("/"):
        # These are the same ways in as with a version.
        return "/{Version}" + place if place in UNVERSIONED else place
    if "/" + place in UNVERSIONED:
        return "/{Version}/" + place
    edge = place.partition("/")[2]
    item = re.sub("^permissions/.*", "permissions/{permission}", edge)
    return "/{Version}/{id}" + (f"/{item}" if item else "")


def _hashed(path: str) -> str:
    return re.sub(r"\.[0-9a-f]{12}\.", ".*.", path)


# What each credential reaches, in words of the demo world: its customers, their shares, and what was taken back.
REACHED = {
    "owner": {"solution", "ended_solution", "owner_app", "owner_user", "owner_business", "a", "b"}
    | {"waba_a", "waba_b", "number_a", "number_b"},
    "partner": {"solution", "others_solution", "partner_app", "a", "b", "lumen"}
    | {"waba_a", "waba_b", "waba_of_revoked_grant", "waba_lumen", "number_a", "number_b"},
    "stranger": {"others_solution", "ended_solution", "a", "lumen", "waba_lumen"},
    "granular_a": {"solution", "a", "waba_a", "number_a"},
    "granular_b": {"solution", "b", "waba_b", "number_b"},
    "app": {"solution", "ended_solution", "owner_app"},
    "none": set(),
    "revoked": set(),
}


@pytest.mark.both_engines
def test_each_credential_reads_exactly_what_it_reaches(world: World) -> None:
    """Attack 30: of all things that have a name here each credential reads those that are its own, and not one more."""
    read = {who: {name for name, id_ in NAMES.items() if world.ask(who, "GET", id_).status == 200} for who in CREDENTIALS}

    assert read == REACHED


@pytest.mark.both_engines
def test_not_there_and_not_yours_are_the_same_bytes(world: World) -> None:
    """Attack 31: status, body and headers of somebody else's id are those of nobody's, trace id and counts aside."""

    def bare(who: str, path: str) -> tuple[int, bytes, dict[str, str]]:
        reply = world.ask(who, "GET", path)
        kept = {name: value for name, value in reply.headers.items() if "usage" not in name and name != "x-fb-request-id"}
        return reply.status, reply.body.replace(reply.headers["x-fb-request-id"].encode(), b""), kept

    others = ("lumen", "waba_lumen", "waba_withdrawn", "number_withdrawn", "partner_app")
    edges = ("", "/phone_numbers", "/owned_whatsapp_business_accounts", "/whatsapp_business_solutions", "/solutions")
    for who, edge in itertools.product(("owner", "granular_a", "app"), edges):
        nobodys = bare(who, NAMES["nobody"] + edge)
        assert nobodys[0] == 404
        for name, query in itertools.product(others, ("", "?fields=secret")):
            assert bare(who, NAMES[name] + edge + query) == nobodys


def test_two_operations_have_no_one_place() -> None:
    """Operations of two tables are put together, and a place that both have is refused at start."""

    async def run(_work: Work) -> bytes:
        return b""

    one = {"partners": {"GET": Operation("one", frozenset(), run)}}
    other = {"partners": {"POST": Operation("other", frozenset(), run)}}

    assert together(one, other) == {"partners": one["partners"] | other["partners"]}
    with pytest.raises(ValueError, match="partners"):
        together(one, other, one)
