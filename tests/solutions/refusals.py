"""How a request to an operation on solutions meets each reason that the token operation does not know."""

from collections.abc import Callable

from multipartner.domain.reasons import Reason
from serving import OWNER_APP, PARTNER_APP, SHARING, SOLUTION, STRANGER_APP
from solutions.companies import PROPOSAL, Companies, Reply

CREATE = f"{OWNER_APP}/whatsapp_business_solution"
INVITE = f"{STRANGER_APP}/whatsapp_business_solution"
NOBODY = "999999999999999"
MOVE = "3736568475388304/set_solution_migration_intent"
OTHER_SOLUTION = "19510788341329023"


def _granular(companies: Companies) -> str:
    given = companies.call("owner", "GET", f"{SOLUTION}/access_token", query=f"business_id={SHARING}")
    return str(given.json["access_token"])


def _another_intent(companies: Companies) -> Reply:
    made = companies.create()
    companies.call("partner", "POST", f"{made}/accept")
    companies.call("partner", "POST", MOVE, {"solution_id": OTHER_SOLUTION})
    return companies.call("partner", "POST", MOVE, {"solution_id": made})


def _too_many(companies: Companies) -> Reply:
    """Asked by an app that invites for nothing else, so that the other requests can follow in the same deployment."""
    for _ in range(100):
        assert companies.call("stranger", "POST", INVITE, PROPOSAL).status == 200
    return companies.call("stranger", "POST", INVITE, PROPOSAL)


REACHED_BY_SOLUTIONS: dict[Reason, tuple[Callable[[Companies], Reply], str]] = {
    Reason.MALFORMED_NODE_ID: (lambda c: c.call("owner", "GET", "mine"), ""),
    Reason.MALFORMED_BODY: (lambda c: c.call("owner", "POST", CREATE, b"{"), ""),
    Reason.MISSING_PARAMETER: (lambda c: c.call("owner", "POST", CREATE, {}), "partner_app_id"),
    Reason.INVALID_PARAMETER: (lambda c: c.call("owner", "POST", CREATE, PROPOSAL | {"solution_name": "x"}), "solution_name"),
    Reason.TOKEN_DEAD: (lambda c: c.call(_granular(c)[:-4] + "AAAA", "GET", SOLUTION), ""),
    Reason.APP_TOKEN_INVALID: (lambda c: c.call(f"{OWNER_APP}|no secret", "GET", SOLUTION), ""),
    Reason.CREDENTIAL_NOT_ENOUGH: (lambda c: c.call(_granular(c), "POST", f"{SOLUTION}/accept"), ""),
    Reason.APP_NOT_CALLERS: (lambda c: c.call("stranger", "POST", CREATE, PROPOSAL), ""),
    Reason.NODE_UNKNOWN: (lambda c: c.call(_granular(c), "GET", NOBODY), ""),
    Reason.GRANT_INDIVISIBLE: (
        lambda c: c.call(_granular(c), "DELETE", "me/permissions/whatsapp_business_messaging"),
        "",
    ),
    Reason.PARTNER_APP_INVALID: (lambda c: c.call("owner", "POST", CREATE, PROPOSAL | {"partner_app_id": NOBODY}), ""),
    Reason.MESSAGING_INVALID: (lambda c: c.call("owner", "POST", CREATE, PROPOSAL | {"owner_permissions": []}), ""),
    Reason.TOO_MANY_INVITATIONS: (_too_many, ""),
    Reason.NOT_THIS_SIDES: (lambda c: c.call("partner", "POST", f"{SOLUTION}/send_deactivation_request"), ""),
    Reason.NO_SUCH_REQUEST: (
        lambda c: c.call(
            "owner", "POST", f"{SOLUTION}/reject", {"request_type": "PARTNERSHIP_REQUEST", "partner_app_id": STRANGER_APP}
        ),
        "",
    ),
    Reason.STATUS_FORBIDS: (lambda c: c.call("partner", "POST", f"{SOLUTION}/accept", {"partner_app_id": PARTNER_APP}), ""),
    Reason.MIGRATION_UNDER_WAY: (_another_intent, ""),
    Reason.MIGRATION_FORBIDS: (lambda c: c.call("partner", "POST", MOVE, {"solution_id": SOLUTION}), ""),
    Reason.FILTER_UNAVAILABLE: (
        lambda c: c.call("owner", "GET", "3736568475388304/phone_numbers", query="sort=creation_time.asc"),
        "",
    ),
    Reason.FIELDS_UNAVAILABLE: (lambda c: c.call("owner", "GET", SOLUTION, query="fields=secret"), ""),
}
"""With the parameter that the answer names, if it names one."""
