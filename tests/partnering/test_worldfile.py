"""World files that are wrong."""

import pytest

from deployment import ACT, Deployment
from multipartner.partnering.applying import WorldContradicted, apply_world
from multipartner.partnering.worldfile import WorldFileRefused, parse, read_file
from multipartner.partnering.yamltree import MAX_BYTES

WORLD = """\
version: 1
businesses:
  - id: '10'
    name: Customer
    wabas:
      - {id: '11', name: One}
  - {id: '20', name: Other, wabas: [{id: '21', name: Two}]}
apps:
  - {id: '30', business: '10', name: App A}
  - {id: '31', business: '20', name: App B}
system_users:
  - {id: '40', business: '10', name: User}
solutions:
  - id: '50'
    name: Solution
    owner: {app: '30', messaging: true}
    partner: {app: '31'}
connections:
  - {business: '10', app: '30'}
shares:
  - business: '10'
    solution: '50'
    wabas: ['11']
    permissions: [whatsapp_business_management]
"""


def faults_of(data: bytes | str) -> list[str]:
    with pytest.raises(WorldFileRefused) as refused:
        parse(data.encode() if isinstance(data, str) else data, "w.yaml")
    return refused.value.faults


def test_the_world_these_tests_spoil_is_good() -> None:
    """An omitted field takes its default."""
    assert parse(WORLD.encode(), "w.yaml").shares[0].business == "10"


@pytest.mark.parametrize(
    ("line", "old", "new", "fault"),
    [
        (1, "version: 1", "version: 2", "version: must be 1"),
        (3, "'10'", "10", "businesses[0].id: must be in quotes: '10' (without them YAML reads a number)"),
        (3, "'10'", "'1x'", "businesses[0].id: must be 1 to 64 ASCII digits in quotes"),
        (3, "'10'", "'١٢٣'", "businesses[0].id: must be 1 to 64 ASCII digits in quotes"),
        (3, "'10'", '"10\\n"', "businesses[0].id: must be 1 to 64 ASCII digits in quotes"),
        (
            4,
            "name: Customer",
            "name: yes",
            "businesses[0].name: must be in quotes: 'yes' (without them YAML reads true or false)",
        ),
        (4, "name: Customer", "name: ''", "businesses[0].name: must have 1 to 200 characters, has 0"),
        (4, "name: Customer", 'name: "a\\e[2J"', "businesses[0].name: must not contain U+001B"),
        (4, "name: Customer", 'name: "a\\u202eb"', "businesses[0].name: must not contain U+202E"),
        (4, "name: Customer", 'name: "a\\0b"', "businesses[0].name: must not contain U+0000"),
        (4, "name: Customer", "title: Customer", "businesses[0].'title': no such key here; there are id, name, wabas"),
        (4, "name: Customer", "id: '12'", "'id' stands here a second time (first in line 3)"),
        (4, "name: Customer", "name: &a Customer", "anchors and aliases (& and *) are not accepted: write it out"),
        (4, "name: Customer", "name: !!str Customer", "tags such as 'tag:yaml.org,2002:str' are not accepted"),
        (6, "'11'", "'21'", None),
        (7, "'20'", "'10'", "businesses[1].id: '10' is declared above"),
        (9, "business: '10'", "business: '99'", "apps[0].business: no '99' in businesses"),
        (9, "name: App A", "name: App A, status: gone", "apps[0].status: must be one of active, suspended, not 'gone'"),
        (9, "name: App A", "name: App A, calls_per_hour: 0", "apps[0].calls_per_hour: must be at least 1"),
        (9, "name: App A", "name: App A, calls_per_hour: '5'", "apps[0].calls_per_hour: must be a whole number"),
        (9, "name: App A", "name: App A, calls_per_hour: 1_000", "apps[0].calls_per_hour: must be a whole number"),
        (9, "name: App A", "name: App A, require_appsecret_proof: on", "apps[0].require_appsecret_proof: must be true or false"),
        (15, "name: Solution", "name: S", "solutions[0].name: must have 2 to 75 characters, has 1"),
        (15, "name: Solution", f"name: {'s' * 76}", "solutions[0].name: must have 2 to 75 characters, has 76"),
        (16, "owner: {app: '30', messaging: true}", "owner: '30'", "solutions[0].owner: must be a mapping"),
        (17, "'31'", "'30'", "solutions[0].partner.app: must be another app than the owner's"),
        (19, "'30'}", "'30'}\n  - {business: '10', app: '30'}", None),
        (21, "business: '10'", "business: '20'", None),
        (23, "['11']", "['21']", "shares[0].wabas[0]: business '10' owns no WABA '21'"),
        (23, "['11']", "['11', '11']", "shares[0].wabas[1]: '11' is declared above"),
        (23, "['11']", "[]", "shares[0].wabas: must name at least one"),
        (23, "['11']", "'11'", "shares[0].wabas: must be a list"),
        (24, "[whatsapp_business_management]", "[]", "shares[0].permissions: must name at least one"),
        (24, "[whatsapp_business_management]", "[ads]", None),
        (24, "management]", "management]\n    revoked_apps: ['32']", None),
    ],
)
def test_a_fault_is_told_with_its_line(line: int, old: str, new: str, fault: str | None) -> None:
    """Whatever is wrong in a world file is told with file, line and place."""
    lines = WORLD.splitlines(keepends=True)
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    faults = faults_of("".join(lines))

    if fault is None:
        assert all(told.startswith("w.yaml:") for told in faults)
    else:
        assert f"w.yaml:{line}: {fault}" in faults


