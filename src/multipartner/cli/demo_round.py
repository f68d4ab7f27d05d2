"""`multipartner demo --once`: one token's whole life, over HTTP, each step checked."""

import contextlib
import io
import json
import time
from typing import Any

import typer

from multipartner.cli.calling import when
from multipartner.cli.commands import run as run_command
from multipartner.cli.demo_caller import DemoCaller
from multipartner.domain.model import Secret
from multipartner.settings import Settings
from multipartner.verify.offline import OfflineVerifier
from multipartner.wire.answer import parse

EXPLAINED_WITHIN_S = 5.0
"""Refusals reach the trail within moments, not at once: they must not slow an answer."""


class Mismatch(Exception):  # noqa: N818 - a verdict
    """A step ended otherwise than it should."""


def round_trip(caller: DemoCaller, settings: Settings) -> None:
    """Fetch, verify, introspect, withdraw, see the refusal and the dead token, explain. Raises Mismatch."""
    demo = caller.demo
    business_id = demo.business(200).id

    _say(f"GET {caller.path()}?business_id={business_id}")
    status, body = caller.ask(business_id)
    _expect("status", status, 200)
    _show(body)
    token, expires_at_s = parse(json.dumps(body).encode())

    _say("Verified offline, with the key set of /.well-known/jwks.json")
    audience = settings.audience or settings.issuer_url
    verifier = OfflineVerifier(caller.key_set(), issuer=settings.issuer_url, audience=audience)
    claims = verifier.verify(token.reveal(), wall_s=int(time.time()))
    _expect("exp", claims.exp, expires_at_s)
    _expect("business_id", claims.business_id, business_id)
    typer.echo(f"good until {when(expires_at_s)} for {claims.scope}")

    _say("POST /oauth/introspect")
    described = caller.introspect(token)
    _expect("active", described["active"], True)
    _expect("exp", described["exp"], expires_at_s)
    _show(described)

    _say(f"multipartner share revoke --business {business_id} --solution {demo.solution.id}")
    _command(settings, "share", "revoke", "--business", business_id, "--solution", demo.solution.id)

    trace_id = _see_it_dead(caller, business_id, token)

    _say(f"multipartner explain {trace_id}")
    typer.echo(_explained(settings, trace_id))


def _see_it_dead(caller: DemoCaller, business_id: str, token: Secret) -> str:
    """The next request is refused, and the token that was good is dead; returns the refusal's trace id."""
    _say("The same GET again")
    status, body = caller.ask(business_id)
    _expect("status", status, 422)
    _show(body)
    _say("POST /oauth/introspect, the same token")
    described = caller.introspect(token)
    _expect("answer", described, {"active": False})
    _show(described)
    return str(body["error"]["fbtrace_id"])


def _explained(settings: Settings, trace_id: str) -> str:
    deadline = time.monotonic() + EXPLAINED_WITHIN_S
    while True:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = _run(settings, "explain", trace_id)
        if code == 0:
            return said.getvalue().rstrip()
        if time.monotonic() > deadline:
            raise Mismatch(f"explain ended with {code}: {said.getvalue().strip()}")
        time.sleep(0.05)


def _command(settings: Settings, *arguments: str) -> None:
    code = _run(settings, *arguments)
    if code != 0:
        raise Mismatch(f"multipartner {' '.join(arguments)} ended with {code}")


def _run(settings: Settings, *arguments: str) -> int:
    files = [f"--database={settings.database}", f"--trail={settings.trail_file}", f"--master-key-file={settings.master_key_file}"]
    return run_command([*arguments, *files])


def _say(text: str) -> None:
    typer.secho(f"\n# {text}", bold=True)


def _show(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2))


def _expect(name: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise Mismatch(f"{name} is {got!r} instead of {wanted!r}")
