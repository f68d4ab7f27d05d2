"""What is known of tenants in this process, and how the change feed makes it forget."""

from collections.abc import Sequence
from typing import Final

from multipartner.domain.model import AppId, BusinessId, Facts, SolutionId, Tenant
from multipartner.issuing.authenticate import Authenticator
from multipartner.issuing.cache import BoundedCache, SingleFlight
from multipartner.issuing.issue import GrantEntry
from multipartner.issuing.keyring import KeyRing
from multipartner.storage.ports import Change, ChangeKind, Reader


class Grants:
    """Facts and tokens by tenant, at most `cache_size` of them; each load of a cold one happens once however many wait.

    Drops what a change made stale, here, among the callers and in the key ring, before the next answer.
    """

    def __init__(self, reader: Reader, authenticate: Authenticator, ring: KeyRing, cache_size: int) -> None:
        self._reader = reader
        self._authenticate = authenticate
        self._ring = ring
        self._entries: BoundedCache[Tenant, GrantEntry] = BoundedCache(cache_size)
        self._loads: SingleFlight[tuple[Tenant, int], GrantEntry] = SingleFlight()
        self._epoch = 0
        self._apps_of: dict[SolutionId, set[AppId]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    async def entry(self, tenant: Tenant) -> GrantEntry:
        """Facts of a tenant, from memory or, once for all who wait, from the store. Raises StorageUnavailable."""
        entry = self._entries.get(tenant)
        if entry is not None:
            entry.touched = True
            return entry
        epoch = self._epoch
        return await self._loads.run((tenant, epoch), lambda: self._load(tenant, epoch))

    async def _load(self, tenant: Tenant, epoch: int) -> GrantEntry:
        entry = self._entries.get(tenant)
        if entry is not None:
            # Taken over from a cancelled leader, after another one did the work already.
            return entry
        entry = GrantEntry(await self._reader.facts(tenant))
        # Only what can lead to a token is kept: refusals cost a read each, are counted by the limiter, and a customer who
        # shares is served by the next request. A load that a change overtook serves its waiters and is not kept.
        if epoch == self._epoch and _is_worth_keeping(entry.facts):
            self._entries.put(tenant, entry)
            self._apps_of.setdefault(tenant.solution_id, set()).add(tenant.app_id)
        return entry

    def catch_up(self, boot_ns: int) -> None:
        """Drop what acknowledged changes made stale. Raises StorageUnavailable when nobody can tell."""
        changes = self._reader.poll(boot_ns)
        if changes:
            self.forget(changes)

    def forget(self, changes: Sequence[Change]) -> None:
        """Drop what these changes made stale: one look through a cache for all of them together, not for each."""
        self._epoch += 1
        keys: dict[ChangeKind, list[Change]] = {}
        for change in changes:
            keys.setdefault(change.kind, []).append(change)
        if not keys.keys().isdisjoint(_EVERYTHING):
            self._forget_everything()
            return
        apps = {change.key1 for change in keys.get(ChangeKind.APP, ())}
        solutions = {change.key1 for change in keys.get(ChangeKind.SOLUTION, ())}
        if apps or solutions:
            self._entries.drop_where(lambda tenant, _: tenant.app_id in apps or tenant.solution_id in solutions)
        self._forget_shares(keys.get(ChangeKind.SHARE, ()))
        connections = keys.get(ChangeKind.CONNECTION, ())
        self._forget_connections(connections)
        # A limit follows the number of connections, so an app's callers go with each of them.
        self._authenticate.forget(
            {change.key1 for change in keys.get(ChangeKind.CREDENTIAL, ())}, apps | {change.key1 for change in connections}
        )
        kids = {change.key1 for change in keys.get(ChangeKind.SIGNING_KEY, ())}
        if kids:
            self._ring.forget()
            self._entries.drop_where(lambda _, entry: any(token.kid in kids for token in entry.tokens))

    def _forget_shares(self, changes: Sequence[Change]) -> None:
        for change in changes:
            solution_id = SolutionId(change.key1)
            for app_id in self._apps_of.get(solution_id, ()):
                self._entries.drop(Tenant(app_id, solution_id, BusinessId(change.key2)))

    def _forget_connections(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        solutions_of: dict[str, list[SolutionId]] = {}
        for solution_id, apps in self._apps_of.items():
            for app_id in apps:
                solutions_of.setdefault(app_id, []).append(solution_id)
        for change in changes:
            for solution_id in solutions_of.get(change.key1, ()):
                self._entries.drop(Tenant(AppId(change.key1), solution_id, BusinessId(change.key2)))

    def _forget_everything(self) -> None:
        self._ring.forget()
        self._authenticate.forget_all()
        self._entries.clear()
        self._apps_of.clear()


_EVERYTHING: Final = {ChangeKind.EVERYTHING, ChangeKind.DEPLOYMENT}


def _is_worth_keeping(facts: Facts) -> bool:
    solution, share = facts.solution, facts.share
    return (
        share is not None and share.active and solution is not None and solution.permissions_of(facts.tenant.app_id) is not None
    )
