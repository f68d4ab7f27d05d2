"""The ring of signing keys, as operators turn it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from deployment import ACT, NOW_S, Blank, Deployment
from multipartner.domain.keyring import PUBLISH_AHEAD_S, signing_kid
from multipartner.partnering import keys
from multipartner.partnering.acting import Act, ChangeRefused, UnknownEntity
from multipartner.storage.ports import SigningKeyRecord

pytestmark = pytest.mark.both_engines

LIFETIME_S = 3600
LONGEST_WINDOW_S = 43_200


def at(second: int) -> Act:
    return Act("operator:test", NOW_S + second)


def ring(deployment: Deployment) -> list[SigningKeyRecord]:
    return [
        SigningKeyRecord(*row)
        for row in deployment.rows(
            "SELECT kid, public_key, private_sealed, published_at_s, signs_from_s, retired_at_s FROM signing_key"
            " ORDER BY signs_from_s, kid"
        )
    ]


def states(deployment: Deployment, second: int) -> dict[str, str]:
    listed = deployment.operate(lambda o: keys.list_keys(o.store, NOW_S + second, LIFETIME_S))
    return {key.kid: key.state for key in listed}


def rotate(deployment: Deployment, second: int, *, at_once: bool = False) -> str:
    return deployment.operate(lambda o: keys.rotate(o.store, o.master, at(second), at_once=at_once))[0]


def test_the_first_key_signs_windows_that_began_before_it(deployment: Deployment) -> None:
    """A new deployment issues at once: its first key signs the windows that run now."""
    (first,) = ring(deployment)

    assert signing_kid([first], NOW_S - LONGEST_WINDOW_S) == first.kid
    assert deployment.operate(lambda o: keys.check_keys(o.store, o.master, NOW_S)) == first.kid


def test_init_twice_is_refused(deployment: Deployment) -> None:
    """A deployment is made once."""
    with pytest.raises(ChangeRefused, match="exists already"):
        deployment.operate(lambda o: keys.init_deployment(o.store, o.master, ACT))


def test_a_key_goes_from_published_to_signing_to_verifying_to_gone(deployment: Deployment) -> None:
    """Attack 28: a rotated key signs only after every verifier can have it, a retired one verifies for one lifetime."""
    (first,) = states(deployment, 0)
    second = rotate(deployment, 10)

    assert states(deployment, 10) == {first: "signing", second: "published"}
    with pytest.raises(ChangeRefused, match="no other key signs now"):
        deployment.operate(lambda o: keys.retire(o.store, at(11), first))
    later = 10 + PUBLISH_AHEAD_S
    assert states(deployment, later) == {first: "verifying", second: "signing"}
    assert deployment.operate(lambda o: keys.retire(o.store, at(later), first)).changed
    assert deployment.operate(lambda o: keys.retire(o.store, at(later), first)).text.endswith("already retired")
    assert states(deployment, later + LIFETIME_S) == {first: "verifying", second: "signing"}
    assert states(deployment, later + LIFETIME_S + 61) == {first: "gone", second: "signing"}


def test_rotate_now_signs_from_now_on(deployment: Deployment) -> None:
    """`keys rotate --now` does not wait for verifiers."""
    second = rotate(deployment, 10, at_once=True)

    assert states(deployment, 10)[second] == "signing"


def test_the_only_key_dropped_is_replaced_and_every_token_dies(deployment: Deployment) -> None:
    """Attack 28: dropping the compromised only key deletes it, renews the deployment's generation, and another signs at once."""
    (first,) = states(deployment, 0)
    before = deployment.rows("SELECT generation FROM deployment")

    dropped = deployment.operate(lambda o: keys.drop(o.store, o.master, at(5), first))

    assert dropped.replacement is not None
    assert states(deployment, 5) == {dropped.replacement: "signing"}
    assert deployment.rows("SELECT generation FROM deployment") != before
    assert [event["kind"] for event in deployment.events()[-2:]] == ["key.dropped", "key.published"]


def test_a_retired_key_does_not_fill_in_for_a_dropped_one(deployment: Deployment) -> None:
    """Attack 28: the replacement of a dropped key signs the windows that run now; a key retired before does not."""
    (first,) = states(deployment, 0)
    second, _ = deployment.operate(lambda o: keys.rotate(o.store, o.master, at(5), at_once=True))
    deployment.operate(lambda o: keys.retire(o.store, at(8), first))

    dropped = deployment.operate(lambda o: keys.drop(o.store, o.master, at(9), second))

    assert dropped.replacement is not None
    assert states(deployment, 6)[dropped.replacement] == "signing"


