"""The store against a dictionary: any order of calls of two processes, whose clocks go forward and back."""

import shutil
import tempfile
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from client.store.stored import KEYS, NOW_S, nth, token
from multipartner.client.ports import Stored
from multipartner.client.store import SqliteTokenStore

TENANTS = st.integers(0, 2)
HANDLES = st.integers(0, 1)


class Row(msgspec.Struct):
    """What the model knows of a tenant. `gone`: it was somebody's to purge, so that it may be gone."""

    generation: int
    token: Stored | None = None
    owner: int | None = None
    until_s: int = 0
    gone: bool = False

    def is_free(self, now_s: int) -> bool:
        return self.owner is None or self.until_s <= now_s or self.until_s > now_s + 120

    def has_ended(self, now_s: int) -> bool:
        return self.token is None or self.token.expires_at_s <= now_s


class StoreMachine(RuleBasedStateMachine):
    """Two handles on one file are two processes."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.handles = [self._handle(), self._handle()]
        self.dead: list[SqliteTokenStore] = []
        self.owners = [0, 1]
        self.next_owner = 2
        self.rows: dict[int, Row] = {}
        self.highest: dict[int, int] = {}
        self.pending: list[set[bytes]] = [set(), set()]
        self.now_s = NOW_S

    def _handle(self) -> SqliteTokenStore:
        return SqliteTokenStore(self.folder / "tokens.db", KEYS)

    def teardown(self) -> None:
        for handle in (*self.handles, *self.dead):
            handle.close()
        shutil.rmtree(self.folder)

    @rule(seconds=st.sampled_from([1, 10, 30, 61, 100, 4000, -5, -50, -200]))
    def clock(self, seconds: int) -> None:
        self.now_s += seconds

    @rule(tenant=TENANTS, at=HANDLES)
    def load(self, tenant: int, at: int) -> None:
        row = self.rows.get(tenant)
        found = self.handles[at].load(nth(tenant), self.now_s)

        expected = None if row is None or row.has_ended(self.now_s) else row.token
        assert found == expected or (found is None and row is not None and row.gone)

    @rule(tenant=TENANTS, at=HANDLES, for_s=st.sampled_from([1, 30, 120, 500]))
    def lease(self, tenant: int, at: int, for_s: int) -> None:
        for each in self.rows.values():
            each.gone |= each.is_free(self.now_s) and each.has_ended(self.now_s)
        leased = self.handles[at].lease(nth(tenant), self.now_s + for_s, self.now_s)

        row = self.rows.get(tenant)
        if leased is None:
            assert row is not None
            assert not row.is_free(self.now_s)
            assert row.owner != self.owners[at]
            return
        assert leased >= self.highest.get(tenant, 0)
        if row is None or leased != row.generation:
            assert row is None or row.gone
            row = self.rows[tenant] = Row(leased)
        assert row.is_free(self.now_s) or row.owner == self.owners[at]
        self.highest[tenant] = leased
        row.owner, row.until_s, row.gone = self.owners[at], self.now_s + min(for_s, 120), False

    @rule(tenant=TENANTS, at=HANDLES, skip=st.sampled_from([1, 1, 1, 0, 2]), life_s=st.sampled_from([0, 20, 3600]))
    def publish(self, tenant: int, at: int, skip: int, life_s: int) -> None:
        row = self.rows.get(tenant)
        generation = (row.generation if row is not None else NOW_S * 1000) + skip
        made = token(generation, expires_at_s=self.now_s + life_s, refresh_at_s=self.now_s)
        published = self.handles[at].publish(nth(tenant), made)

        may = row is not None and row.owner == self.owners[at] and skip == 1
        assert published == may or (may and row is not None and row.gone)
        if published:
            self.rows[tenant] = Row(generation, made)
            self.highest[tenant] = generation

    @rule(tenant=TENANTS, at=HANDLES)
    def release(self, tenant: int, at: int) -> None:
        self.handles[at].release(nth(tenant))

        row = self.rows.get(tenant)
        if row is not None and row.owner == self.owners[at]:
            row.owner = None
            if row.token is None:
                del self.rows[tenant]

    @rule(tenants=st.sets(TENANTS, min_size=1), at=HANDLES)
    def forget(self, tenants: set[int], at: int) -> None:
        self.handles[at].forget([nth(tenant) for tenant in tenants])

        for tenant in tenants:
            row = self.rows.pop(tenant, None)
            # What was under way for it must find another generation.
            self.highest[tenant] = max(self.highest.get(tenant, 0), row.generation + 1 if row is not None else 0)
            self.pending[1 - at].add(self.handles[at].digest(nth(tenant)))

    @rule(at=HANDLES)
    def forgotten(self, at: int) -> None:
        told = self.handles[at].forgotten()

        assert told is not None
        assert set(told) == self.pending[at]
        self.pending[at] = set()

    @rule(at=HANDLES)
    def close(self, at: int) -> None:
        """The next call opens it again, with the same leases."""
        self.handles[at].close()

    @rule(at=HANDLES)
    @precondition(lambda self: self.next_owner < 6)
    def die(self, at: int) -> None:
        """A new process comes; the old one's leases stay until they end."""
        self.dead.append(self.handles[at])
        self.handles[at] = self._handle()
        self.owners[at] = self.next_owner
        self.next_owner += 1
        self.pending[at] = set()


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
