"""The one place that decides where a broker's tokens are kept: nowhere, or in the sealed store that the configuration names."""

import contextlib

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
    try:
        if not configuration.store.key_file.exists():
            create_keyring(configuration.store.key_file)
        _opened(configuration.store).close()
    except (KeyFileError, StoreUnavailable) as error:
        raise ConfigurationRefused(str(error)) from None


def store_of(configuration: Configuration) -> SqliteTokenStore:
    """Open the store of a configuration, for whoever looks into it. Raises ConfigurationRefused."""
    files = _files(configuration)
    try:
        return _opened(files)
    except (KeyFileError, StoreUnavailable) as error:
        raise ConfigurationRefused(str(error)) from None


def key_use(configuration: Configuration) -> list[KeyUse]:
    """Say what the store holds under each key, the sealing one first. Raises ConfigurationRefused, StoreUnavailable."""
    _made(configuration)
    with contextlib.closing(store_of(configuration)) as store:
        return store.key_use()


def rotate_key(configuration: Configuration) -> str:
    """Put a new key first, which a broker takes at its next start; returns its id. Raises ConfigurationRefused."""
    try:
        return rotate_keyring(_made(configuration).key_file)
    except KeyFileError as error:
        raise ConfigurationRefused(str(error)) from None


def drop_old_key(configuration: Configuration, key_id: str, now_s: int, *, leaked: bool) -> int:
    """Take a key out of the key file; returns how many tokens have to be fetched anew, which only a leak justifies.

    Raises ConfigurationRefused for the sealing key, one that is not there, and one that is needed; StoreUnavailable.
    """
    used = {use.key_id: use for use in key_use(configuration)}
    lost = used[key_id].rows if key_id in used and used[key_id].last_end_s > now_s else 0
    if lost and not leaked:
        raise ConfigurationRefused(
            f"key {key_id}: up to {lost} tokens are sealed under it, the last ends in {used[key_id].last_end_s - now_s} s; "
            "wait so long, or drop it with --leaked: they are fetched anew"
        )
    try:
        drop_key(_made(configuration).key_file, key_id)
    except KeyFileError as error:
        raise ConfigurationRefused(str(error)) from None
    return lost


def _files(configuration: Configuration) -> StoreFiles:
    if configuration.store is None:
        raise ConfigurationRefused(f"{configuration.file}: store: there is none; add [store] for tokens to be kept")
    return configuration.store


def _made(configuration: Configuration) -> StoreFiles:
    files = _files(configuration)
    if not files.key_file.exists():
        raise ConfigurationRefused(f"{files.key_file}: is not there yet; the broker makes it at its first start")
    return files


def _opened(files: StoreFiles, *hooks: Hook) -> SqliteTokenStore:
    return SqliteTokenStore(files.file, read_keyring(files.key_file), hooks=hooks)
