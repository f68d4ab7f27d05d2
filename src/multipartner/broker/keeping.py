"""The one place that decides where a broker's tokens are kept: nowhere, or in the sealed store that the configuration names."""

from multipartner.broker.configuration import Configuration, ConfigurationRefused, StoreFiles
from multipartner.broker.upstreams import Hook
from multipartner.client import Account, TokenProvider
from multipartner.client.ports import StoreUnavailable
from multipartner.client.store import SqliteTokenStore
from multipartner.client.store_keys import KeyFileError, create_keyring, read_keyring


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
    if configuration.store is None:
        raise ConfigurationRefused(f"{configuration.file}: store: there is none; add [store] for tokens to be kept")
    try:
        return _opened(configuration.store)
    except (KeyFileError, StoreUnavailable) as error:
        raise ConfigurationRefused(str(error)) from None


def _opened(files: StoreFiles, *hooks: Hook) -> SqliteTokenStore:
    return SqliteTokenStore(files.file, read_keyring(files.key_file), hooks=hooks)
