"""What has to be right before anything is served: the key file, the databases, the keys in them, the shared limits."""

import asyncio
from collections.abc import Callable

from multipartner import keyfile
from multipartner.crypto.sealing import MasterKeys, SealBroken
from multipartner.domain.keyring import signing_kid
from multipartner.domain.model import Instant
from multipartner.operating import backend_of
from multipartner.settings import Settings
from multipartner.sharing import check_limits
from multipartner.storage.backend import Backend, ServingReader
from multipartner.storage.migrate import DatabaseVersionError
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.rows import LimitDefaults
from multipartner.storage.shared_limits import SharedLimitsRefused
from multipartner.web.framing import read_clocks


class StartRefused(Exception):  # noqa: N818 - a verdict
    """The service cannot start; the text is one line: what is wrong, and the fix."""


def check_start(settings: Settings) -> tuple[str, ...]:
    """Return if a service can start with these settings; nothing is written and nothing stays open.

    What it can start with but should not lack is returned, one line each. Raises StartRefused.
    """
    try:
        master = keyfile.read(settings.master_key_file)
        backend = backend_of(settings)
        backend.check_version()
        backend.check_writable()
        asyncio.run(_check_keys(reader_of(settings, backend), master))
        return asyncio.run(check_limits(settings))
    except (keyfile.KeyFileError, DatabaseVersionError, StorageUnavailable, SharedLimitsRefused) as error:
        raise StartRefused(str(error)) from error


async def _check_keys(reader: ServingReader, master: MasterKeys) -> None:
    await reader.open()
    try:
        await open_seals(reader, master)
    finally:
        await reader.close()


async def open_seals(reader: ServingReader, master: MasterKeys) -> None:
    """See that the stored keys open under this master key, and that there is one to sign with. Raises StartRefused."""
    signing, sealed = await reader.signing_keys(), await reader.sealed_keys()
    if not any(record.purpose == "mac" for record in sealed):
        raise StartRefused("the database has no deployment; run `multipartner init`")
    kid = signing_kid(list(signing), read_clocks().wall_s)
    if kid is None:
        raise StartRefused("the database has no signing key; run `multipartner keys rotate --now`")
    try:
        for record in sealed:
            master.open(record.sealed, "sealed_key", record.id)
        for key in signing:
            if key.kid == kid:
                master.open(key.private_sealed, "signing_key", kid)
    except SealBroken as error:
        raise StartRefused(f"the master key file does not fit this database ({error}); name the file it was made with") from error


def reader_of(settings: Settings, backend: Backend, clock: Callable[[], Instant] = read_clocks) -> ServingReader:
    """The read side of one process. Raises StorageUnavailable."""
    limits = LimitDefaults(settings.calls_per_hour, settings.calls_per_business_per_hour)
    return backend.reader(limits, stale_for_s=settings.stale_for_s, boot_ns=lambda: clock().boot_ns)
