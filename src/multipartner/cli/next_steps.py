"""What an operator can do about each refusal, for `explain`."""

from collections.abc import Mapping
from typing import Final

_SHAPE = "The caller's request is at fault: show the caller this rule."
_RETRY = "A retry later may work; look at `multipartner doctor` and at the log under this trace id."

NEXT_STEPS: Final[Mapping[str, str]] = {
    "unknown_path": _SHAPE,
    "url_too_long": _SHAPE,
    "method_not_allowed": _SHAPE,
    "unknown_version": "Have the caller ask for a version that is served, or add its own to the setting `versions`.",
    "malformed_framing": "A proxy or a hand-made client sent doubtful framing: show its operator this rule.",
    "malformed_version": _SHAPE,
    "malformed_solution_id": _SHAPE,
    "malformed_query": _SHAPE,
    "repeated_parameter": _SHAPE,
    "missing_business_id": _SHAPE,
    "malformed_business_id": _SHAPE,
    "two_credentials": _SHAPE,
    "body_on_get": _SHAPE,
    "address_limited": "Somebody at this address sends wrong tokens. If it is your own proxy, name it in trusted_proxies.",
    "caller_missing": "The caller must send its token: Authorization: Bearer <token>.",
    "caller_in_query": "Have the caller send the token in the Authorization header.",
    "caller_malformed": "The caller sends something else, or a token that was cut on its way: compare prefix and length.",
    "caller_unknown": "The token is another deployment's, or was never made: make one with `credential create`.",
    "caller_revoked": "If it was not meant to end, make a new one with `credential create`; a revoked one stays revoked.",
    "caller_expired": "Make the caller a new one with `credential create`.",
    "proof_missing": "Have the caller send appsecret_proof, or declare the app with require_appsecret_proof: false.",
    "proof_invalid": "The caller uses another app's secret, or computed the proof over another token.",
    "app_limited": "A caller should keep its tokens and not ask for each message. Or declare more calls_per_hour.",
    "app_business_limited": "A caller should keep its tokens. Or declare more calls_per_business_per_hour.",
    "solution_unknown": "Have the caller compare the solution's id with `multipartner world export`.",
    "app_not_party": "A solution's two apps alone have tokens for it: look for app {app_id} in `multipartner world export`.",
    "app_suspended": "If it should not be: multipartner app resume {app_id}",
    "permission_missing": "Make the caller a new token with `credential create`: it carries that permission.",
    "business_not_connected": "The business must first share with one of the app's solutions.",
    "solution_inactive": "If it should be, declare solution {solution_id} ACTIVE in the world file.",
    "nothing_shared": "When the customer shares a WABA with solution {solution_id} again, declare it in the world file.",
    "grant_revoked": "To undo: multipartner grant restore --business {business_id} --solution {solution_id} --app {app_id}",
    "nothing_permitted": "Compare the three sets in the fact: caller token, solution or share must allow more.",
    "facts_unavailable": _RETRY,
    "limits_unavailable": "Bring back the server of limits_url, or let workers count alone meanwhile: limits_when_away=count.",
    "trail_unavailable": "Nothing is issued while the trail cannot be written: has its disk room, can its file be written?",
    "no_signing_key": "See `multipartner keys list`; if no key signs: multipartner keys rotate --now",
    "unexpected": "Look for this trace id in the log, and report what it says there.",
}
"""What an operator can do, by the reason's value; ids of the request are filled in."""
