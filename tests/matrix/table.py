"""One table: every way into the service, and what each kind of credential gets there. A new route needs its row.

A row is a method, a path (below the version, unless it begins with a slash), and one word for each of CREDENTIALS. Names in
braces are those of `credentials.World`; a name whose state a call would change stands for a new thing at each call.
"""

from typing import Any, Final

import msgspec

from multipartner.domain.reasons import Reason
from solutions.companies import PROPOSAL

CREDENTIALS: Final = ("owner", "partner", "stranger", "granular_a", "granular_b", "app", "none", "revoked")
"""Callers of the solution's two apps and of an app that is no party; the owner's granular tokens for customers A and B; the
owner's app token; nothing at all; and a caller token of the owner that was revoked.
"""

WORDS: Final = {
    "gone": Reason.NODE_UNKNOWN,
    "party": Reason.APP_NOT_PARTY,
    "kind": Reason.CREDENTIAL_NOT_ENOUGH,
    "other": Reason.APP_NOT_CALLERS,
    "side": Reason.NOT_THIS_SIDES,
    "form": Reason.CALLER_MALFORMED,
    "miss": Reason.CALLER_MISSING,
    "dead": Reason.CALLER_REVOKED,
    "far": Reason.BUSINESS_NOT_CONNECTED,
    "none": Reason.NOTHING_SHARED,
    "whole": Reason.GRANT_INDIVISIBLE,
}
"""What a word in the table stands for besides `ok` (200), `basic` (401: another scheme is asked for) and `bad` (400)."""


class Row(msgspec.Struct, frozen=True):
    """One way in, and what becomes of each credential there; `body` is sent as JSON, `form` as a form."""

    method: str
    path: str
    words: str
    body: Any = None
    form: bytes | None = None

    @property
    def expected(self) -> dict[str, str]:
        """The word for each credential."""
        return dict(zip(CREDENTIALS, self.words.split(), strict=True))


MOVE: Final = {"solution_id": "19510788341329023"}
"""To the solution whose partner is this solution's partner too."""

