"""The file of a broker's caller tokens."""

import json
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from multipartner.broker.credentials import (
    Credentials,
    CredentialsRefused,
    Known,
    Wanted,
    create,
    listed,
    revoke,
)
from multipartner.crypto.credentials import PATTERN
from multipartner.domain.model import Secret

NOW_S = 1_800_000_000
ANY = Wanted("any", "main", ["*"], ["*"])


def test_the_file_holds_no_token(tmp_path: Path) -> None:
    """Attack 59: the file is 0600 and holds neither a token nor its secret part, and no two tokens are alike."""
    file = tmp_path / "credentials.json"
    texts = [create(file, ANY, NOW_S)[1].reveal() for _ in range(3)]

    content = file.read_text("utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(set(texts)) == 3
    for text in texts:
        assert re.fullmatch(PATTERN, text)
        assert text not in content
        assert text.split("_")[2] not in content


@pytest.mark.parametrize("ids", [[], [""], ["*", "1"], ["12a"], ["\uff11\uff12"], ["1\n"], ["-1"], ["1" * 33], ["all"]])
def test_reach_must_be_named(tmp_path: Path, ids: list[str]) -> None:
    """Attack 38: what names nothing, everything beside something, or no id is refused, and nothing is written."""
    for solutions, businesses in ((ids, ["1"]), (["1"], ids)):
        with pytest.raises(CredentialsRefused, match=r"'\*' alone"):
            create(tmp_path / "credentials.json", Wanted("n", "main", solutions, businesses), NOW_S)

    assert list(tmp_path.iterdir()) == []


def test_many_makers_at_once_lose_nothing(tmp_path: Path) -> None:
    """Who finds the file being changed is told so; whoever was told that theirs was made has it."""
    file = tmp_path / "credentials.json"
    create(file, ANY, NOW_S)

    def made(number: int) -> str:
        try:
            return create(file, Wanted(f"n{number}", "main", ["1"], ["1"]), NOW_S)[0].id
        except CredentialsRefused as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(made, range(40)))

    ids = {one for one in told if "being changed" not in one}
    assert ids
    assert ids <= {known.id for known in listed(file)}
    assert len(listed(file)) == len(ids) + 1
    assert [path.name for path in tmp_path.iterdir()] == ["credentials.json"]


def test_revoking_is_kept_and_told_once(tmp_path: Path) -> None:
    """A revoked token stays listed with its time; a second revocation changes nothing; an unknown id is refused."""
    file = tmp_path / "credentials.json"
    known, text = create(file, ANY, NOW_S)

    assert (revoke(file, known.id, NOW_S + 5), revoke(file, known.id, NOW_S + 9)) == (True, False)
    assert [one.revoked_at_s for one in listed(file)] == [NOW_S + 5]
    assert not isinstance(Credentials(file).authenticate(text, NOW_S), Known)
    with pytest.raises(CredentialsRefused, match="holds no caller token"):
        revoke(file, "nobody", NOW_S)


def test_a_broker_without_tokens_does_not_start(tmp_path: Path) -> None:
    """Never open by default: without a file, or with one that others may read or change, there is no broker."""
    file = tmp_path / "credentials.json"
    with pytest.raises(CredentialsRefused, match="make the first one"):
        Credentials(file)
    create(file, ANY, NOW_S)
    file.chmod(0o640)
    with pytest.raises(CredentialsRefused, match="chmod 600"):
        Credentials(file)
    file.chmod(0o600)
    (tmp_path / "link.json").symlink_to(file)
    with pytest.raises(CredentialsRefused, match="symbolic link"):
        Credentials(tmp_path / "link.json")


@pytest.mark.parametrize("spoil", ["{", "[]", '{"version":2}', '{"version":1,"key":"YQ=="}', '{"version":1,"key":"","x":1}'])
def test_a_foreign_file_is_refused(tmp_path: Path, spoil: str) -> None:
    """A file of another form, or of a later version, is refused and left alone."""
    file = tmp_path / "credentials.json"
    file.touch(0o600)
    file.write_text(spoil)

    with pytest.raises(CredentialsRefused, match="no file of broker credentials"):
        Credentials(file)
    with pytest.raises(CredentialsRefused, match="no file of broker credentials"):
        create(file, ANY, NOW_S)
    assert file.read_text() == spoil


def test_a_widened_row_is_no_other_token(tmp_path: Path) -> None:
    """A row whose identifier is swapped with another's opens with neither token: the fingerprint is of the whole text."""
    file = tmp_path / "credentials.json"
    (_, narrow), (_, wide) = create(file, Wanted("n", "main", ["1"], ["1"]), NOW_S), create(file, ANY, NOW_S)
    document = json.loads(file.read_bytes())
    rows = document["credentials"]
    rows[0]["id"], rows[1]["id"] = rows[1]["id"], rows[0]["id"]
    file.write_text(json.dumps(document))

    credentials = Credentials(file)
    assert not any(isinstance(credentials.authenticate(text, NOW_S), Known) for text in (narrow, wide))


def test_its_own_tokens_are_recognised(tmp_path: Path) -> None:
    """A broker knows a caller token of its own, the revoked ones too, whatever it is asked to use it for."""
    file = tmp_path / "credentials.json"
    known, text = create(file, ANY, NOW_S)
    revoke(file, known.id, NOW_S)

    credentials = Credentials(file)
    assert (credentials.is_own(text), credentials.is_own(Secret("EAAG")), len(credentials)) == (True, False, 0)
