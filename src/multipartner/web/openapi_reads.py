"""The operations that read, in the OpenAPI document: one table, from which the page at `/docs` is made as well."""

from collections.abc import Mapping
from typing import Final

from multipartner.domain.graph import Role
from multipartner.domain.reasons import Reason
from multipartner.web.openapi_described import Described
from multipartner.web.openapi_schemas import ID, TEXT, WHOLE, Json, object_of
from multipartner.web.openapi_solutions import solution_schemas
from multipartner.wire.fields import Kind
from multipartner.wire.nodes import BUSINESS, CUSTOMER, PHONE_NUMBER, WABA
from multipartner.wire.pages import DEFAULT_LIMIT, MOST_LIMIT, SORTS
from multipartner.wire.solutions import APP, SOLUTION


def _query(name: str, told: str, schema: Json = TEXT) -> Json:
    return {"name": name, "in": "query", "required": False, "description": told, "schema": schema}


_COUNT: Final = {**WHOLE, "minimum": 1, "maximum": MOST_LIMIT}
_SEEN: Final = (Reason.BODY_ON_GET, Reason.INVALID_PARAMETER, Reason.NODE_UNKNOWN, Reason.FIELDS_UNAVAILABLE)
_EDGE: Final = (*_SEEN, Reason.MALFORMED_VERSION)

_CURSORS: Final = (
    _query("limit", "How many at most.", {**_COUNT, "default": DEFAULT_LIMIT}),
    _query("after", "A page's `paging.cursors.after`: what comes after it."),
    _query("before", "A page's `paging.cursors.before`: what came before it."),
)
_FIND: Final = (_query("find", "At most the account with this id.", ID),)
_BUSINESS_TYPE: Final = _query("business_type", "Not to be had: no such thing is known.", {"type": "array", "items": TEXT})


def _fields(kind: Kind) -> Json:
    told = ", ".join(f"`{name}`" for name in kind.fields)
    return _query("fields", f"Of {told}, with commas between, those inside a node in braces. Absent: {', '.join(kind.default)}.")


