"""The published operations of a solution's life, run against the service by schemathesis with real ids."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.generated_calls import schemathesis
from deployment import ACT, DemoDeployment
from multipartner.domain.lifecycle import Move
from multipartner.domain.model import AppId, SolutionId, WabaId
from multipartner.partnering.migrations import Wish, set_intent
from multipartner.partnering.solutions import Proposal, create_solution, move_solution
from published import needs_contract, published, subset
from serving import OWNER_APP, OWNER_USER, PARTNER_APP, PARTNER_USER, SOLUTION, Served, serving

EXCEPTIONS = {
    "positive_data_acceptance": "a well-formed call may be refused: another app's id, a side or a status without such a move",
}
"""Checks that are left out, and why."""

QUILLMARKS = "19510788341329023"
WABA = WabaId("8638464517926266")
"""The partner's app is a side of the one solution and of the other; this is shared with the one."""

INVITE = {
    "owner_permissions": ["MESSAGING"],
    "partner_app_id": PARTNER_APP,
    "partner_permissions": [],
    "solution_name": "Orders and replies",
}
REJECT = {"request_type": "PARTNERSHIP_REQUEST", "partner_app_id": PARTNER_APP, "rejection_reason": "no"}
MIGRATE = {"solution_id": SOLUTION, "migration_intent": "INITIATE_MIGRATION", "target_solution_id": QUILLMARKS}
ACCEPTED = ((PARTNER_APP, Move.ACCEPT),)
ASKED = (*ACCEPTED, (OWNER_APP, Move.REQUEST_DEACTIVATION))
MANY: dict[str, Any] = {"calls_per_hour": 1_000_000, "calls_per_business_per_hour": 1_000_000, "failures_per_hour": 1_000_000}

CASES: dict[str, tuple[str, tuple[tuple[str, Move], ...], Any]] = {
    "createWhatsAppBusinessSolution": (OWNER_USER, (), INVITE),
    "getSolutionDetails": (OWNER_USER, ACCEPTED, None),
    "acceptWhatsAppBusinessSolution": (PARTNER_USER, (), {"partner_app_id": PARTNER_APP}),
    "rejectSolutionRequest": (PARTNER_USER, (), REJECT),
    "sendSolutionDeactivationRequest": (OWNER_USER, ACCEPTED, {"reason": "moving on"}),
    "acceptWhatsAppBusinessSolutionDeactivationRequest": (PARTNER_USER, ASKED, {}),
    "rejectSolutionDeactivationRequest": (PARTNER_USER, ASKED, {"reject_deactivation_request": True}),
    "setSolutionMigrationIntent": (PARTNER_USER, (), MIGRATE),
    "getMigrationIntentDetails": (PARTNER_USER, (), None),
}
"""Who calls, what happened to the solution before, and a body that is answered 200."""


@pytest.fixture(scope="module")
def served(demo_template: DemoDeployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DemoDeployment, Served]]:
    """A service for all of them: thousands of generated calls."""
    directory = tmp_path_factory.mktemp("solutions") / "demo"
    shutil.copytree(demo_template.directory, directory)
    deployment = DemoDeployment(directory, world=demo_template.world, secrets=demo_template.secrets)
    with serving(deployment, **MANY) as up:
        yield deployment, up


@pytest.mark.contract
@pytest.mark.timeout(180)
@pytest.mark.parametrize("operation_id", CASES)
@needs_contract
def test_operations_on_solutions_keep_the_published_contract(
    served: tuple[DemoDeployment, Served], operation_id: str, tmp_path: Path
) -> None:
    """Generated calls, good and bad, meet documented statuses and bodies alone, and the example meets a 200."""
    deployment, up = served
    user, moves, body = CASES[operation_id]
    app = OWNER_APP if user == OWNER_USER else PARTNER_APP
    examples = {
        "Version": "v23.0",
        "Solution-ID": _solution(deployment, moves),
        "Application-ID": OWNER_APP,
        "fields": "id,status" if operation_id == "getMigrationIntentDetails" else "id,name,status,status_for_pending_request",
        "WABA-ID": WABA,
        "Migration-Intent-ID": _intent(deployment) if operation_id == "getMigrationIntentDetails" else "",
    }
    options = ["--max-examples=25", *(f"--exclude-checks={name}" for name in EXCEPTIONS)]
    contract = subset(published(), examples, operation_id, body)
    run, statuses = schemathesis(up.url, deployment.caller_token(user, app), contract, tmp_path, *options)

    assert run.returncode == 0, run.stdout[-4000:]
    assert statuses >= {200, 400, 405}
    assert {status for status in statuses if status >= 500} == set()


def _solution(deployment: DemoDeployment, moves: tuple[tuple[str, Move], ...]) -> str:
    proposal = Proposal(AppId(PARTNER_APP), "Orders and replies", owner_messaging=True, partner_messaging=False)
    made = deployment.operate(lambda o: create_solution(o.store, ACT, AppId(OWNER_APP), proposal))
    for app, move in moves:
        _move(deployment, AppId(app), made.id, move)
    return str(made.id)


def _intent(deployment: DemoDeployment) -> str:
    wish = Wish(WABA, SolutionId(QUILLMARKS))
    return deployment.operate(lambda o: set_intent(o.store, ACT, AppId(PARTNER_APP), wish)).id


def _move(deployment: DemoDeployment, app_id: AppId, solution_id: SolutionId, move: Move) -> None:
    deployment.operate(lambda o: move_solution(o.store, ACT, app_id, solution_id, move))
