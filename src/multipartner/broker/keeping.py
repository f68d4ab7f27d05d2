"""The one place that decides where a broker's tokens are kept: nowhere, or in the sealed store that the configuration names."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from multipartner.broker.configuration import Configuration, ConfigurationRefused, StoreFiles
from multipartner.broker.upstreams import Hook
from multipartner.client import Account, TokenProvider
from multipartner.client.ports import StoreUnavailable
from multipartner.client.store import SqliteTokenStore
from multipartner.client.store_keys import KeyFileError, KeyUse, create_keyring, drop_key, read_keyring, rotate_keyring


def provider_of(account: Account, files: StoreFiles | None, hook: Hook) -> TokenProvider:
    """Make an account's provider. Each has a store of its own on the one file: what others forgot is told once to each."""
    store = None if files is None else _opened(files, hook)
    return TokenProvider(account, store=store, hooks=(hook,))


def check_store(configuration: Configuration) -> None:
    """Make the store and its key if there are none yet, open it, and let go of it again. Raises ConfigurationRefused."""
    if configuration.store is None:
        return
    with _refused():
        if not _is_there(configuration.store.key_file):
            create_keyring(configuration.store.key_file)
        _opened(configuration.store).close()


def store_of(configuration: Configuration) -> SqliteTokenStore:
    """Open the store of a configuration, for whoever looks into it. Raises ConfigurationRefused."""
    files = _files(configuration)
    with _refused():
        return _opened(files)


def key_use(configuration: Configuration) -> list[KeyUse]:
    """Say what the store holds under each key, the sealing one first. Raises ConfigurationRefused."""
    files = _files(configuration)
    with _refused():
        if not _is_there(files.key_file):
            raise ConfigurationRefused(f"{files.key_file}: is not there yet; the broker makes it at its first start")
        if not _is_there(files.file):
            # To look does not make one.
            ids = read_keyring(files.key_file).ids
            return [KeyUse(key_id.hex(), 0, 0, seals=key_id == ids[0], opens=True) for key_id in ids]
        with contextlib.closing(_opened(files)) as store:
            return store.key_use()


def rotate_key(configuration: Configuration) -> str:
    """Put a new key first, which a broker takes at its next start; returns its id. Raises ConfigurationRefused."""
    # First of all the store has to open: a new key before ones that are not the store's would hide that they are not.
    key_use(configuration)
    with _refused():
        return rotate_keyring(_files(configuration).key_file)


def drop_old_key(configuration: Configuration, key_id: str, now_s: int, *, leaked: bool) -> int:
    """Take a key out of the key file; returns how many tokens at most are fetched anew, which only a leak justifies.

    Raises ConfigurationRefused for the sealing key, one that is not there, and one that is needed.
    """
    file = _files(configuration).key_file
    use = next((use for use in key_use(configuration) if use.key_id == key_id and use.opens), None)
    if use is None:
        raise ConfigurationRefused(f"{file}: holds no key {key_id!r}; `list` shows those it holds")
    if use.seals:
        raise ConfigurationRefused(f"{file}: {key_id} is the key that seals; rotate first")
    lost = use.rows if use.last_end_s > now_s else 0
    if lost and not leaked:
        raise ConfigurationRefused(
            f"key {key_id}: up to {lost} tokens are sealed under it, the last ends in {use.last_end_s - now_s} s; "
            "wait so long, or drop it with --leaked: they are fetched anew"
        )
    with _refused():
        drop_key(file, key_id)
    return lost


def _files(configuration: Configuration) -> StoreFiles:
    if configuration.store is None:
        raise ConfigurationRefused(f"{configuration.file}: store: there is none; add [store] for tokens to be kept")
    return configuration.store


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    """Tell what is wrong with key file or store as the configuration's fault: one line, before anything is served."""
    try:
        yield
    except (KeyFileError, StoreUnavailable) as error:
        raise ConfigurationRefused(str(error)) from None


def _is_there(path: Path) -> bool:
    """Whether there is anything; raises ConfigurationRefused where nobody can tell."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ConfigurationRefused(f"{path}: cannot be read: {error.strerror}") from None
    return True


def _opened(files: StoreFiles, *hooks: Hook) -> SqliteTokenStore:
    return SqliteTokenStore(files.file, read_keyring(files.key_file), hooks=hooks)
