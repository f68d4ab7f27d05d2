"""RFC 7662 for registered resource servers: whether a granular token is good now, and for what."""

import msgspec

from multipartner.crypto.credentials import CredentialType, identifier_of, mac_matches
from multipartner.crypto.signing import TokenRefused
from multipartner.domain.claims import WABA_DETAIL, ClaimsRefused, Detail, check, decode
from multipartner.domain.model import USABLE_SOLUTION, AppId, BusinessId, Facts, Instant, SolutionId, Tenant
from multipartner.issuing.authenticate import MacKeys
from multipartner.issuing.corridor import Corridor
from multipartner.issuing.issue import Issuer
from multipartner.issuing.keyring import KeyRing
from multipartner.storage.ports import Reader, StorageUnavailable

__all__ = ["Introspection", "Introspector", "StorageUnavailable"]


class Introspection(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer. `active: false` comes alone: why is for the operator, not for the one who asks."""

    active: bool
    scope: str = ""
    client_id: str = ""
    token_type: str = ""
    exp: int = 0
    iat: int = 0
    sub: str = ""
    aud: str = ""
    iss: str = ""
    jti: str = ""
    solution_id: str = ""
    business_id: str = ""
    authorization_details: tuple[Detail, ...] = ()


INACTIVE = Introspection(active=False)


class Introspector:
    """Answers from the same cache and the same feed as issuance, so that a withdrawal is seen by the next call."""

    def __init__(self, reader: Reader, corridor: Corridor, ring: KeyRing, mac_keys: MacKeys, names: Issuer) -> None:
        self._reader = reader
        self._corridor = corridor
        self._ring = ring
        self._mac_keys = mac_keys
        self._names = names

    async def resource_server(self, server_id: str, secret: str) -> bool:
        """Say whether this is a registered resource server's credential. Raises StorageUnavailable."""
        if identifier_of(secret, CredentialType.RESOURCE_SERVER) != server_id:
            return False
        record = await self._reader.resource_server(server_id)
        if record is None or record.revoked_at_s is not None:
            return False
        return mac_matches(secret, CredentialType.RESOURCE_SERVER, await self._mac_keys.get(record.mac_key_id), record.mac)

    async def __call__(self, token: str, now: Instant) -> Introspection:
        """Judge a token at `now`. Raises StorageUnavailable; then nobody knows, and nothing is said."""
        self._corridor.catch_up(now.boot_ns)
        await self._ring.load()
        try:
            claims = decode(self._ring.verifier(now.wall_s).payload(token))
            check(claims, self._names.issuer, self._names.audience, now.wall_s)
        except (TokenRefused, ClaimsRefused):
            return INACTIVE
        tenant = Tenant(AppId(claims.client_id), SolutionId(claims.solution_id), BusinessId(claims.business_id))
        facts = (await self._corridor.entry(tenant)).facts
        share = facts.share
        gen = facts.generations
        if claims.gen != (gen.deployment, gen.app, gen.solution, gen.share, gen.grant) or share is None or not _holds(facts):
            return INACTIVE
        details = (Detail(WABA_DETAIL, tuple(claims.scope.split()), share.waba_ids),)
        return Introspection(
            active=True,
            scope=claims.scope,
            client_id=claims.client_id,
            token_type="Bearer",  # noqa: S106 - RFC 6749's word
            exp=claims.exp,
            iat=claims.iat,
            sub=claims.sub,
            aud=claims.aud,
            iss=claims.iss,
            jti=claims.jti,
            solution_id=claims.solution_id,
            business_id=claims.business_id,
            authorization_details=details,
        )


def _holds(facts: Facts) -> bool:
    """A second wall behind the generations: a foreign tool may change a state and leave its generation alone."""
    solution, share = facts.solution, facts.share
    return (
        solution is not None
        and solution.status in USABLE_SOLUTION
        and solution.permissions_of(facts.tenant.app_id) is not None
        and not facts.app_suspended
        and facts.connected
        and facts.grant_active
        and share is not None
        and share.active
        and bool(share.waba_ids)
    )