# Columns:                                          owner partner stranger granular_a granular_b app none revoked
ROWS: Final = (
    # The token itself.
    Row("GET", "{solution}/access_token?business_id={a}", "ok    ok      party    form       form       form miss dead"),
    Row("GET", "{solution}/access_token?business_id={lumen}", "far none   party    form       form       form miss dead"),
    # Single things. A solution's existence is public, so a stranger is told that it is no party; everything else is not there.
    Row("GET", "{solution}", "                                   ok    ok      party    ok         ok         ok   miss dead"),
    Row("GET", "{others_solution}", "                            party ok      ok       gone       gone       party miss dead"),
    Row("GET", "{ended_solution}", "                             ok    party   ok       gone       gone       ok   miss dead"),
    Row("GET", "{owner_app}", "                                  ok    gone    gone     gone       gone       ok   miss dead"),
    Row("GET", "{partner_app}", "                                gone  ok      gone     gone       gone       gone miss dead"),
    Row("GET", "{owner_user}", "                                 ok    gone    gone     gone       gone       gone miss dead"),
    Row("GET", "{owner_business}", "                             ok    gone    gone     gone       gone       gone miss dead"),
    Row("GET", "{a}", "                                          ok    ok      ok       ok         gone       gone miss dead"),
    Row("GET", "{b}", "                                          ok    ok      gone     gone       ok         gone miss dead"),
    Row("GET", "{lumen}", "                                      gone  ok      ok       gone       gone       gone miss dead"),
    Row("GET", "{waba_a}", "                                     ok    ok      gone     ok         gone       gone miss dead"),
    Row("GET", "{waba_b}", "                                     ok    ok      gone     gone       ok         gone miss dead"),
    Row("GET", "{waba_b_unshared}", "                            gone  gone    gone     gone       gone       gone miss dead"),
    Row("GET", "{waba_withdrawn}", "                             gone  gone    gone     gone       gone       gone miss dead"),
    Row("GET", "{waba_of_revoked_grant}", "                      gone  ok      gone     gone       gone       gone miss dead"),
    Row("GET", "{waba_lumen}", "                                 gone  ok      ok       gone       gone       gone miss dead"),
    Row("GET", "{number_a}", "                                   ok    ok      gone     ok         gone       gone miss dead"),
    Row("GET", "{number_b}", "                                   ok    ok      gone     gone       ok         gone miss dead"),
    Row("GET", "{number_withdrawn}", "                           gone  gone    gone     gone       gone       gone miss dead"),
    Row("GET", "{nobody}", "                                     gone  gone    gone     gone       gone       gone miss dead"),
    Row("GET", "me", "                                           ok    ok      ok       ok         ok         kind miss dead"),
    Row("GET", "/me", "                                          ok    ok      ok       ok         ok         kind miss dead"),
    # Lists.
    Row("GET", "{solution}/partners", "                          ok    ok      party    ok         ok         ok   miss dead"),
    Row("GET", "{nobody}/partners", "                            gone  gone    gone     gone       gone       gone miss dead"),
    Row("GET", "{owner_app}/whatsapp_business_solutions", "      ok    gone    gone     gone       gone       ok   miss dead"),
    Row("GET", "{owner_app}/connected_client_businesses", "      ok    gone    gone     gone       gone       kind miss dead"),
    Row("GET", "{owner_business}/connected_client_businesses", " ok    gone    gone     gone       gone       gone miss dead"),
    Row("GET", "{owner_business}/client_whatsapp_business_accounts", "ok gone gone     gone       gone       gone miss dead"),
    Row("GET", "{a}/client_whatsapp_business_accounts", "        ok    ok      ok       ok         gone       gone miss dead"),
    Row("GET", "{owner_business}/owned_whatsapp_business_accounts", "ok gone gone      gone       gone       gone miss dead"),
    Row("GET", "{a}/owned_whatsapp_business_accounts", "         ok    ok      ok       ok         gone       gone miss dead"),
    Row("GET", "{lumen}/owned_whatsapp_business_accounts", "     gone  ok      ok       gone       gone       gone miss dead"),
    Row("GET", "{waba_a}/phone_numbers", "                       ok    ok      gone     ok         gone       gone miss dead"),
    Row("GET", "{waba_b_unshared}/phone_numbers", "              gone  gone    gone     gone       gone       gone miss dead"),
    Row("GET", "{waba_a}/solutions", "                           ok    ok      gone     ok         gone       gone miss dead"),
    Row("GET", "{waba_withdrawn}/solutions", "                   gone  gone    gone     gone       gone       gone miss dead"),
    # A solution's life: changes are for callers, and each side's own.
    Row(
        "POST",
        "{owner_app}/whatsapp_business_solution",
        "                                                        ok    other   other    kind       kind       kind miss dead",
        body=PROPOSAL,
    ),
    Row("POST", "{invited}/accept", "                            side  ok      party    kind       kind       kind miss dead"),
    Row("POST", "{invited}/reject", "                            ok    ok      party    kind       kind       kind miss dead"),
    Row("POST", "{accepted}/send_deactivation_request", "        ok    side    party    kind       kind       kind miss dead"),
    Row("POST", "{asked}/accept_deactivation_request", "         side  ok      party    kind       kind       kind miss dead"),
    Row("POST", "{asked}/reject_deactivation_request", "         ok    ok      party    kind       kind       kind miss dead"),
    # A customer's WABA moves to another solution: asked for by an app of both, read by the app that asked.
    Row(
        "POST",
        "{waba_a}/set_solution_migration_intent",
        "                                                        party ok      gone     kind       kind       kind miss dead",
        body=MOVE,
    ),
    Row("GET", "{intent}", "                                     gone  ok      gone     gone       gone       gone miss dead"),
    # Inspecting and ending what one holds; what a call ends is given anew for the next one.
    Row("GET", "debug_token?input_token=x", "                    ok    ok      ok       kind       kind       ok   miss dead"),
    Row("GET", "/debug_token?input_token=x", "                   ok    ok      ok       kind       kind       ok   miss dead"),
    Row("GET", "oauth/access_token", "                           bad   bad     bad      bad        bad        bad  bad  bad"),
    Row("GET", "/oauth/access_token", "                          bad   bad     bad      bad        bad        bad  bad  bad"),
    Row("DELETE", "{nobody}/permissions", "                      gone  gone    gone     gone       gone       kind miss dead"),
    Row("DELETE", "me/permissions", "                            ok    ok      ok       ok         ok         kind miss dead"),
    Row("DELETE", "{owner_user}/permissions", "                  ok    gone    gone     gone       gone       kind miss dead"),
    Row(
        "DELETE",
        "me/permissions/whatsapp_business_messaging",
        "                                                        ok    ok      ok       whole      whole      kind miss dead",
    ),
    # For everybody, for resource servers, and for apps with their secret.
    Row("GET", "/.well-known/jwks.json", "                       ok    ok      ok       ok         ok         ok   ok   ok"),
    Row("GET", "/.well-known/oauth-authorization-server", "      ok    ok      ok       ok         ok         ok   ok   ok"),
    Row("GET", "/docs", "                                        ok    ok      ok       ok         ok         ok   ok   ok"),
    Row("HEAD", "/docs", "                                       ok    ok      ok       ok         ok         ok   ok   ok"),
    Row("GET", "/openapi.json", "                                ok    ok      ok       ok         ok         ok   ok   ok"),
    Row("HEAD", "/openapi.json", "                               ok    ok      ok       ok         ok         ok   ok   ok"),
    Row("GET", "{style}", "                                      ok    ok      ok       ok         ok         ok   ok   ok"),
    Row("HEAD", "{style}", "                                     ok    ok      ok       ok         ok         ok   ok   ok"),
    Row("GET", "{script}", "                                     ok    ok      ok       ok         ok         ok   ok   ok"),
    Row("HEAD", "{script}", "                                    ok    ok      ok       ok         ok         ok   ok   ok"),
    Row("GET", "{icon}", "                                       ok    ok      ok       ok         ok         ok   ok   ok"),
    Row("HEAD", "{icon}", "                                      ok    ok      ok       ok         ok         ok   ok   ok"),
    Row(
        "POST",
        "/oauth/introspect",
        "                                                        basic basic   basic    basic      basic      basic basic basic",
        form=b"token=x",
    ),
    Row(
        "POST",
        "/oauth/revoke",
        "                                                        basic basic   basic    basic      basic      basic basic basic",
        form=b"token=x",
    ),
)

OPERATORS: Final = ("/metrics", "/healthz", "/readyz")
"""The operators' listener is on loopback and asks nobody for a credential, nor tells one from another."""
