"""What the store's tests put into it: keys of tenants that differ in one part, tokens, and a way to the file behind its back."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from multipartner.client.keys import AccountId, TokenKey
from multipartner.client.ports import Stored
from multipartner.client.store import SqliteTokenStore
from multipartner.crypto.tenant_sealing import TenantKeys

NOW_S = 1_800_000_000
LIFE_S = 3600
KEYS = TenantKeys([bytes(range(32))])
OTHER_KEYS = TenantKeys([bytes(32)])

ACCOUNT = AccountId("https://graph.example", "v23.0", "301000000000000", "c0ffee00c0ffee00")
KEY = TokenKey(ACCOUNT, "401000000000000", "201000000000000")

NEIGHBOURS = {
    "origin": msgspec.structs.replace(KEY, account=msgspec.structs.replace(ACCOUNT, origin="https://graph.example:8443")),
    "version": msgspec.structs.replace(KEY, account=msgspec.structs.replace(ACCOUNT, version="v24.0")),
    "app_id": msgspec.structs.replace(KEY, account=msgspec.structs.replace(ACCOUNT, app_id="302000000000000")),
    "caller": msgspec.structs.replace(KEY, account=msgspec.structs.replace(ACCOUNT, caller="decaf000decaf000")),
    "solution_id": msgspec.structs.replace(KEY, solution_id="402000000000000"),
    "business_id": msgspec.structs.replace(KEY, business_id="202000000000000"),
}
"""Keys that differ from KEY in the part that is named."""


def nth(number: int) -> TokenKey:
    """One of many tenants' keys."""
    return TokenKey(ACCOUNT, "401000000000000", str(210_000_000_000_000 + number))


def token(generation: int, text: str = "", *, expires_at_s: int = NOW_S + LIFE_S, refresh_at_s: int = NOW_S + 2000) -> Stored:
    return Stored(text or f"token-{generation}", expires_at_s, refresh_at_s, generation)


def kept(store: SqliteTokenStore, key: TokenKey = KEY, *, now_s: int = NOW_S, text: str = "", life_s: int = LIFE_S) -> Stored:
    """Lease and publish as a provider does; return what is there now."""
    generation = store.lease(key, now_s + 30, now_s)
    assert generation is not None
    made = token(generation + 1, text, expires_at_s=now_s + life_s, refresh_at_s=now_s + life_s // 2)
    assert store.publish(key, made)
    return made


@contextmanager
def behind(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as somebody sees it who may write it, and whom no constraint stops."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        yield connection


def all_bytes(path: Path) -> dict[str, bytes]:
    """Everything on disk of a store: the file and its side files."""
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}
