"""Station 3: may this caller have a token for this customer? Pure, and the only place that builds a `Permit`."""

import functools

from multipartner.domain.model import USABLE_SOLUTION, Ask, Caller, Facts, Instant, Permission, Permissions, Permit, names_of
from multipartner.domain.reasons import Reason, Refusal


def authorize(caller: Caller, ask: Ask, facts: Facts, now: Instant) -> Permit | Refusal:  # noqa: ARG001 - see below
    """Permit the intersection of caller, solution side and consent; refuse with the first reason of the precedence.

    `now` takes part so that a fact with an end can be judged here and nowhere else; today's facts have none.
    Raises ValueError when `facts` are another tenant's: that would be our bug, and must not become an answer.
    """
    tenant = facts.tenant
    if tenant.app_id != caller.app_id or tenant.solution_id != ask.solution_id or tenant.business_id != ask.business_id:
        raise ValueError("facts of another tenant")
    solution = facts.solution
    if solution is None:
        return Refusal(Reason.SOLUTION_UNKNOWN)
    side = solution.permissions_of(caller.app_id)
    if side is None:
        return Refusal(Reason.APP_NOT_PARTY)
    if facts.app_suspended:
        return Refusal(Reason.APP_SUSPENDED)
    if Permission.MANAGEMENT not in caller.permissions:
        return Refusal(Reason.PERMISSION_MISSING, fact=f"the token carries {_names(caller.permissions)}")
    if not facts.connected:
        return Refusal(Reason.BUSINESS_NOT_CONNECTED)
    if solution.status not in USABLE_SOLUTION:
        return Refusal(Reason.SOLUTION_INACTIVE, fact=f"status is {solution.status.value}")
    share = facts.share
    if share is None or not share.active or not share.waba_ids:
        return Refusal(Reason.NOTHING_SHARED, fact=_share_fact(facts))
    if not facts.grant_active:
        return Refusal(Reason.GRANT_REVOKED)
    permissions = _met(caller.permissions, side, share.permissions)
    if not permissions:
        fact = f"caller {_names(caller.permissions)}; side {_names(side)}; consent {_names(share.permissions)}"
        return Refusal(Reason.NOTHING_PERMITTED, fact=fact)
    return Permit(tenant, permissions, facts)


@functools.lru_cache(maxsize=256)
def _met(caller: Permissions, side: Permissions, consent: Permissions) -> Permissions:
    # There are few sets of permissions; a permit names one of them, and what is kept by permissions shares it.
    return caller & side & consent


def _names(permissions: Permissions) -> str:
    return " ".join(names_of(permissions)) or "nothing"


def _share_fact(facts: Facts) -> str:
    if facts.share is None:
        return "there is no share"
    return "the share names no WABA" if facts.share.active else "the share was withdrawn"
