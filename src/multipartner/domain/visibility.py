"""Who sees what. Pure, and the only place that decides it; what is not seen is told as if it did not exist.

A caller token sees what its app reaches: the app, its own business with its WABAs, the solutions it is a party to, the customers
connected to it, the WABAs that these share with it, and the migration intents that concern it. A granular token sees exactly
its grant. An app token sees the app and its solutions. That a solution exists is public, so an app that is no party to one is
told so.
"""

from collections.abc import Iterable

from multipartner.domain.graph import AppNode, SolutionNode, Viewer, ViewerKind
from multipartner.domain.migration import IntentNode
from multipartner.domain.model import USABLE_SOLUTION, BusinessId, Permission
from multipartner.domain.nodes import BusinessSight, PhoneNumberSight, SharePath, Sight, SystemUserNode, WabaSight
from multipartner.domain.reasons import Reason, Refusal


def visible(viewer: Viewer, sight: Sight) -> Refusal | None:
    """Say why a viewer does not see something; None when it does. The facts in `sight` must be about the viewer's app."""
    if isinstance(sight, SolutionNode):
        return _solution(viewer, sight)
    return None if _sees(viewer, sight) else Refusal(Reason.NODE_UNKNOWN)


def live_paths(viewer: Viewer, sight: WabaSight) -> tuple[SharePath, ...]:
    """The ways in which a WABA is shared with this viewer now; none are an app token's."""
    tenant = viewer.tenant
    if viewer.kind is ViewerKind.APP or Permission.MANAGEMENT not in viewer.permissions:
        return ()
    paths = tuple(path for path in sight.paths if _is_live(viewer, path))
    if tenant is None:
        return paths
    # The token names its WABAs, and the facts must still agree.
    if sight.node.owner.id != tenant.business_id or sight.node.id not in viewer.waba_ids:
        return ()
    return tuple(path for path in paths if path.solution.id == tenant.solution_id)


def has_partners(paths: Iterable[SharePath], partner_ids: frozenset[str]) -> bool:
    """Say whether each of these ids is a partner, by its app's or its business's id, in one of the solutions."""
    there: set[str] = set()
    for path in paths:
        there |= {path.solution.owner_app.id, path.solution.partner_app.id, *path.partner_business_ids}
    return partner_ids <= there


def lists_customers(viewer: Viewer, node_id: str) -> Refusal | None:
    """Say why a viewer may not list customers under this id: its own app's or business's. None when it may."""
    if viewer.tenant is not None or node_id not in {viewer.app_id, viewer.business_id}:
        return Refusal(Reason.NODE_UNKNOWN)
    if viewer.kind is ViewerKind.CALLER:
        return None
    # The app is the viewer's own, and so no secret to it; its business is.
    return Refusal(Reason.CREDENTIAL_NOT_ENOUGH if node_id == viewer.app_id else Reason.NODE_UNKNOWN)


def reads_intent(viewer: Viewer, node: IntentNode) -> bool:
    """Say whether a viewer reads a migration intent: a granular token that of its own share; an app token none, nor any WABA."""
    if not node.is_visible_to(viewer.app_id) or viewer.kind is ViewerKind.APP:
        return False
    moves_into = (node.intent.target_solution_id, node.intent.business_id)
    return viewer.tenant is None or (viewer.tenant.solution_id, viewer.tenant.business_id) == moves_into


def _sees(viewer: Viewer, sight: BusinessSight | AppNode | WabaSight | PhoneNumberSight | SystemUserNode) -> bool:
    match sight:
        case AppNode():
            return viewer.tenant is None and sight.id == viewer.app_id
        case BusinessSight():
            return _business(viewer, sight)
        case WabaSight():
            return _is_own(viewer, sight.node.owner.id) or bool(live_paths(viewer, sight))
        case PhoneNumberSight():
            return _sees(viewer, sight.waba)
        case SystemUserNode():
            return viewer.kind is ViewerKind.CALLER and sight.id == viewer.id


def _solution(viewer: Viewer, node: SolutionNode) -> Refusal | None:
    if viewer.tenant is not None and viewer.tenant.solution_id != node.id:
        return Refusal(Reason.NODE_UNKNOWN, fact="a granular token sees its own solution")
    return Refusal(Reason.APP_NOT_PARTY) if node.role_of(viewer.app_id) is None else None


def _business(viewer: Viewer, sight: BusinessSight) -> bool:
    if viewer.tenant is not None:
        return sight.node.id == viewer.tenant.business_id
    return _is_own(viewer, sight.node.id) or (viewer.kind is ViewerKind.CALLER and sight.connected_at_s is not None)


def _is_own(viewer: Viewer, business_id: BusinessId) -> bool:
    return viewer.kind is ViewerKind.CALLER and business_id == viewer.business_id


def _is_live(viewer: Viewer, path: SharePath) -> bool:
    return (
        path.solution.role_of(viewer.app_id) is not None
        and path.solution.status in USABLE_SOLUTION
        and path.share_active
        and path.grant_active
        and Permission.MANAGEMENT in path.permissions
    )
