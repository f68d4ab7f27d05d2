"""An old world file, applied again over what was ended since."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployment import NOW_S, Blank, DemoDeployment, demo_text
from multipartner.domain import world as w
from multipartner.domain.model import AppId, BusinessId, SolutionId, SolutionStatus, Tenant
from multipartner.partnering import lives, worldfile
from multipartner.partnering.acting import Act
from multipartner.partnering.applying import apply_world, export_world
from partnering.test_changes import facts, generations, renewed
from partnering.test_world_round_trip import worlds

pytestmark = pytest.mark.both_engines

OWNER, PARTNER = AppId("5372200989284704"), AppId("26176007736316621")
SOLUTION, BOOKS = SolutionId("8249170987505988"), BusinessId("2991847208473997")
LATER = Act("operator:later", NOW_S)

SILENT = demo_text().replace("    status: ACTIVE\n", "")
"""The demo's file with no `status` that is the default."""


class Ending(NamedTuple):
    end: Callable[[Any], Any]
    stays: str
    old: str
    new: str
    event: str
    line: str
    row: str


ENDINGS = {
    "app": Ending(
        lambda o: lives.suspend_app(o.store, LATER, OWNER),
        f'app {OWNER}: stays suspended; write "status: active" to resume it',
        "name: Brightline Connect}",
        "name: Brightline Connect, status: active}",
        "app.resumed",
        f"app {OWNER}: resumed",
        f"app {OWNER}",
    ),
    "solution": Ending(
        lambda o: lives.deactivate_solution(o.store, LATER, SOLUTION),
        f'solution {SOLUTION}: stays DEACTIVATED; write "status: ACTIVE" to activate it',
        "    name: Brightline with Parcelbee\n",
        "    name: Brightline with Parcelbee\n    status: ACTIVE\n",
        "solution.reactivated",
        f"solution {SOLUTION}: reactivated",
        f"solution {SOLUTION}",
    ),
    "share": Ending(
        lambda o: lives.revoke_share(o.store, LATER, BOOKS, SOLUTION),
        f'share of {BOOKS} with solution {SOLUTION}: stays withdrawn; write "status: active" to revive it',
        "    wabas: ['3736568475388304', '7886060909223278']\n",
        "    wabas: ['3736568475388304', '7886060909223278']\n    status: active\n",
        "share.restored",
        f"share of {BOOKS} with solution {SOLUTION}: restored",
        f"share {BOOKS} {SOLUTION}",
    ),
    "grant": Ending(
        lambda o: lives.revoke_grant(o.store, LATER, Tenant(OWNER, SOLUTION, BOOKS)),
        f"grant of app {OWNER} for business {BOOKS} in solution {SOLUTION}: stays revoked; "
        'write "revoked_apps: []" to restore it',
        "    wabas: ['3736568475388304', '7886060909223278']\n",
        "    wabas: ['3736568475388304', '7886060909223278']\n    revoked_apps: []\n",
        "grant.restored",
        f"grant of app {OWNER} for business {BOOKS} in solution {SOLUTION}: restored",
        f"grant {BOOKS} {SOLUTION} {OWNER}",
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_an_old_file_revives_nothing_and_says_so(demo: DemoDeployment, name: str) -> None:
    """What a verb ended stays ended when a file from before, which says nothing of it, is applied again (attack 44)."""
    ending = ENDINGS[name]
    demo.operate(ending.end)
    before, events = facts(demo), demo.events()

    applied = demo.apply(SILENT)

    assert (applied.lines, applied.stays) == ((), (ending.stays,))
    assert (facts(demo), demo.events()) == (before, events)


@pytest.mark.parametrize("name", ENDINGS)
def test_what_is_written_out_is_obeyed_and_told(demo: DemoDeployment, name: str) -> None:
    """A file that says so revives what was ended: with an event of its own kind, and no token from before."""
    ending = ENDINGS[name]
    demo.operate(ending.end)
    before = generations(demo)
    assert SILENT.count(ending.old) == 1

    applied = demo.apply(SILENT.replace(ending.old, ending.new))

    assert (applied.lines, applied.stays) == ((ending.line,), ())
    assert [event["kind"] for event in demo.events()[-2:]] == [ending.event, "world.applied"]
    assert renewed(demo, before) == {ending.row}


def test_one_of_two_revoked_apps_is_told_how_to_come_back(demo: DemoDeployment) -> None:
    """The line for a revoked grant names the list that restores this one and not the other."""
    for app in (OWNER, PARTNER):
        demo.operate(lambda o, app=app: lives.revoke_grant(o.store, LATER, Tenant(app, SOLUTION, BOOKS)))  # type: ignore[misc]

    stays = demo.apply(SILENT).stays

    assert [line.partition("write ")[2] for line in stays] == [
        f"\"revoked_apps: ['{OWNER}']\" to restore it",
        f"\"revoked_apps: ['{PARTNER}']\" to restore it",
    ]


def test_an_export_writes_out_what_is_ended(demo: DemoDeployment) -> None:
    """An export applied to an empty deployment gives the same world, ends included; to its own it changes nothing."""
    for ending in ENDINGS.values():
        demo.operate(ending.end)
    exported = worldfile.dump(demo.operate(lambda o: export_world(o.store)))

    again = demo.apply(exported)

    assert (again.lines, again.stays) == ((), ())
    assert worldfile.dump(worldfile.parse(exported.encode(), "x.yaml")) == exported


def test_a_grant_that_is_not_there_is_not_told_as_revoked(demo: DemoDeployment) -> None:
    """The trail tells of a revoked grant only if one was revoked."""
    demo.execute(f"DELETE FROM app_grant WHERE business_id = '{BOOKS}' AND app_id = '{OWNER}'")  # noqa: S608 - ids of this file
    events = demo.events()
    old = "    wabas: ['3736568475388304', '7886060909223278']\n"

    applied = demo.apply(SILENT.replace(old, f"{old}    revoked_apps: ['{OWNER}']\n"))

    assert (applied.lines, demo.events()) == ((), events)


@given(worlds(), st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_old_file_moves_only_what_it_says(blank: Blank, world: w.World, data: st.DataObject) -> None:
    """Whatever was ended since, a file applied again leaves each end it does not mention, obeys each it does, and then rests."""
    old = w.normal(world)
    since = data.draw(ended(old))
    with blank() as made, made.held_open() as deployment:
        deployment.apply(worldfile.dump(old))
        deployment.operate(lambda o: apply_world(o.store, o.master, LATER, since))

        applied = deployment.apply(worldfile.dump(old))
        seen = deployment.operate(lambda o: export_world(o.store)), deployment.events()
        again = deployment.apply(worldfile.dump(old))

        assert seen[0] == expected(old, since)
        assert len(applied.stays) == count_of_ends(since, old)
        assert (again.lines, again.stays) == ((), applied.stays)
        assert (deployment.operate(lambda o: export_world(o.store)), deployment.events()) == seen


@st.composite
def ended(draw: st.DrawFn, world: w.World) -> w.World:
    """The world with any of its ends moved."""
    replace = msgspec.structs.replace
    apps = {s.id: (s.owner.app, s.partner.app) for s in world.solutions}
    revoked = [draw(st.lists(st.sampled_from(apps[s.solution]), unique=True)) for s in world.shares]
    shares = (
        replace(share, status=draw(st.sampled_from(w.ShareStatus)), revoked_apps=tuple(gone))
        for share, gone in zip(world.shares, revoked, strict=True)
    )
    return w.normal(
        replace(
            world,
            apps=tuple(replace(app, status=draw(st.sampled_from(w.AppStatus))) for app in world.apps),
            solutions=tuple(replace(s, status=draw(st.sampled_from(SolutionStatus))) for s in world.solutions),
            shares=tuple(shares),
        )
    )


def expected(old: w.World, since: w.World) -> w.World:
    """A field of the old file that is its default was not written: there the later value stays."""
    replace = msgspec.structs.replace
    return replace(
        old,
        apps=tuple(later if app.status is w.AppStatus.ACTIVE else app for app, later in zip(old.apps, since.apps, strict=True)),
        solutions=tuple(
            later if s.status is SolutionStatus.ACTIVE else s for s, later in zip(old.solutions, since.solutions, strict=True)
        ),
        shares=tuple(
            replace(
                share,
                status=later.status if share.status is w.ShareStatus.ACTIVE else share.status,
                revoked_apps=share.revoked_apps or later.revoked_apps,
            )
            for share, later in zip(old.shares, since.shares, strict=True)
        ),
    )


def count_of_ends(since: w.World, old: w.World) -> int:
    """Ends that came since, where the old file says nothing."""
    apps = sum(a.status is w.AppStatus.ACTIVE is not b.status for a, b in zip(old.apps, since.apps, strict=True))
    solutions = sum(
        a.status is SolutionStatus.ACTIVE is not b.status for a, b in zip(old.solutions, since.solutions, strict=True)
    )
    shares = sum(a.status is w.ShareStatus.ACTIVE is not b.status for a, b in zip(old.shares, since.shares, strict=True))
    grants = sum(len(b.revoked_apps) for a, b in zip(old.shares, since.shares, strict=True) if not a.revoked_apps)
    return apps + solutions + shares + grants
