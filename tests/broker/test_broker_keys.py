"""`multipartner broker keys`: the keys that seal a broker's store come and go without a token that is lost by surprise."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from brokering import TARGET, Folder, brokering, folder_at, granted, run, upstream
from multipartner.client.store_keys import KeyFileError, create_keyring, rotate_keyring
from running import App

APP = App("5372200989284704", "App", "owner", "", "main-caller-token-of-a-test")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = folder_at(tmp_path / "b")
    folder.store = {}
    return folder


def keys(folder: Folder, *arguments: str) -> Any:
    done = run("broker", "keys", *arguments, "--config", str(folder.config), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def refused(folder: Folder, *arguments: str) -> str:
    done = run("broker", "keys", *arguments, "--config", str(folder.config))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    return done.stderr


def test_a_key_is_rotated_and_dropped_without_a_lost_token(folder: Folder) -> None:
    """Attack 79: a new key seals from the next start, the old one opens what it sealed, and goes only when nothing needs it."""
    with upstream(lambda _: granted("t")) as api:
        folder.account("main", api.url, APP)
        token = folder.credential()
        with brokering(folder) as broker:
            assert broker.ask(token, TARGET).status == 200
            broker.stop()
        new = keys(folder, "rotate")["id"]
        first, second = keys(folder, "list")
        assert (first["id"], first["state"], first["tokens"], first["last_end_s"]) == (new, "seals", 0, None)
        assert (second["state"], second["tokens"]) == ("opens", 1)
        with brokering(folder) as broker:
            assert (broker.ask(token, TARGET).status, len(api.asked)) == (200, 1)
            broker.stop()

        assert "up to 1 tokens are sealed under it" in refused(folder, "drop", second["id"])
        assert keys(folder, "drop", second["id"], "--leaked")["fetched_anew_at_most"] == 1
        for flags in ((), ("--leaked",)):
            assert "holds no key" in refused(folder, "drop", second["id"], *flags)
        assert [(key["id"], key["state"]) for key in keys(folder, "list")] == [(new, "seals"), (second["id"], "dropped")]
        with brokering(folder) as broker:
            assert (broker.ask(token, TARGET).status, len(api.asked)) == (200, 2)


def test_what_cannot_be_done_to_a_key_is_one_line(folder: Folder) -> None:
    """No store, no key file yet, an unknown key, the key that seals: each is refused with the way out, and nothing changes."""
    folder.account("main", "http://127.0.0.1:1", APP)
    folder.credential()
    for verb in ("list", "rotate"):
        assert "the broker makes it at its first start" in refused(folder, verb)
    assert not (folder.path / "token-store.keys").exists()
    with brokering(folder) as broker:
        broker.stop()
    (only,) = keys(folder, "list")
    shutil.rmtree(folder.path / "tokens")
    assert keys(folder, "list") == [only]
    assert not (folder.path / "tokens").exists()
    for flags in ((), ("--leaked",)):
        assert "rotate first" in refused(folder, "drop", only["id"], *flags)
    assert "holds no key" in refused(folder, "drop", "00\nff")
    assert [key["id"] for key in keys(folder, "list")] == [only["id"]]
    folder.store = {"key_file": "k" * 300}
    assert "cannot be read: File name too long" in refused(folder, "list")
    folder.store = None
    assert "add [store]" in refused(folder, "list")


def test_a_ring_never_grows_past_what_can_be_read(folder: Folder) -> None:
    """Rotation after rotation without a drop is refused before the file is too long to be read; the keys stay as they were."""
    folder.account("main", "http://127.0.0.1:1", APP)
    folder.credential()
    ring = folder.path / "token-store.keys"
    create_keyring(ring)
    for _ in range(4096 // 45 - 1):
        rotate_keyring(ring)
    with pytest.raises(KeyFileError, match="drop old keys first"):
        rotate_keyring(ring)

    assert len(keys(folder, "list")) == 4096 // 45
    assert "drop old keys first" in refused(folder, "rotate")


def test_a_key_that_does_not_open_the_store_is_not_rotated(folder: Folder) -> None:
    """With another store's key file nothing is rotated: the new key would hide that none of the others is the store's."""
    folder.account("main", "http://127.0.0.1:1", APP)
    folder.credential()
    with brokering(folder) as broker:
        broker.stop()
    ring = folder.path / "token-store.keys"
    ring.unlink()
    create_keyring(ring)
    before = ring.read_bytes()

    assert "none of the given keys opens it" in refused(folder, "rotate")
    assert ring.read_bytes() == before