READS: Final = (
    Described(
        "getMe",
        "get",
        "/me",
        "See whom a token speaks for",
        "A caller token: its system user. A granular token: its customer, as `client_business_id`. No app token. "
        "Also served without a version.",
        "Me",
        (*_SEEN, Reason.CREDENTIAL_NOT_ENOUGH),
        node="",
        query=(_query("fields", "Of a caller token `id`, `name`; of a granular one `id`, `client_business_id`. Absent: both."),),
    ),
    Described(
        "getApplication",
        "get",
        "",
        "Read an app",
        "The app's own callers, and its app token.",
        "Application",
        _SEEN,
        node="Application-ID",
        query=(_fields(APP),),
    ),
    Described(
        "getBusinessPortfolioSpecificFields",
        "get",
        "",
        "Read a business",
        "A caller token: the app's own business, and those connected to the app. A granular token: its customer.",
        "Business",
        _SEEN,
        node="Business-ID",
        query=(_fields(BUSINESS),),
    ),
    Described(
        "getSolutionDetails",
        "get",
        "",
        "Read a solution",
        "Both of its apps, with a caller token or their app token; a granular token reads the solution it is for.",
        "Solution",
        (*_SEEN, Reason.APP_NOT_PARTY),
        query=(_fields(SOLUTION),),
    ),
    Described(
        "getWhatsAppBusinessAccountDetails",
        "get",
        "",
        "Read a WhatsApp Business Account",
        "A caller token: the own business's, and what customers share with a solution in use. A granular token: its grant's.",
        "WhatsAppBusinessAccount",
        _SEEN,
        node="WABA-ID",
        query=(_fields(WABA),),
    ),
    Described(
        "getPhoneNumber",
        "get",
        "",
        "Read a phone number",
        "Whoever reads its account.",
        "PhoneNumber",
        _SEEN,
        node="Phone-Number-ID",
        query=(_fields(PHONE_NUMBER),),
    ),
    Described(
        "getSolutionPartners",
        "get",
        "partners",
        "See whom a solution waits for",
        "As for the solution itself. A guide's call; the published document leaves it out.",
        "SolutionPartners",
        (Reason.MALFORMED_VERSION, Reason.BODY_ON_GET, Reason.NODE_UNKNOWN, Reason.APP_NOT_PARTY),
    ),
    Described(
        "getApplicationWhatsAppBusinessSolutions",
        "get",
        "whatsapp_business_solutions",
        "List an app's solutions",
        "The app's own callers, and its app token.",
        "Solutions",
        _EDGE,
        node="Application-ID",
        query=(
            _query("role", "Only those in which the app has this role.", {**TEXT, "enum": [role.value for role in Role]}),
            _fields(SOLUTION),
            *_CURSORS,
        ),
    ),
    Described(
        "getConnectedClientBusinesses",
        "get",
        "connected_client_businesses",
        "List the customers of an app",
        "The app's own callers: businesses that ever shared with one of its solutions. Also under the id of the app's business.",
        "Customers",
        (*_EDGE, Reason.CREDENTIAL_NOT_ENOUGH),
        node="Application-ID",
        query=(_fields(CUSTOMER), *_CURSORS),
    ),
    Described(
        "getClientWhatsAppBusinessAccounts",
        "get",
        "client_whatsapp_business_accounts",
        "List the accounts that customers share",
        "Callers of an app of this business: what is shared with that app's solutions in use.",
        "WhatsAppBusinessAccounts",
        (*_EDGE, Reason.FILTER_UNAVAILABLE),
        node="Business-ID",
        query=(
            _query("filtering", 'A JSON list; `{"field":"partners","operator":"ALL","value":[…]}` names apps or businesses.'),
            _fields(WABA),
            _BUSINESS_TYPE,
            *_CURSORS,
            *_FIND,
        ),
    ),
    Described(
        "getOwnedWhatsAppBusinessAccounts",
        "get",
        "owned_whatsapp_business_accounts",
        "List the accounts of a business",
        "Whoever reads the business: of the own one all accounts, of a customer's those that are shared.",
        "WhatsAppBusinessAccounts",
        (*_EDGE, Reason.FILTER_UNAVAILABLE),
        node="Business-ID",
        query=(
            _fields(WABA),
            _BUSINESS_TYPE,
            *_CURSORS,
            _query("first", "As `limit`, with `after`.", _COUNT),
            _query("last", "As `limit`, with `before`.", _COUNT),
            *_FIND,
        ),
    ),
    Described(
        "getWhatsAppBusinessAccountPhoneNumbers",
        "get",
        "phone_numbers",
        "List the phone numbers of an account",
        "Whoever reads the account.",
        "PhoneNumbers",
        (*_EDGE, Reason.FILTER_UNAVAILABLE),
        node="WABA-ID",
        query=(
            _fields(PHONE_NUMBER),
            _query("filtering", "Not to be had: no such thing is known."),
            _query("sort", "Not to be had: no such thing is known.", {**TEXT, "enum": list(SORTS)}),
            *_CURSORS,
        ),
    ),
    Described(
        "listWabaSolutions",
        "get",
        "solutions",
        "List the solutions of an account",
        "Whoever reads the account: those of the caller's app with which it is shared now; a granular token its own.",
        "Solutions",
        _EDGE,
        node="WABA-ID",
        query=(_fields(SOLUTION), *_CURSORS),
    ),
)
"""All of them: single nodes first, then lists."""


def read_schemas() -> Mapping[str, Json]:
    """The answers' schemas."""
    named = {"id": ID, "name": TEXT}
    business = object_of(named, ["id"])
    waba = object_of({**named, "on_behalf_of_business_info": business}, ["id"])
    number = object_of({"id": ID, "display_phone_number": TEXT, "status": {**TEXT, "enum": ["LINKED"]}}, ["id"])
    me = object_of({"id": TEXT, "name": TEXT, "client_business_id": ID}, ["id"])
    customer = object_of({**named, "created_time": {**TEXT, "format": "date-time"}}, ["id"])
    return {
        "Me": me,
        "Application": object_of(named, ["id"]),
        "Business": business,
        "WhatsAppBusinessAccount": waba,
        "PhoneNumber": number,
        "Solutions": _page_of(solution_schemas()["Solution"]),
        "Customers": _page_of(customer),
        "WhatsAppBusinessAccounts": _page_of(waba),
        "PhoneNumbers": _page_of(number),
    }


def _page_of(item: Json) -> Json:
    cursors = object_of({"before": TEXT, "after": TEXT}, [])
    paging = object_of({"cursors": cursors, "previous": TEXT, "next": TEXT}, [])
    return object_of({"data": {"type": "array", "items": item}, "paging": paging}, ["data"])
