"""Random worlds: written, read, applied, exported."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployment import ACT, Blank
from multipartner.domain import world as w
from multipartner.domain.model import Permission, SolutionStatus
from multipartner.domain.world_rules import problems
from multipartner.partnering import worldfile
from multipartner.partnering.acting import ChangeRefused
from multipartner.partnering.applying import apply_world, export_world

ODD_NAMES = (
    "No",
    "null",
    "~",
    "2024-01-01",
    "1e3",
    "0x10",
    "+1 555",
    "- a",
    "a: b",
    "#x",
    "'",
    '"',
    "{a}",
    "*a",
    "&a",
    "!x",
    "% d",
    "@",
)
NAMES = st.one_of(
    st.sampled_from([name for name in ODD_NAMES if len(name) > 1]),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Zl", "Zp", "Cf"]), min_size=2, max_size=40).filter(
        lambda text: text == text.strip()
    ),
)

pytestmark = pytest.mark.both_engines
LIMITS = st.one_of(st.none(), st.integers(1, 10**9))


def ids(count: int) -> st.SearchStrategy[list[Any]]:
    digits = st.text("0123456789", min_size=1, max_size=20)
    return st.lists(digits, unique=True, min_size=count, max_size=count)


@st.composite
def businesses(draw: st.DrawFn) -> tuple[w.Business, ...]:
    counts = draw(st.lists(st.lists(st.integers(0, 2), max_size=3), min_size=1, max_size=4))
    waba_ids = iter(draw(ids(sum(map(len, counts)))))
    number_ids = iter(draw(ids(sum(map(sum, counts)))))
    return tuple(
        w.Business(
            id_,
            draw(NAMES),
            tuple(
                w.Waba(
                    next(waba_ids),
                    draw(NAMES),
                    tuple(w.PhoneNumber(next(number_ids), draw(NAMES)[:32].strip() or "1") for _ in range(n)),
                )
                for n in numbers
            ),
        )
        for id_, numbers in zip(draw(ids(len(counts))), counts, strict=True)
    )


@st.composite
def worlds(draw: st.DrawFn) -> w.World:
    """A valid world; not in its normal form."""
    owners = draw(businesses())
    business = st.sampled_from([b.id for b in owners])
    app_ids = draw(ids(draw(st.integers(2, 4))))
    app = st.sampled_from(app_ids)
    apps = [
        w.App(
            id_, draw(business), draw(NAMES), draw(st.sampled_from(w.AppStatus)), draw(st.booleans()), draw(LIMITS), draw(LIMITS)
        )
        for id_ in app_ids
    ]
    pairs = draw(st.lists(st.permutations(app_ids), max_size=3))
    solutions = [
        w.Solution(
            id_,
            draw(NAMES),
            w.Side(pair[0], draw(st.booleans())),
            w.Side(pair[1], draw(st.booleans())),
            draw(st.sampled_from(SolutionStatus)),
        )
        for id_, pair in zip(draw(ids(len(pairs))), pairs, strict=True)
    ]
    users = [w.SystemUser(id_, draw(business), draw(NAMES)) for id_ in draw(ids(draw(st.integers(0, 3))))]
    connections = draw(st.lists(st.builds(w.Connection, business, app), unique=True, max_size=3))
    shares = [draw(share_of(b, s)) for b in owners if b.wabas for s in solutions if draw(st.booleans())]
    return w.World(w.VERSION, owners, tuple(apps), tuple(users), tuple(solutions), tuple(connections), tuple(shares))


@st.composite
def share_of(draw: st.DrawFn, business: w.Business, solution: w.Solution) -> w.Share:
    return w.Share(
        business.id,
        solution.id,
        tuple(draw(st.lists(st.sampled_from([waba.id for waba in business.wabas]), unique=True, min_size=1))),
        tuple(draw(st.lists(st.sampled_from(Permission), unique=True, min_size=1))),
        draw(st.sampled_from(w.ShareStatus)),
        tuple(draw(st.lists(st.sampled_from([solution.owner.app, solution.partner.app]), unique=True))),
    )


@given(worlds())
@settings(max_examples=60, deadline=None)
def test_a_world_written_and_read_is_the_same_world(world: w.World) -> None:
    """Every valid world survives its file: names that look like numbers, dates or YAML included."""
    assert problems(world) == []
    assert worldfile.parse(worldfile.dump(world).encode(), "world.yaml") == w.normal(world)


@given(worlds())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_apply_then_export_gives_the_same_world_and_again_changes_nothing(blank: Blank, world: w.World) -> None:
    """`world export` gives back what was applied, and applying it twice leaves no change, event or new generation."""
    declared = w.normal(world)
    with blank() as made, made.held_open() as deployment:
        first = deployment.operate(lambda o: apply_world(o.store, o.master, ACT, declared))
        exported = deployment.operate(lambda o: export_world(o.store))
        seen = deployment.rows("SELECT * FROM change"), deployment.events()
        again = deployment.operate(lambda o: apply_world(o.store, o.master, ACT, exported))
        from_file = deployment.apply(worldfile.dump(exported))

        assert exported == declared
        assert (from_file.lines, from_file.secrets, from_file.stays) == ((), {}, ())
        assert set(first.secrets) == {app.id for app in declared.apps}
        assert (again.lines, again.secrets) == ((), {})
        assert seen == (deployment.rows("SELECT * FROM change"), deployment.events())


@given(worlds(), worlds())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_second_world_only_adds(blank: Blank, one: w.World, two: w.World) -> None:
    """Applying another world keeps all that the first declared, unless it is refused whole and changes nothing."""
    with blank() as made, made.held_open() as deployment:
        deployment.operate(lambda o: apply_world(o.store, o.master, ACT, w.normal(one)))
        before = deployment.operate(lambda o: export_world(o.store))
        try:
            deployment.operate(lambda o: apply_world(o.store, o.master, ACT, w.normal(two)))
        except ChangeRefused:
            assert deployment.operate(lambda o: export_world(o.store)) == before
            return
        after = deployment.operate(lambda o: export_world(o.store))
        for section in ("businesses", "apps", "system_users", "solutions"):
            assert {e.id for e in getattr(after, section)} == {e.id for e in (*getattr(one, section), *getattr(two, section))}
        assert set(w.normal(two).shares) <= set(after.shares)