def test_every_fault_is_told_at_once() -> None:
    """A world file with five faults is refused with five lines, and no complaint that only follows from another one."""
    text = (
        WORLD.replace("id: '10'", "id: 10")
        .replace("name: App A", "name: App A, colour: red")
        .replace("    name: Solution\n", "")
        .replace("version: 1", "version: 1.0")
        .replace("[whatsapp_business_management]", "[whatsapp_business_management, whatsapp_business_management]")
    )

    assert [fault.split(" ")[0] + " " + fault.split(" ")[1] for fault in faults_of(text)] == [
        "w.yaml:1: version:",
        "w.yaml:3: businesses[0].id:",
        "w.yaml:9: apps[0].'colour':",
        "w.yaml:14: solutions[0].name:",
        "w.yaml:23: shares[0].permissions[1]:",
    ]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "w.yaml:1: is empty"),
        (b"# only a comment\n", "w.yaml:1: is empty"),
        (b"version: 1\nbusinesses: \xff\n", "w.yaml:2: is not UTF-8"),
        (b"version: 1\n\nname: a\0b", "w.yaml:3: contains a NUL"),
        (b'version: 1\nbusinesses: "\\ud800"', "w.yaml:2: is no YAML"),
        (b"version: 1\nbusinesses: [\n", "w.yaml:3: is no YAML"),
        (b"version: 1\n---\nversion: 1\n", "w.yaml:2: has a second document"),
        (b"version: 1\nbusinesses: " + b"[" * 100_000, "w.yaml:2: is nested more than 16 levels deep"),
        (b"version: 1\nbusinesses: " + b"{a: " * 100_000, "w.yaml:2: is nested more than 16 levels deep"),
        (b"version: 1\n[1]: 2\n", "w.yaml:2: a key must be a plain word"),
        (b"- 1\n", "w.yaml:1: must be a mapping"),
        (b"version: 1\n<<: {}\n", "w.yaml:2: '<<': no such key here"),
        (b" " * (MAX_BYTES + 1), f"w.yaml:1: has more than {MAX_BYTES} bytes"),
    ],
)
def test_text_that_is_no_world_file_is_refused(data: bytes, fault: str) -> None:
    """Attack 10: NUL, surrogates, broken UTF-8, bombs of nesting and size are refused in a line, without a traceback."""
    assert any(told.startswith(fault) for told in faults_of(data))


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    """Aliases are never expanded: a billion laughs is refused line by line."""
    bomb = "version: 1\na: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
    )

    assert any("anchors and aliases" in fault for fault in faults_of(bomb))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "'11', name: One}\n  - {id: '20', name: Other, wabas: [{id: '21', name: Two}]}",
            "'21', name: One}\n  - {id: '20', name: Other, wabas: [{id: '11', name: Two}]}",
            [
                "w.yaml:6: businesses[0].wabas[0]: WABA 21 belongs to business 20, not 10",
                "w.yaml:7: businesses[1].wabas[0]: WABA 11 belongs to business 10, not 20",
            ],
        ),
        ("'30', business: '10'", "'30', business: '20'", ["w.yaml:9: apps[0]: app 30 belongs to business 10, not 20"]),
        (
            "{id: '40', business: '10'",
            "{id: '40', business: '20'",
            ["w.yaml:12: system_users[0]: system user 40 belongs to business 10, not 20"],
        ),
        (
            "owner: {app: '30', messaging: true}\n    partner: {app: '31'}",
            "owner: {app: '31', messaging: true}\n    partner: {app: '30'}",
            ["w.yaml:14: solutions[0]: solution 50 is of the apps 30 and 31: that does not change"],
        ),
    ],
)
def test_what_contradicts_the_facts_is_told_with_its_line(deployment: Deployment, old: str, new: str, told: list[str]) -> None:
    """Who owns what, and a solution's two apps, do not change: a file that says otherwise is told where it does."""
    without_share = WORLD[: WORLD.index("shares:")]
    assert deployment.apply(without_share).lines
    assert old in without_share
    file = read_file(without_share.replace(old, new).encode(), "w.yaml")

    with pytest.raises(WorldContradicted) as refused:
        deployment.operate(lambda o: apply_world(o.store, o.master, ACT, file.world, file.unsaid))

    assert file.refusal(refused.value.contradictions).faults == told


def test_a_phone_number_of_another_waba_is_told_with_its_line(deployment: Deployment) -> None:
    """A phone number that is another WABA's is told where it stands, by its own line and not its WABA's."""
    number = "phone_numbers: [{id: '15', display_phone_number: '+1'}]"
    assert deployment.apply(WORLD.replace("name: One}", f"name: One, {number}}}")).lines
    text = WORLD.replace("name: Two}", "name: Two, phone_numbers: [\n      {id: '15', display_phone_number: '+1'}]}")
    file = read_file(text.encode(), "w.yaml")

    with pytest.raises(WorldContradicted) as refused:
        deployment.operate(lambda o: apply_world(o.store, o.master, ACT, file.world, file.unsaid))

    assert file.refusal(refused.value.contradictions).faults == [
        "w.yaml:8: businesses[1].wabas[0].phone_numbers[0]: phone number 15 belongs to WABA 11, not 21"
    ]
