"""Of two reasons to refuse, the earlier one of the design's list is told: every pair."""

import asyncio
import itertools
from collections.abc import Callable

import msgspec
import pytest

from fakes import CUSTOMER, PARTNER, SIBLING, SOLUTION, STRANGER, InProcess, Reply, populated_store
from issuing.shared import MemoryCounts
from multipartner.domain.model import ALL_PERMISSIONS, AppId, BusinessId, Permission, Permissions, SolutionStatus, Tenant
from multipartner.domain.reasons import RULES, Reason
from multipartner.issuing.shared_limits import SharedLimiter
from multipartner.wire.refusals import ROWS


class Case(msgspec.Struct):
    """A request that gets a token, until conditions spoil it."""

    path: str = "access_token"
    version: str = "v23.0"
    solution_id: str = SOLUTION
    business_id: str = CUSTOMER
    app_id: str = PARTNER
    permissions: Permissions = ALL_PERMISSIONS
    consent: Permissions = ALL_PERMISSIONS
    revoked: bool = False
    proof: str = ""
    calls_per_hour: int = 1000
    address_limited: bool = False
    limits_away: bool = False
    suspended: bool = False
    status: SolutionStatus = SolutionStatus.ACTIVE
    withdrawn: bool = False
    grant_revoked: bool = False


def _set(**fields: object) -> Callable[[Case], Case]:
    return lambda case: msgspec.structs.replace(case, **fields)


CONDITIONS: dict[Reason, Callable[[Case], Case]] = {
    Reason.UNKNOWN_PATH: _set(path="access_tokens"),
    Reason.UNKNOWN_VERSION: _set(version="v99.0"),
    Reason.MALFORMED_BUSINESS_ID: lambda case: msgspec.structs.replace(case, business_id=case.business_id + "x"),
    Reason.ADDRESS_LIMITED: _set(address_limited=True),
    Reason.CALLER_REVOKED: _set(revoked=True),
    Reason.PROOF_INVALID: _set(proof="00"),
    Reason.APP_LIMITED: _set(calls_per_hour=1),
    Reason.LIMITS_UNAVAILABLE: _set(limits_away=True),
    Reason.SOLUTION_UNKNOWN: _set(solution_id="600000000000009"),
    Reason.APP_NOT_PARTY: _set(app_id=STRANGER),
    Reason.APP_SUSPENDED: _set(suspended=True),
    Reason.PERMISSION_MISSING: _set(permissions=frozenset({Permission.MESSAGING})),
    Reason.BUSINESS_NOT_CONNECTED: lambda case: msgspec.structs.replace(
        case, business_id=SIBLING + case.business_id[len(CUSTOMER) :]
    ),
    Reason.SOLUTION_INACTIVE: _set(status=SolutionStatus.DEACTIVATED),
    Reason.NOTHING_SHARED: _set(withdrawn=True),
    Reason.GRANT_REVOKED: _set(grant_revoked=True),
    Reason.NOTHING_PERMITTED: _set(consent=frozenset({Permission.MESSAGING})),
}

PAIRS = [(a, b) for a, b in itertools.product(CONDITIONS, CONDITIONS) if list(Reason).index(a) <= list(Reason).index(b)]


async def _ask(case: Case) -> tuple[InProcess, Reply]:
    store = populated_store()
    app_id = AppId(case.app_id)
    store.share(SOLUTION, CUSTOMER, permissions=case.consent)
    store.connect(STRANGER, CUSTOMER)
    token = store.add_credential(app_id, case.permissions, calls_per_hour=case.calls_per_hour)
    limiter = SharedLimiter(MemoryCounts({}, [0.0]), 1, refuse_when_away=True) if case.limits_away else None
    service = InProcess(store, failures_per_hour=1, limiter=limiter)
    if case.calls_per_hour == 1:
        assert (await service.token(token, BusinessId("799"))).status != 429
        assert (await service.token(token, BusinessId("799"))).status == 429
    if limiter is not None:
        limiter.link.lost()
    if case.revoked:
        store.revoke_credential(token, service.now.wall_s)
    if case.suspended:
        store.suspend(app_id, suspended=True)
    if case.status is not SolutionStatus.ACTIVE:
        store.set_status(SOLUTION, case.status)
    if case.withdrawn:
        store.withdraw(SOLUTION, CUSTOMER)
    if case.grant_revoked:
        store.set_grant(Tenant(PARTNER, SOLUTION, CUSTOMER), active=False)
    if case.address_limited:
        assert (await service.token("nonsense")).status == 401
    more = f"&appsecret_proof={case.proof}" if case.proof else ""
    path = f"/{case.version}/{case.solution_id}/{case.path}"
    reply = await service.request(path, f"business_id={case.business_id}{more}", {"Authorization": f"Bearer {token}"})
    return service, reply


def test_the_unspoiled_case_gets_a_token() -> None:
    """A well-formed request of an entitled caller is answered with a token."""
    _, reply = asyncio.run(_ask(Case()))

    assert reply.status == 200


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda reason: reason.value)
def test_the_earlier_reason_is_told(first: Reason, second: Reason) -> None:
    """When two reasons hold, the caller reads the one that comes first in the precedence, and nothing of the other."""
    case = CONDITIONS[second](CONDITIONS[first](Case()))

    service, reply = asyncio.run(_ask(case))

    row = ROWS[first]
    assert (reply.status, reply.json["error"]["code"]) == (row.status, row.code)
    assert reply.json["error"]["message"] == row.message
    assert service.seen[-1].reason is first


def test_every_reason_has_a_rule_and_a_row() -> None:
    """No reason can be told without a row for the caller and a rule for the operator."""
    assert set(ROWS) == set(Reason) == set(RULES)
