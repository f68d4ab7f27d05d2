"""Keys come and go while tokens are issued."""

import asyncio
from typing import TYPE_CHECKING

import jwt
import msgspec

from fakes import ISSUER, OWNER, InProcess, populated_store
from multipartner.domain.keyring import PUBLISH_AHEAD_S
from multipartner.storage.ports import ChangeKind

if TYPE_CHECKING:
    from jwt.types import Options


def _kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def test_a_published_key_signs_later_and_both_verify() -> None:
    """A new key is in the key set before it signs, and what the old one signed stays good when the new one takes over."""

    async def scenario() -> None:
        store = populated_store()
        caller = store.add_credential(OWNER)
        service = InProcess(store)
        old = (await service.token(caller)).json["access_token"]
        new_kid = store.add_key(service.now.wall_s + PUBLISH_AHEAD_S)
        early = (await service.token(caller)).json["access_token"]
        published = [key["kid"] for key in (await service.request("/.well-known/jwks.json")).json["keys"]]
        service.turn(1800 + PUBLISH_AHEAD_S)
        late = (await service.token(caller)).json["access_token"]

        assert early == old
        assert set(published) == {_kid(old), new_kid}
        assert _kid(late) == new_kid
        assert (await service.introspector(old, service.now)).active
        assert (await service.introspector(late, service.now)).active

    asyncio.run(scenario())


def test_a_dropped_key_takes_its_tokens_along() -> None:
    """A token signed by a dropped key is dead at the next question, and the next request is signed by another key."""

    async def scenario() -> None:
        store = populated_store()
        caller = store.add_credential(OWNER)
        service = InProcess(store)
        old = (await service.token(caller)).json["access_token"]
        store.keys.clear()
        store.deployment = "after-drop1"
        store.tell(ChangeKind.SIGNING_KEY, _kid(old))
        store.tell(ChangeKind.DEPLOYMENT)
        assert (await service.token(caller)).status == 500
        store.add_key(service.now.wall_s)
        new = (await service.token(caller)).json["access_token"]

        assert _kid(new) != _kid(old)
        assert not (await service.introspector(old, service.now)).active
        assert (await service.introspector(new, service.now)).active

    asyncio.run(scenario())


def test_a_retired_key_verifies_until_its_last_token_ends() -> None:
    """After retirement a key signs no new window, and leaves the key set once no token of it can be alive."""

    async def scenario() -> None:
        store = populated_store()
        caller = store.add_credential(OWNER)
        service = InProcess(store)
        old = (await service.token(caller)).json
        store.add_key(0)
        store.keys[0] = msgspec.structs.replace(store.keys[0], retired_at_s=service.now.wall_s)
        store.tell(ChangeKind.SIGNING_KEY)
        assert (await service.introspector(old["access_token"], service.now)).active
        service.turn(1800)
        assert _kid((await service.token(caller)).json["access_token"]) == store.keys[1].kid
        service.turn(3600)
        published = [key["kid"] for key in (await service.request("/.well-known/jwks.json")).json["keys"]]

        assert published == [store.keys[1].kid]

    asyncio.run(scenario())


def test_an_independent_library_verifies_what_is_served() -> None:
    """PyJWT, given the published key set, accepts the token for this issuer and audience and reads the contract's expiry."""

    async def scenario() -> None:
        store = populated_store()
        service = InProcess(store)
        granted = (await service.token(store.add_credential(OWNER))).json
        keys = jwt.PyJWKSet.from_dict((await service.request("/.well-known/jwks.json")).json)
        token = granted["access_token"]
        options: Options = {"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "sub", "jti", "client_id"]}
        claims = jwt.decode(token, keys[_kid(token)], ["EdDSA"], options, issuer=ISSUER, audience=ISSUER)

        assert claims["exp"] == granted["expires_at"]
        assert claims["client_id"] == OWNER

    asyncio.run(scenario())
