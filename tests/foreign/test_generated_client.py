"""A client that openapi-generator makes from the published contract, unmodified, leads a solution through its life."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clients.foreign_code import foreign_warnings
from deployment import ACT, DemoDeployment
from multipartner.domain.model import BusinessId, Permission, SolutionId, WabaId
from multipartner.domain.world import Share
from multipartner.partnering.applying import apply_world, export_world
from published import needs_contract
from serving import OWNER_APP, OWNER_USER, PARTNER_APP, PARTNER_USER, SHARING, Served, serving

__all__ = ["foreign_warnings"]

GENERATOR = Path(sys.executable).with_name("openapi-generator-cli")
PACKAGE = "generated_from_the_contract"
VERSION = "v23.0"

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.contract,
    pytest.mark.timeout(240),
    needs_contract,
    pytest.mark.skipif(not GENERATOR.exists() or shutil.which("java") is None, reason="`make foreign` installs it, and Java"),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The package that the generator writes, imported."""
    folder = tmp_path_factory.mktemp("generated")
    contract = Path(os.environ["MULTIPARTNER_CONTRACT"]) / "multi-partner-solutions.yaml"
    options = ["--input-spec", str(contract), "--generator-name", "python", "--package-name", PACKAGE, "--output", str(folder)]
    made = subprocess.run([GENERATOR, "generate", *options], capture_output=True, text=True, timeout=200, check=False)
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(PACKAGE)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]


@dataclass(frozen=True)
class Company:
    """One company's use of the client: every operation takes version, credential and address from here."""

    package: Any
    api: Any
    token: str = field(repr=False)

    def call(self, operation: str, solution_id: str = "", **more: Any) -> Any:
        """Call an operation by its name in the client; returns its typed answer, or raises its typed error."""
        method: Callable[..., Any] = getattr(self.api, operation)
        named = {"solution_id": solution_id} if solution_id else {}
        return method(authorization=f"Bearer {self.token}", version=VERSION, **named, **more)

    def refused(self, expected: str, operation: str, solution_id: str = "", **more: Any) -> Any:
        """Call what is refused; returns the error of the answer as the client typed it."""
        with pytest.raises(getattr(self.package.exceptions, expected)) as caught:
            self.call(operation, solution_id, **more)
        assert type(caught.value.data) is self.package.GraphAPIError
        return caught.value.data.error


@dataclass(frozen=True)
class Place:
    """A running service, the two companies that call it, and its operator's hands."""

    demo: DemoDeployment
    served: Served
    owner: Company
    partner: Company

    def consent(self, solution_id: str) -> None:
        """Record what the contract has no call for: that the customer shares its first WABA with the solution."""

        async def shared(operator: Any) -> None:
            world = await export_world(operator.store)
            waba = next(b for b in world.businesses if b.id == SHARING).wabas[0]
            share = Share(BusinessId(SHARING), SolutionId(solution_id), (WabaId(waba.id),), tuple(Permission))
            await apply_world(operator.store, operator.master, ACT, msgspec.structs.replace(world, shares=(*world.shares, share)))

        self.demo.operate(shared)


@pytest.fixture
def place(package: Any, demo: DemoDeployment) -> Iterator[Place]:
    with ExitStack() as stack:
        served = stack.enter_context(serving(demo))

        def company(user: str, app: str) -> Company:
            # No proxy of the environment: the service is on this machine.
            settings = package.Configuration(host=served.url, no_proxy="*")
            client = stack.enter_context(package.ApiClient(settings))
            stack.callback(client.rest_client.pool_manager.clear)
            return Company(package, package.MultiPartnerSolutionsApi(client), demo.caller_token(user, app))

        yield Place(demo, served, company(OWNER_USER, OWNER_APP), company(PARTNER_USER, PARTNER_APP))


CREATE = "create_whats_app_business_solution"


def _invitation(package: Any, partner_app: str = PARTNER_APP) -> dict[str, Any]:
    """What `CREATE` is called with."""
    made = package.WhatsAppBusinessSolutionCreateRequest(
        owner_permissions=["MESSAGING"], partner_app_id=partner_app, partner_permissions=[], solution_name="Orders and replies"
    )
    return {"application_id": OWNER_APP, "whats_app_business_solution_create_request": made}


def _invited(place: Place) -> str:
    return str(place.owner.call(CREATE, **_invitation(place.owner.package)).solution_id)


def _accepted(place: Place, solution_id: str) -> Any:
    accept = place.partner.package.WhatsAppBusinessSolutionAcceptRequest(partner_app_id=PARTNER_APP)
    return place.partner.call(
        "accept_whats_app_business_solution", solution_id, whats_app_business_solution_accept_request=accept
    )


def _status(company: Company, solution_id: str) -> tuple[str, str]:
    told = company.call("get_solution_details", solution_id)
    return told.status.value, told.status_for_pending_request.value


def test_a_generated_client_makes_uses_and_ends_a_solution(place: Place) -> None:
    """Create, get, accept, a token for each side, the request to end it, the agreement: over HTTP, in the client's own types."""
    package, owner, partner = place.owner.package, place.owner, place.partner
    made = _invited(place)
    assert _status(partner, made) == ("INITIATED", "PENDING_ACTIVATION")

    assert _accepted(place, made).partner_status == "ACCEPTED"
    assert _status(owner, made) == ("ACTIVE", "NONE")

    place.consent(made)
    tokens = [company.call("get_solution_access_token", made, business_id=SHARING) for company in (owner, partner)]
    assert {type(token) for token in tokens} == {package.WhatsAppBusinessSolutionAccessToken}
    assert len({token.access_token for token in tokens}) == 2

    reason = package.WhatsAppBusinessSolutionDeactivationRequest(reason="moving on")
    sent = owner.call("send_solution_deactivation_request", made, whats_app_business_solution_deactivation_request=reason)
    assert sent.success is True
    assert _status(partner, made) == ("ACTIVE", "PENDING_DEACTIVATION")

    management = package.WhatsAppBusinessSolutionManagementApi(partner.api.api_client)
    ended = Company(package, management, partner.token).call("accept_whats_app_business_solution_deactivation_request", made)
    assert (ended.id, ended.status.value) == (made, "DEACTIVATED")
    assert owner.refused("UnprocessableEntityException", "get_solution_access_token", made, business_id=SHARING).code == 100


def test_a_generated_client_types_each_refusal(place: Place) -> None:
    """400, 401, 403, 404 and 422 arrive as the client's own exceptions, each with the contract's error in its data."""
    made, owner = _invited(place), place.owner
    stranger = Company(owner.package, owner.api, "mpc_nobody")
    ask = "get_solution_access_token"

    assert stranger.refused("UnauthorizedException", ask, made, business_id=SHARING).code == 190
    nobody = _invitation(owner.package, "9" * 15)
    assert owner.refused("BadRequestException", CREATE, **nobody).code == 100
    assert owner.refused("NotFoundException", ask, "9" * 15, business_id=SHARING).code == 803
    assert owner.refused("UnprocessableEntityException", ask, made, business_id=SHARING).code == 100
    accept = owner.package.WhatsAppBusinessSolutionAcceptRequest(partner_app_id=PARTNER_APP)
    told = owner.refused(
        "ForbiddenException",
        "accept_whats_app_business_solution",
        made,
        whats_app_business_solution_accept_request=accept,
    )
    assert (told.type, told.code) == ("OAuthException", 200)
    assert len(told.fbtrace_id) == 23
