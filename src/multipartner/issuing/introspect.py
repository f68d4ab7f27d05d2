"""RFC 7662 for registered resource servers: whether a granular token is good now, and for what."""

import msgspec

from multipartner.crypto.credentials import CredentialType, identifier_of, mac_matches
from multipartner.crypto.signing import TokenRefused
from multipartner.domain.claims import WABA_DETAIL, Claims, ClaimsRefused, Detail, Expired, check, decode
from multipartner.domain.model import USABLE_SOLUTION, AppId, BusinessId, Facts, Instant, SolutionId, Tenant, WabaId, names_of
from multipartner.issuing.authenticate import MacKeys, spend_as_much
from multipartner.issuing.grants import Grants
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


class Signed(msgspec.Struct, frozen=True):
    """The claims of a token that this deployment signed, and whether it has expired; its facts may have changed."""

    claims: Claims
    expired: bool


INACTIVE = Introspection(active=False)


class Introspector:
    """Answers from the same cache and the same feed as issuance, so that a withdrawal is seen by the next call."""

    def __init__(self, reader: Reader, grants: Grants, ring: KeyRing, mac_keys: MacKeys, names: Issuer) -> None:
        self._reader = reader
        self._grants = grants
        self._ring = ring
        self._mac_keys = mac_keys
        self._names = names

    async def resource_server(self, server_id: str, secret: str) -> bool:
        """Say whether this is a registered resource server's credential. Raises StorageUnavailable."""
        if identifier_of(secret, CredentialType.RESOURCE_SERVER) != server_id:
            return False
        record = await self._reader.resource_server(server_id)
        if record is None or record.revoked_at_s is not None:
            spend_as_much(secret, CredentialType.RESOURCE_SERVER)
            return False
        return mac_matches(secret, CredentialType.RESOURCE_SERVER, await self._mac_keys.get(record.mac_key_id), record.mac)

    async def __call__(self, token: str, now: Instant) -> Introspection:
        """Judge a token at `now`. Raises StorageUnavailable; then nobody knows, and nothing is said."""
        signed = await self.signed(token, now)
        wabas = () if signed is None or signed.expired else await self.reach(signed.claims)
        if signed is None or not wabas:
            return INACTIVE
        claims = signed.claims
        details = (Detail(WABA_DETAIL, tuple(claims.scope.split()), wabas),)
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

    async def signed(self, token: str, now: Instant) -> Signed | None:
        """Read a token; None for what is none of ours. Raises StorageUnavailable."""
        self._grants.catch_up(now.boot_ns)
        await self._ring.load()
        try:
            claims = decode(self._ring.verifier(now.wall_s).payload(token))
        except (TokenRefused, ClaimsRefused):
            return None
        try:
            check(claims, self._names.issuer, self._names.audience, now.wall_s)
        except Expired:
            return Signed(claims, expired=True)
        except ClaimsRefused:
            return None
        return Signed(claims, expired=False)

    async def reach(self, claims: Claims) -> tuple[WabaId, ...]:
        """Say which WABAs a token reaches as the facts are now; none when it is dead. Raises StorageUnavailable."""
        return _reach((await self._grants.entry(tenant_of(claims))).facts, claims)


def tenant_of(claims: Claims) -> Tenant:
    """What a token stands for."""
    return Tenant(AppId(claims.client_id), SolutionId(claims.solution_id), BusinessId(claims.business_id))


def _reach(facts: Facts, claims: Claims) -> tuple[WabaId, ...]:
    """Say which WABAs a token reaches as the facts are now; none when it is dead.

    Generations decide. The rest is a second wall: a foreign tool may narrow a fact and leave its generation alone.
    """
    solution, share, gen = facts.solution, facts.share, facts.generations
    if claims.gen != (gen.deployment, gen.app, gen.solution, gen.share, gen.grant) or solution is None or share is None:
        return ()
    side = solution.permissions_of(facts.tenant.app_id)
    if side is None or solution.status not in USABLE_SOLUTION or facts.app_suspended or not facts.connected:
        return ()
    if not facts.grant_active or not share.active or not set(claims.scope.split()) <= set(names_of(side & share.permissions)):
        return ()
    if claims.authorization_details is None:
        return share.waba_ids
    named = {waba for detail in claims.authorization_details for waba in detail.waba_ids}
    return tuple(waba for waba in share.waba_ids if waba in named)
