"""The broker's own caller tokens: a file (0600) that holds their fingerprints and what each may reach.

A token has 256 random bits; the file holds an HMAC-SHA-256 of it, so who reads the file has no token (attack 59).
"""

import os
import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from multipartner import private_file
from multipartner.crypto.credentials import CredentialType, MacKey, identifier_of, mac_matches, mac_of, new_credential
from multipartner.domain.model import Secret
from multipartner.domain.reasons import Reason
from multipartner.private_file import PrivateFileError

ALL: Final = "*"
"""Reaches whatever the account reaches; must be asked for by name."""

_MOST_BYTES: Final = 16 << 20
_MOST: Final = 10_000
_KEY_BYTES: Final = 32
_ID: Final = re.compile("[0-9]{1,32}")
_NOUN: Final = "broker credentials"
_MISSING: Final = "make the first one: `multipartner broker credential create`"


class CredentialsRefused(Exception):  # noqa: N818 - a verdict
    """The file cannot be used, or the change not made; the text is one line without a secret."""


class Known(msgspec.Struct, frozen=True):
    """One caller token as kept. Ids are digits; `solutions` and `businesses` are lists of them, or `*` alone."""

    id: str
    name: str
    account: str
    solutions: tuple[str, ...]
    businesses: tuple[str, ...]
    mac: bytes
    created_at_s: int
    expires_at_s: int | None = None
    revoked_at_s: int | None = None

    def __repr__(self) -> str:
        return f"<Known {self.id} of account {self.account}>"

    def reaches(self, solution_id: str, business_id: str) -> bool:
        """Tell whether it may have this tenant's token."""
        return _names(self.solutions, solution_id) and _names(self.businesses, business_id)


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    key: bytes
    credentials: tuple[Known, ...] = ()


class Wanted(msgspec.Struct, frozen=True):
    """A caller token to be made."""

    name: str
    account: str
    solutions: Sequence[str]
    businesses: Sequence[str]
    lifetime_s: int | None = None


def create(path: Path, wanted: Wanted, now_s: int) -> tuple[Known, Secret]:
    """Make a caller token and add it to the file; the text is to be shown once. Raises CredentialsRefused."""
    if not wanted.name.strip() or len(wanted.name) > 80 or not wanted.name.isprintable():
        raise CredentialsRefused("name: must have 1 to 80 printable characters")
    identifier, text = new_credential(CredentialType.BROKER)
    expires_at_s = None if wanted.lifetime_s is None else now_s + wanted.lifetime_s
    solutions, businesses = _listed("solution", wanted.solutions), _listed("business", wanted.businesses)
    made = Known(identifier, wanted.name, wanted.account, solutions, businesses, b"", now_s, expires_at_s)

    def added(document: _Document) -> tuple[Known, ...]:
        nonlocal made
        if len(document.credentials) >= _MOST:
            raise CredentialsRefused(f"{path}: holds {_MOST:,} caller tokens; revoke and prune some")
        made = msgspec.structs.replace(made, mac=mac_of(text, CredentialType.BROKER, _mac_key(document)))
        return (*document.credentials, made)

    if not path.exists():
        _first(path)
    _change(path, added)
    return made, Secret(text)


def revoke(path: Path, identifier: str, now_s: int) -> bool:
    """End a caller token: a running broker obeys with the next request. False if it was revoked. Raises CredentialsRefused."""
    changed = False

    def revoked(document: _Document) -> tuple[Known, ...]:
        nonlocal changed
        if identifier not in {known.id for known in document.credentials}:
            raise CredentialsRefused(f"{path}: holds no caller token {identifier}; see `multipartner broker credential list`")
        kept = []
        for known in document.credentials:
            ends = known.id == identifier and known.revoked_at_s is None
            changed |= ends
            kept.append(msgspec.structs.replace(known, revoked_at_s=now_s) if ends else known)
        return tuple(kept)

    _change(path, revoked)
    return changed


def listed(path: Path) -> tuple[Known, ...]:
    """All caller tokens that the file knows, the revoked ones too. Raises CredentialsRefused."""
    return _read(path).credentials


