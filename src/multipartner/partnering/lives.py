"""Ending and resuming: apps, solutions, shares, grants. What narrows or revives gives its row a new generation."""

from multipartner.domain.events import EventKind
from multipartner.domain.model import AppId, BusinessId, SolutionId, Tenant
from multipartner.domain.world import AppStatus
from multipartner.partnering.acting import Act, Outcome, outcome
from multipartner.storage.change_ports import ChangeStore


async def suspend_app(store: ChangeStore, act: Act, app_id: AppId) -> Outcome:
    """Refuse an app everything until it is resumed; its tokens are dead at once and for good."""
    async with store.transaction() as changes:
        ended = outcome(await changes.set_app_status(app_id, AppStatus.SUSPENDED, act.mark()), f"app {app_id}", "suspended")
        if ended.changed:
            await changes.record(act.event(EventKind.APP_SUSPENDED, app_id=app_id))
    return ended


async def resume_app(store: ChangeStore, act: Act, app_id: AppId) -> Outcome:
    """Let a suspended app have tokens again: new ones."""
    async with store.transaction() as changes:
        resumed = outcome(await changes.set_app_status(app_id, AppStatus.ACTIVE, act.mark()), f"app {app_id}", "active")
        if resumed.changed:
            await changes.record(act.event(EventKind.APP_RESUMED, app_id=app_id))
    return resumed


async def deactivate_solution(store: ChangeStore, act: Act, solution_id: SolutionId) -> Outcome:
    """End a solution; all tokens for it are dead at once."""
    async with store.transaction() as changes:
        ended = outcome(await changes.deactivate_solution(solution_id, act.mark()), f"solution {solution_id}", "deactivated")
        if ended.changed:
            await changes.record(act.event(EventKind.SOLUTION_DEACTIVATED, solution_id=solution_id))
    return ended


async def revoke_share(store: ChangeStore, act: Act, business_id: BusinessId, solution_id: SolutionId) -> Outcome:
    """Withdraw what a business shares with a solution, for both of its apps; the connections stay."""
    what = f"share of business {business_id} with solution {solution_id}"
    async with store.transaction() as changes:
        ended = outcome(await changes.withdraw_share(business_id, solution_id, act.mark()), what, "withdrawn")
        if ended.changed:
            await changes.record(act.event(EventKind.SHARE_REVOKED, business_id=business_id, solution_id=solution_id))
    return ended


async def revoke_grant(store: ChangeStore, act: Act, tenant: Tenant) -> Outcome:
    """Take one app's grant out of a share; the other app's stays."""
    return await _set_grant(store, act, tenant, active=False)


async def restore_grant(store: ChangeStore, act: Act, tenant: Tenant) -> Outcome:
    """Give it back; tokens from before stay dead."""
    return await _set_grant(store, act, tenant, active=True)


async def _set_grant(store: ChangeStore, act: Act, tenant: Tenant, *, active: bool) -> Outcome:
    what = f"grant of app {tenant.app_id} for business {tenant.business_id} in solution {tenant.solution_id}"
    async with store.transaction() as changes:
        effect = await changes.set_grant(tenant, act.mark(), active=active)
        ended = outcome(effect, what, "active" if active else "revoked")
        if ended.changed:
            kind = EventKind.GRANT_RESTORED if active else EventKind.GRANT_REVOKED
            ids = {"app_id": tenant.app_id, "solution_id": tenant.solution_id, "business_id": tenant.business_id}
            await changes.record(act.event(kind, **ids))
    return ended
