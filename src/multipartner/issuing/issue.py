"""Station 4: a permit becomes a token. The same permit in the same window becomes the same bytes, on every replica."""

import functools
from array import array
from collections.abc import Awaitable, Callable, Hashable

import msgspec

from multipartner.domain.claims import MAX_TOKEN_BYTES, SKEW_S, claims_for, encode
from multipartner.domain.events import Event, EventKind
from multipartner.domain.lifetime import Lifetime, window_at
from multipartner.domain.model import Ask, Caller, CredentialId, Facts, Permissions, Permit, Secret, Token, names_of
from multipartner.domain.reasons import Reason, Refusal
from multipartner.issuing.cache import SingleFlight
from multipartner.issuing.keyring import KeyRing
from multipartner.storage.ports import Trail


class Rendered(msgspec.Struct, gc=False):
    """A token as it goes out, in force for the window [starts_at_s, renews_at_s); who of this process' callers had it.

    `lists_wabas`: whether the token names its WABAs, or had no room for them.
    """

    permissions: Permissions
    body: bytes
    kid: str
    jti: str
    starts_at_s: int
    renews_at_s: int
    expires_at_s: int
    lists_wabas: bool
    recorded: tuple[CredentialId, ...] = ()

    def __repr__(self) -> str:
        return f"<Rendered {self.jti}>"


class GrantEntry(msgspec.Struct, gc=False):
    """What is cached for one tenant: the facts, and the tokens made from them, one for each set of permissions that was asked
    for, which is nearly always one. Dropped as one.

    Neither it nor what it holds refers back to it, so the collector need not walk through hundreds of thousands of them.
    """  # noqa: D205 - one thought

    facts: Facts
    tokens: tuple[Rendered, ...] = ()
    touched: bool = False
    alive: bool = False

    def token(self, permissions: Permissions) -> Rendered | None:
        """The token made last for these permissions, of whatever window."""
        for rendered in self.tokens:
            if rendered.permissions == permissions:
                return rendered
        return None

    def keep(self, made: Rendered) -> None:
        """Keep a token in place of an older one."""
        others = [rendered for rendered in self.tokens if rendered.permissions != made.permissions] if self.tokens else ()
        self.tokens = (made, *others)


class Issuer(msgspec.Struct, frozen=True):
    """Names that stand in every token."""

    issuer: str
    audience: str
    lifetime: Lifetime


class Issuing:
    """Makes tokens, and has each one in the trail before it leaves."""

    def __init__(
        self, ring: KeyRing, trail: Trail, names: Issuer, render: Callable[[Token], bytes], remembered: int = 100_000
    ) -> None:
        """`remembered`: about how many issuances stay known to be in the trail after their grants had to leave the cache."""
        self._ring = ring
        self._trail = trail
        self._names = names
        self._render = render
        self._records: SingleFlight[tuple[str, CredentialId], None] = SingleFlight()
        self._in_trail = Marks(remembered)

    async def __call__(self, permit: Permit, entry: GrantEntry, caller: Caller, ask: Ask) -> Rendered | Refusal:
        """Issue for a permit; `entry` keeps what was made. Raises TrailUnavailable, StorageUnavailable."""
        rendered = entry.token(permit.permissions)
        wall_s = ask.now.wall_s
        if rendered is None or not rendered.starts_at_s <= wall_s < rendered.renews_at_s:
            made = await self._mint(permit, wall_s)
            if isinstance(made, Refusal):
                return made
            rendered = made
            entry.keep(made)
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
            claims = msgspec.structs.replace(claims, authorization_details=None)
            payload, jti = encode(claims)
            text = signer.sign(payload)
        if len(text) > MAX_TOKEN_BYTES:
            return Refusal(Reason.FACTS_UNAVAILABLE, fact="the token would be longer than 2 kB: shorten issuer or audience")
        body = self._render(Token(Secret(text), jti, window.expires_at_s))
        lists_wabas = claims.authorization_details is not None
        times = window.starts_at_s, window.renews_at_s, window.expires_at_s
        return Rendered(permit.permissions, body, signer.kid, jti, *times, lists_wabas)

    async def _record(self, rendered: Rendered, permit: Permit, caller: Caller, ask: Ask) -> None:
        """Return once this token's way to this caller is in the trail: by us, just now or in a time of the grant's before."""
        issuance = (rendered.jti, caller.credential_id)

        def record() -> Awaitable[None]:
            # Whoever takes over from a cancelled leader may come after another one who did already.
            return _nothing() if issuance in self._in_trail else self._trail.record(_event(rendered, permit, caller, ask))

        if issuance not in self._in_trail:
            await self._records.run(issuance, record)
            self._in_trail.add(issuance)
        if caller.credential_id not in rendered.recorded:
            rendered.recorded = _and(rendered.recorded, caller.credential_id)


class Marks:
    """Remembers keys by 64 bits of a hash that is keyed by this process, the later ones in place of earlier ones.

    Eight bytes for each place. That a key is taken for another one that was added has a chance of one in 2^64.
    """

    __slots__ = ("_marks",)

    def __init__(self, places: int) -> None:
        self._marks = array("q", bytes(8 * places))

    def add(self, key: Hashable) -> None:
        """Remember a key."""
        mark = hash(key) or 1
        self._marks[mark % len(self._marks)] = mark

    def __contains__(self, key: Hashable) -> bool:
        mark = hash(key) or 1
        return self._marks[mark % len(self._marks)] == mark


async def _nothing() -> None:
    pass


def _event(rendered: Rendered, permit: Permit, caller: Caller, ask: Ask) -> Event:
    tenant = permit.tenant
    actor, reach = f"credential:{caller.credential_id}", _reach(permit, rendered)
    ids = tenant.app_id, tenant.solution_id, tenant.business_id
    return Event(EventKind.TOKEN_ISSUED, ask.now.wall_s, actor, ask.trace_id, *ids, rendered.jti, reach)


def _reach(permit: Permit, rendered: Rendered) -> dict[str, str]:
    """What a token can be used for, as the trail tells it; a list too long for the token is too long for the trail as well."""
    detail = {"scope": " ".join(names_of(permit.permissions)), "expires_at": str(rendered.expires_at_s)}
    waba_ids = permit.facts.share.waba_ids if permit.facts.share else ()
    if rendered.lists_wabas:
        detail["wabas"] = " ".join(waba_ids)
    else:
        detail["wabas_count"] = str(len(waba_ids))
    return detail


@functools.lru_cache(maxsize=1024)
def _and(recorded: tuple[CredentialId, ...], credential_id: CredentialId) -> tuple[CredentialId, ...]:
    # Nearly all tokens went to the same one caller, or the same few: one tuple for all of them.
    return (*recorded, credential_id)
