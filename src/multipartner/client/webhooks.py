"""Webhooks that end or revive tokens (facts: graph-wire 5.5): the API does not say otherwise that a token has become invalid.

`account_update` names the customer (`waba_info.owner_business_id`) when a partner is removed or added, `partner_solutions` the
solution and its new status.
"""

import hashlib
import hmac
from typing import Any, Final

import msgspec

from multipartner.client.keys import Secret
from multipartner.client.provider import TokenProvider

_MOST_BYTES: Final = 1024 * 1024
_ENDS: Final = frozenset({"PARTNER_APP_UNINSTALLED", "PARTNER_REMOVED", "ACCOUNT_DELETED", "ACCOUNT_OFFBOARDED"})
_BEGINS: Final = frozenset({"PARTNER_ADDED", "PARTNER_APP_INSTALLED", "ACCOUNT_RECONNECTED"})


class SignatureInvalid(Exception):  # noqa: N818 - a verdict
    """The body is not signed by the app's secret: nothing of it was believed."""


class WebhookMalformed(Exception):  # noqa: N818 - a verdict
    """The body is signed, and is no webhook."""


class Applied(msgspec.Struct, frozen=True):
    """What one webhook changed: how many known keys were forgotten, and for whom refusals were."""

    forgotten: int = 0
    revived: int = 0


def apply_webhook(provider: TokenProvider, body: bytes, signature: str, app_secret: Secret) -> Applied:
    """Check a webhook's `X-Hub-Signature-256` and apply what it says about tokens; other webhooks change nothing.

    `body` is the request's, byte for byte. Raises SignatureInvalid, WebhookMalformed.
    """
    if len(body) > _MOST_BYTES:
        raise WebhookMalformed("the body is larger than 1 MiB")
    expected = "sha256=" + hmac.new(app_secret.reveal().encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise SignatureInvalid("X-Hub-Signature-256 does not fit the body")
    forgotten = revived = 0
    for field, value in _changes(body):
        applied = _of_account(provider, value) if field == "account_update" else _of_solution(provider, field, value)
        forgotten, revived = forgotten + applied.forgotten, revived + applied.revived
    return Applied(forgotten, revived)


def _changes(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    try:
        document = msgspec.json.decode(body)
        changes = [change for entry in document["entry"] for change in entry.get("changes", ())]
        found = [(change["field"], change["value"]) for change in changes]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise WebhookMalformed("not the shape of a webhook") from error
    return [(str(field), value) for field, value in found if isinstance(value, dict)]


def _of_account(provider: TokenProvider, value: dict[str, Any]) -> Applied:
    event, named = value.get("event"), value.get("waba_info")
    info = named if isinstance(named, dict) else {}
    business_id, app_id, solution_id = (info.get(name) for name in ("owner_business_id", "partner_app_id", "solution_id"))
    if not isinstance(business_id, str) or app_id not in (None, provider.account.id.app_id):
        return Applied()
    if event in _ENDS:
        # An uninstall names no solution, and a customer that left one WABA may have left others: asking anew is cheap.
        return Applied(forgotten=provider.forget(business_id=business_id))
    if event in _BEGINS:
        provider.revive(business_id=business_id, solution_id=solution_id if isinstance(solution_id, str) else None)
        return Applied(revived=1)
    return Applied()


def _of_solution(provider: TokenProvider, field: str, value: dict[str, Any]) -> Applied:
    solution_id, status = value.get("solution_id"), value.get("solution_status")
    if field != "partner_solutions" or not isinstance(solution_id, str):
        return Applied()
    if status == "DEACTIVATED":
        return Applied(forgotten=provider.forget(solution_id=solution_id))
    if status == "ACTIVE":
        provider.revive(solution_id=solution_id)
        return Applied(revived=1)
    return Applied()
