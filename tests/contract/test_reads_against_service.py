"""The published operations that read, run against the service by schemathesis with real ids."""

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.generated_calls import schemathesis
from contract.test_solutions_against_service import MANY
from deployment import DemoDeployment
from published import needs_contract, operation_of, published, subset
from serving import OWNER_APP, OWNER_USER, SHARING, SOLUTION, Served, eventually, serving

OWN_BUSINESS, SHARED_WABA = "869452005598175", "3736568475388304"

EXCEPTIONS = {
    "positive_data_acceptance": "a well-formed call may be refused: another's id, a foreign cursor, a field that is not known",
}
"""Checks that are left out, and why."""

CASES: dict[str, dict[str, str | int]] = {
    "getBusinessPortfolioSpecificFields": {"fields": "id,name"},
    "getSolutionDetails": {"fields": "id,name,status,status_for_pending_request,owner_app{id,name}"},
    "getWhatsAppBusinessAccountDetails": {"fields": "id,name,on_behalf_of_business_info"},
    "getApplicationWhatsAppBusinessSolutions": {"role": "OWNER", "limit": 1},
    "getConnectedClientBusinesses": {"fields": "id,name,created_time", "limit": 2},
    "getClientWhatsAppBusinessAccounts": {"fields": "id,name", "limit": 1},
    "getOwnedWhatsAppBusinessAccounts": {"first": 1},
    "getWhatsAppBusinessAccountPhoneNumbers": {"fields": "id,display_phone_number,status", "limit": 1},
    "listWabaSolutions": {"limit": 1},
}
"""Parameters of a call that is answered 200, by operation."""

NODES = ("getBusinessPortfolioSpecificFields", "getWhatsAppBusinessAccountDetails", "getSolutionDetails")
"""Served by one operation. The first is published with a 200 alone: it is held to the second one's refusals."""

BUSINESS_OF = {"getClientWhatsAppBusinessAccounts": OWN_BUSINESS}


@pytest.fixture(scope="module")
def served(demo_template: DemoDeployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Served]]:
    """A service for all of them, and a caller token: thousands of generated calls."""
    directory = tmp_path_factory.mktemp("reads") / "demo"
    shutil.copytree(demo_template.directory, directory)
    deployment = DemoDeployment(directory, world=demo_template.world, secrets=demo_template.secrets)
    with serving(deployment, **MANY) as up:
        yield deployment.caller_token(OWNER_USER, OWNER_APP), up


@pytest.mark.contract
@pytest.mark.timeout(180)
@needs_contract
def test_operations_that_read_keep_the_published_contract(served: tuple[str, Served], tmp_path: Path) -> None:
    """Generated calls, good and bad, meet documented statuses and bodies alone, and every operation meets a 200."""
    token, up = served
    options = ["--max-examples=8", "--workers=2", *(f"--exclude-checks={name}" for name in EXCEPTIONS)]
    run, statuses = schemathesis(up.url, token, _document(), tmp_path, *options)

    assert run.returncode == 0, run.stdout[-4000:]
    assert statuses >= {200, 400, 404, 405, 422}
    assert {status for status in statuses if status >= 500} == set()
    for name in ({*CASES} - set(NODES)) | {"getNode"}:
        counted = f'multipartner_requests_total{{reason="",route="{name}",status="200"}}'
        eventually(functools.partial(up.metric, counted))


def _document() -> dict[str, Any]:
    """All operations in one, so that schemathesis starts once."""
    whole: dict[str, Any] = {}
    for operation_id, parameters in CASES.items():
        examples: dict[str, str | int] = {
            "Version": "v23.0",
            "Solution-ID": SOLUTION,
            "Application-ID": OWNER_APP,
            "Business-ID": BUSINESS_OF.get(operation_id, SHARING),
            "WABA-ID": SHARED_WABA,
            **parameters,
        }
        part = subset(published(), examples, operation_id)
        if operation_id == NODES[0]:
            sibling = subset(published(), examples, NODES[1])
            operation_of(part, NODES[0])[2]["responses"] |= {
                status: told for status, told in operation_of(sibling, NODES[1])[2]["responses"].items() if status != "200"
            }
        whole = {**part, "paths": {**whole.get("paths", {}), **part["paths"]}}
    return whole
