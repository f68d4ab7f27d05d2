"""Rows of `queries` as the domain's values, for every database."""

import functools
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from multipartner.domain.model import (
    AppId,
    Caller,
    Facts,
    Generations,
    Permission,
    Permissions,
    Share,
    Solution,
    SolutionId,
    SolutionStatus,
    Tenant,
)
from multipartner.storage.ports import AppRecord, CallerRecord

_CALLS_PER_CONNECTION: Final = 200
_PERMISSION_BY_NAME: Final = {permission.value: permission for permission in Permission}

_STATUS_BY_NAME: Final = {status.value: status for status in SolutionStatus}

Row = Sequence[Any]


class LimitDefaults(msgspec.Struct, frozen=True):
    """Calls per hour where the app's row says nothing; `calls_per_hour` None: 200 for each connected business."""

    calls_per_hour: int | None = None
    calls_per_business_per_hour: int = 5000


@functools.lru_cache(maxsize=64)
def permissions(text: str) -> Permissions:
    """Read a `permissions` column. A word this version does not know grants nothing."""
    return frozenset(_PERMISSION_BY_NAME[word] for word in text.split(" ") if word in _PERMISSION_BY_NAME)


def app_record(row: Row, limits: LimitDefaults) -> AppRecord:
    """Build the answer to `queries.APP`, with the limits in force."""
    id_, name, business_id, status, proof, secret, per_app, per_business, connected = row
    return AppRecord(
        id_,
        name,
        business_id,
        suspended=status != "ACTIVE",
        proof_required=bool(proof),
        secret_sealed=secret,
        calls_per_hour=calls_per_hour(per_app, connected, limits),
        calls_per_business_per_hour=per_business or limits.calls_per_business_per_hour,
    )


def calls_per_hour(declared: int | None, connected: int, limits: LimitDefaults) -> int:
    """An app's limit: its own, the deployment's, or 200 for each connected business."""
    return declared or limits.calls_per_hour or _CALLS_PER_CONNECTION * max(1, connected)


def caller_record(row: Row, limits: LimitDefaults) -> CallerRecord:
    """Build the answer to `queries.CALLER`, with the limits in force."""
    (
        id_,
        user_id,
        app_id,
        granted,
        mac,
        mac_key_id,
        expires_at_s,
        revoked_at_s,
        created_at_s,
        proof,
        secret,
        per_app,
        per_business,
        connected,
    ) = row
    caller = Caller(
        credential_id=id_,
        system_user_id=user_id,
        app_id=app_id,
        permissions=permissions(granted),
        calls_per_hour=calls_per_hour(per_app, connected, limits),
        calls_per_business_per_hour=per_business or limits.calls_per_business_per_hour,
    )
    return CallerRecord(
        caller=caller,
        mac=mac,
        mac_key_id=mac_key_id,
        expires_at_s=expires_at_s,
        revoked_at_s=revoked_at_s,
        proof_required=bool(proof),
        app_secret_sealed=secret,
        created_at_s=created_at_s,
    )


@functools.lru_cache(maxsize=4096)
def _solution(
    solution_id: SolutionId,
    status: str,
    owner: AppId,
    partner: AppId,
    owner_messaging: bool,  # noqa: FBT001 - a column
    partner_messaging: bool,  # noqa: FBT001 - a column
) -> Solution:
    # One object for all tenants of a solution: each would keep its own otherwise.
    return Solution(solution_id, _STATUS_BY_NAME[status], owner, partner, owner_messaging, partner_messaging)


def facts(tenant: Tenant, row: Row) -> Facts:
    """Build the answer to `queries.FACTS`. An app that is gone counts as suspended; a row that is missing has generation ""."""
    (deployment_gen, deployment_s, app_status, app_gen, app_s) = row[:5]
    (status, owner, partner, owner_messaging, partner_messaging, solution_gen, solution_s) = row[5:12]
    (connected, share_status, share_permissions, share_gen, share_s, wabas, grant_status, grant_gen, grant_s) = row[12:]
    solution = None
    if status is not None:
        solution = _solution(tenant.solution_id, status, owner, partner, bool(owner_messaging), bool(partner_messaging))
    share = None
    if share_status is not None:
        # Sorted here: the text order of a database depends on its collation.
        waba_ids = tuple(sorted(wabas.split(" "))) if wabas else ()
        share = Share(active=share_status == "ACTIVE", permissions=permissions(share_permissions), waba_ids=waba_ids)
    return Facts(
        tenant=tenant,
        app_suspended=app_status != "ACTIVE",
        solution=solution,
        connected=connected is not None,
        share=share,
        grant_active=grant_status == "ACTIVE",
        generations=Generations(
            sys.intern(deployment_gen),
            sys.intern(app_gen or ""),
            sys.intern(solution_gen or ""),
            share_gen or "",
            grant_gen or "",
        ),
        changed_at_s=max(deployment_s, app_s or 0, solution_s or 0, share_s or 0, grant_s or 0),
    )
