"""Against npm oidc-provider: tokens a second by client_credentials with its in-memory adapter, same machine and generator."""

import base64
import http.client
import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Line, Plan, at_least, in_turn, ratios, spread, thousands
from benchmarks.load import drive
from benchmarks.rows_sockets import Walker
from benchmarks.serving import Server, ask, running, serve_command
from benchmarks.world import World, fresh_trail

_FOLDER = Path(__file__).parent / "oidc"
OPAQUE = "grant_type=client_credentials"
JWT = "grant_type=client_credentials&resource=https%3A%2F%2Fapi.example"


def version() -> str:
    return str(json.loads((_FOLDER / "package.json").read_text())["dependencies"]["oidc-provider"])


@contextmanager
def _provider(secret: str) -> Iterator[Server]:
    if not (_FOLDER / "node_modules" / "oidc-provider").exists():
        npm = shutil.which("npm") or "npm"
        install = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(install, cwd=_FOLDER, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with running(["node", str(_FOLDER / "server.mjs")], {"BENCH_SECRET": secret, "NODE_ENV": "production"}) as server:
        yield server


def _see_token(server: Server, basic: str, body: str, parts: int) -> None:
    """See that a token really comes back, in the form that is wanted."""
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/token", body, headers)
    answer = connection.getresponse()
    token = json.loads(answer.read())["access_token"]
    connection.close()
    if answer.status != 200 or len(token.split(".")) != parts:
        raise RuntimeError(f"oidc-provider answered {answer.status} with a token of {len(token.split('.'))} parts")


def against_oidc(world: World, plan: Plan) -> list[Line]:
    """Four sides in turn: our warm answer, our mint, its opaque token, its EdDSA JWT."""
    secret = secrets.token_hex(16)
    basic = base64.b64encode(f"bench:{secret}".encode()).decode()
    with fresh_trail(world) as trail, running(serve_command(world, trail)) as ours, _provider(secret) as theirs:
        assert ask(ours, world, world.ids()[-1])[0] == 200
        for body, parts in ((OPAQUE, 1), (JWT, 3)):
            _see_token(theirs, basic, body, parts)
        walker = Walker(world)

        def provider(body: str) -> float:
            told = {"BENCH_BODY": body, "BENCH_TOKEN": basic, "BENCH_PATH": "/token"}
            return drive(theirs.url, "token.lua", told, plan.seconds).per_s

        walker.warm(ours, 1)
        provider(JWT)
        warm, minted, opaque, jwt = in_turn(
            plan.pairs,
            lambda: walker.warm(ours, plan.seconds).per_s,
            lambda: walker.fresh(ours, plan.seconds).per_s,
            lambda: provider(OPAQUE),
            lambda: provider(JWT),
        )
    rows = (("warm issuance", warm, 4.0, "≥ 4x"), ("minting", minted, 1.5, "≥ 1.5x"))
    return [_line(name, mine, (opaque, jwt), least, to_hold) for name, mine, least, to_hold in rows]


def _line(name: str, mine: list[float], theirs: tuple[list[float], list[float]], least: float, to_hold: str) -> Line:
    against = [ratios(mine, side) for side in theirs]
    return Line(
        f"{name} against npm oidc-provider, client_credentials: tokens/s",
        to_hold,
        f"{spread(against[0], 1)}x its opaque tokens, {spread(against[1], 1)}x its EdDSA JWTs",
        at_least(against[0], least),
        f"{thousands(mine)} against {thousands(theirs[0])} and {thousands(theirs[1])} tokens/s",
    )