class Credentials:
    """The file as a running broker sees it, read again when it was replaced. Raises CredentialsRefused if it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] = ()
        self._known: dict[str, Known] = {}
        self._key = MacKey("", b"")
        self.broken = ""
        self._look()
        if self.broken:
            raise CredentialsRefused(self.broken)

    def __len__(self) -> int:
        return sum(known.revoked_at_s is None for known in self._known.values())

    def authenticate(self, bearer: Secret | None, now_s: int) -> Known | Reason | None:
        """Say who asks, or why it is nobody; None when the file cannot be used, so that nobody can tell."""
        self._look()
        if self.broken:
            return None
        if bearer is None:
            return Reason.CALLER_MISSING
        text = bearer.reveal()
        identifier = identifier_of(text, CredentialType.BROKER)
        if identifier is None:
            return Reason.CALLER_MALFORMED
        known = self._known.get(identifier, _NOBODY)
        # Compared for nobody as well: an unknown identifier takes as long as a wrong secret (attack 13).
        if not mac_matches(text, CredentialType.BROKER, self._key, known.mac):
            return Reason.CALLER_UNKNOWN
        if known.revoked_at_s is not None:
            return Reason.CALLER_REVOKED
        return Reason.CALLER_EXPIRED if known.expires_at_s is not None and known.expires_at_s <= now_s else known

    def is_own(self, token: Secret) -> bool:
        """Tell whether a caller token for upstream is one of this broker's: it would call itself."""
        return identifier_of(token.reveal(), CredentialType.BROKER) in self._known

    def look(self) -> str:
        """Look at the file now; returns what is wrong with it, or nothing."""
        self._look()
        return self.broken

    def _look(self) -> None:
        """Whoever changes the file replaces it, so its inode changes; one `stat` a request (3 us) sees a revocation at once."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - a third of Path.stat's time, for every request
            stamp: tuple[int, ...] = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode, status.st_uid)
        except OSError:
            stamp = (-1,)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            document = _read(self._path)
        except CredentialsRefused as error:
            # Closed, not as it was: what somebody did to the file may have been a revocation.
            self._known, self.broken = {}, str(error)
            return
        self._key, self.broken = _mac_key(document), ""
        self._known = {known.id: known for known in document.credentials}


_NOBODY: Final = Known("", "", "", (), (), b"", 0)


def _names(named: tuple[str, ...], wanted: str) -> bool:
    return wanted in named or named == (ALL,)


def _listed(noun: str, ids: Sequence[str]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(ids))
    if named == (ALL,) or (named and all(_ID.fullmatch(one) for one in named)):
        return named
    raise CredentialsRefused(f"{noun}: name each that it may reach by its id (1 to 32 digits), or all of them by '*' alone")


def _first(path: Path) -> None:
    empty = msgspec.json.encode(_Document(1, secrets.token_bytes(_KEY_BYTES)))
    try:
        private_file.create(path, empty, "")
    except PrivateFileError as error:
        # Somebody else was first: theirs will do.
        if not path.exists():
            raise CredentialsRefused(str(error)) from None


def _change(path: Path, change: Callable[[_Document], tuple[Known, ...]]) -> None:
    def content() -> bytes:
        document = _read(path)
        changed = msgspec.structs.replace(document, credentials=change(document))
        return msgspec.json.format(msgspec.json.encode(changed), indent=1) + b"\n"

    try:
        private_file.replace(path, content, _NOUN)
    except PrivateFileError as error:
        raise CredentialsRefused(str(error)) from None


def _read(path: Path) -> _Document:
    foreign = CredentialsRefused(f"{path}: is no file of broker credentials; restore it, or remove it and make new ones")
    try:
        document = msgspec.json.decode(private_file.read(path, _NOUN, _MOST_BYTES, _MISSING), type=_Document)
    except PrivateFileError as error:
        raise CredentialsRefused(str(error)) from None
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise foreign from None
    if len(document.key) != _KEY_BYTES:
        raise foreign
    return document


def _mac_key(document: _Document) -> MacKey:
    return MacKey("broker", document.key)
