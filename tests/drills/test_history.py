"""The drills' checker: what it lets pass, and what it finds."""

from math import inf
from pathlib import Path

import pytest
from drills.checking import Truth, first_change_s, first_new_token_s, lags_s, least_left_s, violations
from drills.history import Change, Ended, Introspection, Issue, Mark, Record, Recorder, Said, Silence, read

BOUND_S = 1.0
WHO = "100"


def issue(at_s: float, jti: str = "j1", said: Said = Said.GOOD, door: str = "a", left_s: float = 100) -> Issue:
    return Issue(door, WHO, at_s, at_s + 0.01, said, jti, left_s)


def asked(at_s: float, jti: str = "j1", said: Said = Said.GOOD) -> Introspection:
    return Introspection("a", WHO, at_s, at_s + 0.01, said, jti)


def revoked(at_s: float, actor: str = "r1", ended: Ended = Ended.ACKNOWLEDGED, *, changed: bool = True) -> Change:
    return Change(WHO, at_s - 0.1, at_s, ended, actor, takes=True, changed=changed)


def restored(at_s: float, actor: str = "r2", ended: Ended = Ended.ACKNOWLEDGED) -> Change:
    return Change(WHO, at_s - 0.1, at_s, ended, actor, takes=False)


def truth(*actors: str, usable: bool = False, issued: tuple[str, ...] = ("j1", "j2")) -> Truth:
    events = {actor: actors.count(actor) for actor in actors}
    return Truth(frozenset({WHO}) if usable else frozenset(), events, frozenset(issued))


def found(records: list[Record], true: Truth) -> list[str]:
    return violations(records, true, BOUND_S)


def test_a_history_in_order_is_found_in_order() -> None:
    """A token that verifies up to the bound, and a new one after the grant was given back, are no violations."""
    history: list[Record] = [
        issue(1),
        revoked(5),
        asked(5.9),
        asked(6.5, said=Said.DEAD),
        restored(9),
        issue(9.5, "j2"),
        asked(20, "j2"),
    ]

    assert found(history, truth("r1", "r2", usable=True)) == []


def test_a_token_that_verifies_too_late_is_found() -> None:
    """A token that introspects active later than the bound after its revocation was acknowledged is a violation."""
    (said,) = found([issue(1), revoked(5), asked(6.01)], truth("r1"))

    assert "verified 1.010 s after" in said


def test_a_token_that_is_issued_too_late_is_found() -> None:
    """A token that is issued later than the bound after the revocation was acknowledged is a violation."""
    (said,) = found([revoked(5), issue(6.5)], truth("r1"))

    assert "was issued 1.500 s after" in said


def test_a_dead_token_that_rises_again_is_found() -> None:
    """A token from before a revocation is dead for good, also when the grant was given back since."""
    (said,) = found([issue(1), revoked(5), restored(9), asked(30)], truth("r1", "r2", usable=True))

    assert "verified 25.000 s after" in said


def test_a_token_of_the_last_moment_dies_with_the_others() -> None:
    """A token issued between revocation and bound bears the old generation, and must be dead after the bound."""
    assert found([revoked(5), issue(5.5), restored(9), asked(30)], truth("r1", "r2", usable=True))


def test_a_revocation_of_which_nobody_knows_may_be_either() -> None:
    """After a revocation whose outcome is unknown a token may verify or not, and its event may be there or not."""
    history: list[Record] = [issue(1), revoked(5, ended=Ended.UNKNOWN), asked(30)]

    assert found(history, truth(usable=True)) == []
    assert found(history, truth("r1", usable=False)) == []


def test_facts_and_trail_agree_about_what_nobody_knew() -> None:
    """A change of unknown outcome whose event is in the trail was made: the facts must show it."""
    (said,) = found([issue(1), revoked(5, ended=Ended.UNKNOWN)], truth("r1", usable=True))

    assert "is revoked, but" in said or "otherwise" in said


def test_an_unknown_restoration_ends_the_silence_of_a_revocation() -> None:
    """After somebody tried to give a grant back, tokens may be issued, whatever that one was told."""
    history: list[Record] = [revoked(5), restored(9, ended=Ended.UNKNOWN), issue(20, "j2")]

    assert found(history, truth("r1", "r2", usable=True)) == []


@pytest.mark.parametrize(
    ("events", "usable"), [((), False), (("r1", "r1"), False), (("r1",), True)], ids=["no event", "two events", "facts"]
)
def test_a_lost_change_is_found(events: tuple[str, ...], usable: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """An acknowledged change without exactly one event, or without its effect, is a violation."""
    assert found([revoked(5)], truth(*events, usable=usable))


def test_a_change_that_was_made_already_has_no_event() -> None:
    """A revocation that found the grant revoked is acknowledged, and tells nothing."""
    assert found([revoked(5, changed=False)], truth()) == []


def test_a_failed_change_that_happened_is_found() -> None:
    """A change whose writer was told that it failed must not be in the trail."""
    assert found([revoked(5, ended=Ended.FAILED)], truth("r1", usable=True))
    assert found([revoked(5, ended=Ended.FAILED)], truth(usable=True)) == []


def test_a_token_unknown_to_the_trail_is_found() -> None:
    """A token that was issued and is not in the trail is a violation, however often it was given."""
    (said,) = found([issue(1), issue(2)], truth(issued=()))

    assert "the trail knows nothing of it" in said


def test_an_answer_in_the_silence_is_found() -> None:
    """An answer to a question that was sent while nobody could know the facts is a violation; a refusal is none."""
    silence = Silence(3, 6, "no primary")

    assert found([silence, issue(2.9), issue(4, said=Said.TRANSIENT), issue(6)], truth()) == []
    assert len(found([silence, issue(4), asked(5)], truth())) == 2


def test_figures_of_a_history() -> None:
    """Lag, recovery and the life left at a refresh are read off the history."""
    history: list[Record] = [
        issue(1, left_s=100),
        revoked(5),
        asked(5.25),
        asked(5.5),
        restored(9),
        issue(21, "j2", door="b"),
        issue(22, "j2"),
    ]

    assert lags_s(history) == pytest.approx([0.25, 0.5])
    assert first_new_token_s(history, "b", 10) == pytest.approx(21.01)
    assert first_new_token_s(history, "a", 10) == inf, "j2 was known by then"
    assert first_change_s(history, 6) == 9
    assert least_left_s(history) == pytest.approx(80)


def test_a_history_can_be_read_back(tmp_path: Path) -> None:
    """What was recorded is read back as it was."""
    record = Recorder(tmp_path / "history.jsonl")
    for one in (issue(1), asked(2), revoked(3), Silence(4, 5, "why"), Mark(6, "what")):
        record(one)
    record.close()

    assert read(tmp_path / "history.jsonl") == record.records
