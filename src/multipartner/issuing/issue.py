"""Station 4: a permit becomes a token. The same permit in the same window becomes the same bytes, on every replica."""

from collections.abc import Callable

import msgspec

from multipartner.domain.claims import MAX_TOKEN_BYTES, SKEW_S, claims_for, encode
from multipartner.domain.events import Event, EventKind
from multipartner.domain.lifetime import Lifetime, window_at
from multipartner.domain.model import Ask, Caller, CredentialId, Facts, Permissions, Permit, Secret, Token, names_of
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.cache import SingleFlight
from multipartner.issuing.keyring import KeyRing
from multipartner.storage.ports import Trail


class Rendered(msgspec.Struct):
    """A token as it goes out, in force for the window [starts_at_s, renews_at_s); who of this process' callers had it."""

    body: bytes
    kid: str
    jti: str
    starts_at_s: int
    renews_at_s: int
    expires_at_s: int
    recorded: set[CredentialId]

    def __repr__(self) -> str:
        return f"<Rendered {self.jti}>"


class GrantEntry(msgspec.Struct):
    """What is cached for one tenant: the facts, and the tokens made from them by permissions. Dropped as one."""

    facts: Facts
    tokens: dict[Permissions, Rendered]
    touched: bool = False
    alive: bool = False


class Issuer(msgspec.Struct, frozen=True):
    """Names that stand in every token."""

    issuer: str
    audience: str
    lifetime: Lifetime


class Issuing:
    """Makes tokens, and has each one in the trail before it leaves."""

    def __init__(self, ring: KeyRing, trail: Trail, names: Issuer, render: Callable[[Token], bytes]) -> None:
        self._ring = ring
        self._trail = trail
        self._names = names
        self._render = render
        self._records: SingleFlight[tuple[str, CredentialId], None] = SingleFlight()

    async def __call__(self, permit: Permit, entry: GrantEntry, caller: Caller, ask: Ask) -> Rendered | Refusal:
        """Issue for a permit; `entry` keeps what was made. Raises TrailUnavailable, StorageUnavailable."""
        rendered = entry.tokens.get(permit.permissions)
        wall_s = ask.now.wall_s
        if rendered is None or not rendered.starts_at_s <= wall_s < rendered.renews_at_s:
            made = await self._mint(permit, wall_s)
            if isinstance(made, Refusal):
                return made
            rendered = entry.tokens[permit.permissions] = made
        if caller.credential_id not in rendered.recorded:
            await self._record(rendered, permit, caller, ask)
        return rendered

    async def _mint(self, permit: Permit, wall_s: int) -> Rendered | Refusal:
        window = window_at(permit.tenant, wall_s, self._names.lifetime)
        await self._ring.load()
        signer = self._ring.signer(window.starts_at_s)
        if signer is None:
            return Refusal(Reason.NO_SIGNING_KEY, fact=f"window starts at {window.starts_at_s}")
        claims = claims_for(permit, window, self._names.issuer, self._names.audience)
        if claims.iat > wall_s + SKEW_S or claims.iat >= claims.exp:
            # It would be refused wherever it is shown, by our own introspection first.
            return Refusal(Reason.FACTS_UNAVAILABLE, fact=f"facts changed at {claims.iat}, and it is {wall_s}: clocks differ")
        payload, jti = encode(claims)
        text = signer.sign(payload)
        if len(text) > MAX_TOKEN_BYTES:
            payload, jti = encode(msgspec.structs.replace(claims, authorization_details=None))
            text = signer.sign(payload)
        if len(text) > MAX_TOKEN_BYTES:
            return Refusal(Reason.FACTS_UNAVAILABLE, fact="the token would be longer than 2 kB: shorten issuer or audience")
        body = self._render(Token(Secret(text), jti, window.expires_at_s))
        return Rendered(body, signer.kid, jti, window.starts_at_s, window.renews_at_s, window.expires_at_s, set())

    async def _record(self, rendered: Rendered, permit: Permit, caller: Caller, ask: Ask) -> None:
        event = Event(
            EventKind.TOKEN_ISSUED,
            ask.now.wall_s,
            f"credential:{caller.credential_id}",
            ask.trace_id,
            permit.tenant.app_id,
            permit.tenant.solution_id,
            permit.tenant.business_id,
            rendered.jti,
            {"scope": " ".join(names_of(permit.permissions)), "expires_at": str(rendered.expires_at_s)},
        )

        async def record() -> None:
            # Whoever takes over from a cancelled leader may come after another one who did already.
            if caller.credential_id not in rendered.recorded:
                await self._trail.record(event)
                rendered.recorded.add(caller.credential_id)

        await self._records.run((rendered.jti, caller.credential_id), record)
