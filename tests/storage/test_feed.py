"""The change feed: when a change is noticed, and when caches must stop; on both engines. Boot time is passed by hand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import pytest
import sqlalchemy as sa

from multipartner.storage import tables as t
from multipartner.storage.ports import Change, ChangeKind
from storage.engines import change, on_reader, updated

if TYPE_CHECKING:
    from storage.engines import Engine

EVERYTHING = (Change(ChangeKind.EVERYTHING),)


def test_a_foreign_writer_is_seen_soon(engine: "Engine") -> None:
    """Whoever writes with plain SQL is obeyed after the next look, at most 50 ms or 250 ms later: the triggers feed it."""

    async def use(reader: Any) -> Sequence[Change]:
        await engine.write("UPDATE credential SET revoked_at_s = 5 WHERE id = :credential", "DELETE FROM connection")
        return await engine.soon(reader)

    world = engine.world
    assert on_reader(engine, use) == (
        Change(ChangeKind.CREDENTIAL, world.credential),
        Change(ChangeKind.CONNECTION, world.owner_app, world.customer),
    )


def test_our_change_is_told_once(engine: "Engine") -> None:
    """A change is told once, however often the feed is asked afterwards."""

    async def use(reader: Any) -> list[Sequence[Change]]:
        await change(engine, updated(t.share, status="WITHDRAWN"))
        return [await engine.soon(reader) for _ in range(2)]

    assert on_reader(engine, use) == [(Change(ChangeKind.SHARE, engine.world.solution, engine.world.customer),), ()]


def test_a_rolled_back_change_is_no_change(engine: "Engine") -> None:
    """An exception leaves the facts and the feed as they were; the number it used up is not missed by the next change."""

    async def use(reader: Any) -> None:
        async def broken(connection: Any) -> None:
            await connection.execute(sa.delete(t.connection))
            raise LookupError

        with pytest.raises(LookupError):
            await change(engine, broken)

        assert await engine.soon(reader) == ()
        assert (await reader.facts(engine.world.tenant)).connected
        await change(engine, updated(t.solution, name="New"))
        assert await engine.soon(reader) == (Change(ChangeKind.SOLUTION, engine.world.solution),)

    on_reader(engine, use)


def _then(count: int) -> str:
    numbers = f"n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {count})"  # noqa: S608 - as below
    return f"INSERT INTO change (kind, key1, key2) WITH RECURSIVE {numbers} SELECT 'app', cast(i AS text), '' FROM n"  # noqa: S608 - our own words


_WITHDRAWN: Final = "UPDATE share SET status = 'WITHDRAWN'"


@pytest.mark.parametrize(
    "statements",
    [
        [_WITHDRAWN, "DELETE FROM change"],
        [_WITHDRAWN, _WITHDRAWN, "DELETE FROM change WHERE revision < (SELECT max(revision) FROM change)"],
        [_then(1001)],
        [_then(10_000)],
        ["INSERT INTO change (kind, key1, key2) VALUES ('of a newer version', '', '')"],
        ["UPDATE change SET key1 = 'x' WHERE revision = (SELECT max(revision) FROM change)"],
    ],
    ids=["feed emptied", "feed pruned past us", "more than 1,000", "10,000", "unknown kind", "another history"],
)
def test_what_cannot_be_told_apart_is_everything(engine: "Engine", statements: Sequence[str]) -> None:
    """A reader that cannot know what it missed drops all it has, once."""

    async def use(reader: Any) -> None:
        await engine.write("BEGIN", *statements, "COMMIT")
        assert await engine.soon(reader) == EVERYTHING
        await engine.write("UPDATE solution SET name = 'New'")
        assert await engine.soon(reader) in (EVERYTHING, (Change(ChangeKind.SOLUTION, engine.world.solution),))
        assert await engine.soon(reader) == ()

    on_reader(engine, use)


def test_exactly_1000_changes_are_told(engine: "Engine") -> None:
    """A thousand changes at once are still told one by one."""

    async def use(reader: Any) -> int:
        await engine.write(_then(1000))
        return len(await engine.soon(reader))

    assert on_reader(engine, use) == 1000
