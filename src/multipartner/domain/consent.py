"""What a customer's consent makes of a share. Pure: the share that there is and the consent, to the share that there will be."""

from collections.abc import Collection

import msgspec

from multipartner.domain.model import BusinessId, Permission, Permissions, SolutionId, WabaId
from multipartner.domain.world import Share, ShareStatus


class Consent(msgspec.Struct, frozen=True):
    """What a business says it shares with a solution from now on: all of it, and nothing else."""

    business_id: BusinessId
    solution_id: SolutionId
    waba_ids: frozenset[WabaId]
    permissions: Permissions


def consented(now: Share | None, consent: Consent) -> Share:
    """The share after a consent. What a withdrawn share listed is forgotten; a revoked grant stays revoked."""
    return Share(
        consent.business_id,
        consent.solution_id,
        tuple(sorted(consent.waba_ids)),
        _sorted(consent.permissions),
        ShareStatus.ACTIVE,
        now.revoked_apps if now is not None else (),
    )


def entered(now: Share | None, consent: Consent) -> Share | None:
    """The share after one WABA more came in, by a consent to that WABA alone; None when it would change what is said of others.

    One share has one set of permissions: with other ones for the newcomer, all would be widened or narrowed without being asked.
    """
    if now is None or now.status is ShareStatus.WITHDRAWN or not now.wabas:
        return consented(now, consent)
    if frozenset(now.permissions) != consent.permissions:
        return None
    return msgspec.structs.replace(now, wabas=tuple(sorted({*now.wabas, *consent.waba_ids})))


def left(now: Share, waba_id: WabaId) -> Share | None:
    """The share after a WABA left it; None when it does not stand or does not name that WABA.

    With its last WABA a share is withdrawn, and keeps, as every withdrawn one, what it listed last.
    """
    if now.status is ShareStatus.WITHDRAWN or waba_id not in now.wabas:
        return None
    others = tuple(waba for waba in now.wabas if waba != waba_id)
    if not others:
        return msgspec.structs.replace(now, status=ShareStatus.WITHDRAWN)
    return msgspec.structs.replace(now, wabas=others)


def _sorted(permissions: Collection[Permission]) -> tuple[Permission, ...]:
    return tuple(sorted(permissions, key=lambda permission: permission.value))
