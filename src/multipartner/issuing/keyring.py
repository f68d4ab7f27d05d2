"""The key ring of one process: opens the stored keys, signs with the one that is due, knows all that verify."""

import functools

from multipartner.crypto.sealing import MasterKeys
from multipartner.crypto.signing import Signer, Verifier, jwk
from multipartner.domain import keyring
from multipartner.issuing.authenticate import unsealed
from multipartner.issuing.cache import SingleFlight
from multipartner.storage.ports import KeyReader, SigningKeyRecord

MOST_WINDOWS = 8192
"""Window starts whose signer is remembered: tenants' phases make many windows begin within one re-issue interval."""


class KeyRing:
    """Load it before use; after `forget()` it loads again. Private keys are opened one by one, when due."""

    def __init__(self, reader: KeyReader, master: MasterKeys, lifetime_s: int) -> None:
        self._reader = reader
        self._master = master
        self._lifetime_s = lifetime_s
        self._records: dict[str, SigningKeyRecord] | None = None
        self._signers: dict[str, Signer] = {}
        self._signer_of: dict[int, Signer] = {}
        self._verifier = Verifier({})
        self._verifier_of: tuple[str, ...] = ()
        self._epoch = 0
        self._loads: SingleFlight[int, None] = SingleFlight()

    def forget(self) -> None:
        """The stored keys changed."""
        self._records = None
        self._epoch += 1

    async def load(self) -> None:
        """Read the keys unless they are known: once, however many wait. Raises StorageUnavailable."""
        # Asked again after each wait: a change may have overtaken the read, or come between its end and our turn.
        while self._records is None:
            epoch = self._epoch
            await self._loads.run(epoch, functools.partial(self._read, epoch))

    async def _read(self, epoch: int) -> None:
        records = {record.kid: record for record in await self._reader.signing_keys()}
        if epoch != self._epoch or self._records is not None:
            return
        self._signers = {kid: signer for kid, signer in self._signers.items() if kid in records}
        self._signer_of = {}
        self._verifier, self._verifier_of = Verifier({}), ()
        self._records = records

    def signer(self, window_start_s: int) -> Signer | None:
        """The key for a window (Unix seconds); None when no key was due. Raises StorageUnavailable under a wrong master key."""
        signer = self._signer_of.get(window_start_s)
        if signer is not None and self._records is not None:
            return signer
        records = self._loaded()
        kid = keyring.signing_kid(list(records.values()), window_start_s)
        if kid is None:
            return None
        signer = self._signers.get(kid)
        if signer is None:
            private_key = unsealed(self._master, records[kid].private_sealed, "signing_key", kid)
            signer = self._signers[kid] = Signer(kid, private_key)
        if len(self._signer_of) >= MOST_WINDOWS:
            self._signer_of.clear()
        self._signer_of[window_start_s] = signer
        return signer

    def verifier(self, wall_s: int) -> Verifier:
        """Accepts what the published keys signed, at `wall_s` (Unix seconds)."""
        kids = tuple(self._published(wall_s))
        if kids != self._verifier_of:
            records = self._loaded()
            self._verifier = Verifier({kid: records[kid].public_key for kid in kids})
            self._verifier_of = kids
        return self._verifier

    def key_set(self, wall_s: int) -> dict[str, list[dict[str, str]]]:
        """The JSON Web Key Set (RFC 7517) to publish."""
        records = self._loaded()
        return {"keys": [jwk(kid, records[kid].public_key) for kid in self._published(wall_s)]}

    def _published(self, wall_s: int) -> list[str]:
        return keyring.verifying(list(self._loaded().values()), wall_s, self._lifetime_s)

    def _loaded(self) -> dict[str, SigningKeyRecord]:
        if self._records is None:
            raise RuntimeError("load() the key ring first")
        return self._records