def test_keys_are_listed_while_another_process_writes(deployment: Deployment) -> None:
    """`keys list` waits for no writer: it takes no lock."""
    with deployment.writing():
        assert list(states(deployment, 0).values()) == ["signing"]


@contextmanager
def statements(table: str) -> Iterator[list[str]]:
    """What is executed meanwhile and names the table."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if table in statement.split():
            seen.append(" ".join(statement.split()[:2]))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_a_key_is_retired_by_one_conditional_statement(deployment: Deployment) -> None:
    """Retiring never reads before it writes, so that on no database can two operators retire the last two keys at once."""
    (first,) = states(deployment, 0)
    second = rotate(deployment, 10, at_once=True)

    with statements("signing_key") as seen:
        assert deployment.operate(lambda o: keys.retire(o.store, at(11), first)).changed

    assert seen == ["UPDATE signing_key"]
    with pytest.raises(ChangeRefused, match="no other key signs now"):
        deployment.operate(lambda o: keys.retire(o.store, at(12), second))
    assert [key.retired_at_s for key in ring(deployment)] == [NOW_S + 11, None]


def test_every_token_dies_by_one_statement(deployment: Deployment) -> None:
    """The deployment's row is made or renewed by one statement, never looked up and then written."""
    (first,) = states(deployment, 0)

    # The transaction itself takes a lock on the row; that statement is not the change.
    with statements("deployment") as seen:
        deployment.operate(lambda o: keys.drop(o.store, o.master, at(5), first))

    assert [statement for statement in seen if not statement.startswith("SELECT")] == ["INSERT INTO"]
    assert len(deployment.rows("SELECT id FROM deployment")) == 1


@pytest.mark.parametrize("action", ["retire", "drop"])
def test_an_unknown_key_is_refused(deployment: Deployment, action: str) -> None:
    """A key that does not exist is neither retired nor dropped, and no generation is renewed for it."""
    before = deployment.rows("SELECT generation FROM deployment")
    act: Any = (
        (lambda o: keys.retire(o.store, at(1), "x")) if action == "retire" else lambda o: keys.drop(o.store, o.master, at(1), "x")
    )
    with pytest.raises(UnknownEntity, match="unknown"):
        deployment.operate(act)
    assert deployment.rows("SELECT generation FROM deployment") == before


def due(key: SigningKeyRecord, second: int) -> bool:
    return key.signs_from_s <= NOW_S + second and key.retired_at_s is None


STEPS = st.lists(
    st.tuples(st.sampled_from(["rotate", "rotate now", "retire", "drop"]), st.integers(0, 400), st.integers(0, 5)),
    min_size=1,
    max_size=8,
)


@given(STEPS)
@settings(max_examples=25, deadline=None)
def test_every_window_that_runs_has_a_key_whatever_operators_do(blank: Blank, steps: list[tuple[str, int, int]]) -> None:
    """No sequence of rotate, retire and drop leaves a running window without a key to sign it."""
    with blank() as made, made.held_open() as deployment:
        second = 0
        for action, passed, choice in steps:
            second += passed
            kids = [key.kid for key in ring(deployment)]
            kid = kids[choice % len(kids)]
            act = at(second)
            if action.startswith("rotate"):
                rotate(deployment, second, at_once=action.endswith("now"))
            elif action == "drop":
                deployment.operate(lambda o, act=act, kid=kid: keys.drop(o.store, o.master, act, kid))  # type: ignore[misc]
            else:
                try:
                    deployment.operate(lambda o, act=act, kid=kid: keys.retire(o.store, act, kid))  # type: ignore[misc]
                except ChangeRefused:
                    assert not any(due(k, second) for k in ring(deployment) if k.kid != kid)
            left = ring(deployment)
            assert any(due(key, second) for key in left)
            edges = {NOW_S + second, NOW_S + second - LONGEST_WINDOW_S}
            edges |= {k.retired_at_s for k in left if k.retired_at_s is not None} | {k.signs_from_s for k in left}
            for start_s in edges:
                if NOW_S + second - LONGEST_WINDOW_S <= start_s <= NOW_S + second:
                    assert signing_kid(left, start_s) is not None
