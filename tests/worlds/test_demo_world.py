"""The bundled demo world."""

import itertools

from deployment import DemoDeployment, demo_text
from multipartner.domain.world import World
from multipartner.partnering import worldfile
from multipartner.partnering.applying import export_world


def test_demo_world_is_valid_and_comes_back_equal(demo: DemoDeployment, demo_world: World) -> None:
    """The bundled demo world applies, and its export parses to the same world."""
    exported = demo.operate(lambda o: export_world(o.store))

    assert demo_world == exported == worldfile.parse(worldfile.dump(exported).encode(), "again.yaml")


def test_demo_world_ids_are_no_sequence(demo_world: World) -> None:
    """The demo's ids are 15 to 17 digits and no two are neighbours."""
    ids: list[str] = [w.id for b in demo_world.businesses for w in b.wabas]
    ids.extend(b.id for b in demo_world.businesses)
    ids.extend(a.id for a in demo_world.apps)
    ids.extend(s.id for s in demo_world.solutions)
    ids.extend(u.id for u in demo_world.system_users)
    numbers = sorted(int(i) for i in ids)

    assert all(15 <= len(i) <= 17 for i in ids)
    assert all(b - a > 1000 for a, b in itertools.pairwise(numbers))


def test_applying_the_demo_again_changes_nothing(demo: DemoDeployment) -> None:
    """Applying a world file twice changes nothing the second time and shows no secret again."""
    again = demo.apply(demo_text())

    assert (again.lines, again.secrets, again.stays) == ((), {}, ())
