"""`backup` and `restore`: what comes back, what is refused, and what a folder of a backup holds."""

import asyncio
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from backing import PATH_WITH_TOOLS, Keeping, facts_of, generation_of, keeping_of
from cli.command_line import in_process
from deployment import ACT, DemoDeployment, Deployment
from multipartner import keyfile
from multipartner.backing_up import Wish
from multipartner.crypto.sealing import SealBroken
from multipartner.domain.model import AppId, BusinessId, SolutionId, Tenant
from multipartner.partnering.lives import restore_grant, revoke_grant, revoke_share
from multipartner.storage import audit
from multipartner.storage.backups import BackupRefused
from multipartner.storage.migrate import DatabaseVersionError
from multipartner.storage.ports import StorageUnavailable
from multipartner.storage.postgres import Postgres
from multipartner.storage.postgres_backup import for_libpq, take
from multipartner.storage.sqlite_backend import SqliteBackend
from serving import OWNER_APP, SHARING, SOLUTION

TENANT = Tenant(AppId(OWNER_APP), SolutionId(SOLUTION), BusinessId(SHARING))


@pytest.fixture
def keeping(demo: DemoDeployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Keeping:
    monkeypatch.setenv("PATH", PATH_WITH_TOOLS)
    return keeping_of(demo, tmp_path, lambda: request.getfixturevalue("postgres"))


def revoke(keeping: Keeping) -> None:
    keeping.deployment.operate(lambda o: revoke_share(o.store, ACT, TENANT.business_id, TENANT.solution_id))


def assert_nothing_there(keeping: Keeping, raised: type[Exception], match: str) -> None:
    """A restore is refused, and leaves its place as it was."""
    place = keeping.elsewhere()
    with pytest.raises(raised, match=match):
        keeping.restore(place)
    assert [path.name for path in place.directory.iterdir()] == ["master.key"]
    with pytest.raises(DatabaseVersionError, match="no facts database"):
        place.backend.check_version()


@pytest.mark.both_engines
def test_a_restored_backup_is_the_deployment_with_another_generation(keeping: Keeping) -> None:
    """All facts and the whole trail come back, the deployment's generation does not, and the trail tells of the restore."""
    keeping.back_up()
    told = audit.heads(keeping.deployment.backend)
    revoke(keeping)

    place = keeping.restore()

    known = facts_of(keeping.deployment)
    assert {name for name, rows in facts_of(place).items() if rows != known[name]} == {"share"}
    assert generation_of(place) != generation_of(keeping.deployment)
    *before, last = place.events()
    assert before == keeping.deployment.events()[: len(before)]
    assert (last["kind"], last["detail"]["backup_changes_seq"]) == ("deployment.restored", str(told["changes"].seq))
    report = audit.verify(place.backend, told)
    assert (report.whole, report.pending) == (True, 0)


@pytest.mark.both_engines
def test_the_verbs_say_what_they_did(keeping: Keeping, capsys: pytest.CaptureFixture[str]) -> None:
    """`backup` names folder and master key, `restore` warns of later changes, and `doctor` finds the restored place well."""
    said = in_process(capsys, keeping.deployment)("backup", str(keeping.folder))
    assert (said.code, str(keeping.deployment.master_key_file) in said.out) == (0, True)

    restored = in_process(capsys, keeping.elsewhere())
    said = restored("restore", str(keeping.folder))
    assert (said.code, "active again: do it again" in said.out) == (0, True)
    assert restored("doctor").code == 0


def test_files_are_private_and_nothing_is_overwritten(keeping: Keeping) -> None:
    """A backup's folder is 0700, its files 0600, and a second backup to the same name is refused."""
    keeping.back_up()

    modes = {path.name: path.stat().st_mode & 0o777 for path in keeping.folder.iterdir()}
    assert (keeping.folder.stat().st_mode & 0o777, modes) == (0o700, dict.fromkeys(modes, 0o600))
    assert set(modes) == {"manifest.json", "facts.db", "trail.db"}
    with pytest.raises(BackupRefused, match="exists already"):
        keeping.back_up()


@pytest.mark.both_engines
def test_a_backup_under_writes_is_of_one_moment(keeping: Keeping) -> None:
    """While another process changes facts, each backup's facts are what its own trail says last."""
    begun, done = threading.Event(), threading.Event()

    def write() -> None:
        while not done.is_set():
            for change in (revoke_grant, restore_grant):
                keeping.deployment.operate(lambda o, change=change: change(o.store, ACT, TENANT))  # type: ignore[misc] # mypy: bound in a default
                begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(30)
        for _ in range(3):
            shutil.rmtree(keeping.folder, ignore_errors=True)
            keeping.back_up()
            place = keeping.restore()
            kinds = [event["kind"] for event in place.events() if event["kind"].startswith("grant.")]
            ((status,),) = place.rows(
                f"SELECT status FROM app_grant WHERE app_id = '{OWNER_APP}' AND business_id = '{SHARING}' "  # noqa: S608 - ids of the demo
                f"AND solution_id = '{SOLUTION}'"
            )
            assert kinds[-1] == f"grant.{'restored' if status == 'ACTIVE' else 'revoked'}"
            assert audit.verify(place.backend).whole
    finally:
        done.set()
        writer.join()


@pytest.mark.both_engines
def test_another_master_key_is_refused_before_anything_is_written(keeping: Keeping) -> None:
    """The key file must open the backup's keys."""
    keeping.back_up()
    place = keeping.elsewhere()
    place.master_key_file.unlink()
    keyfile.create(place.master_key_file)

    with pytest.raises(SealBroken):
        keeping.restore(place)
    with pytest.raises(DatabaseVersionError, match="no facts database"):
        place.backend.check_version()


def _flip(keeping: Keeping) -> None:
    data = bytearray(keeping.part.read_bytes())
    data[len(data) // 2] ^= 1
    keeping.part.write_bytes(data)


def _cut(keeping: Keeping) -> None:
    keeping.part.write_bytes(keeping.part.read_bytes()[:-1])


def _without_manifest(keeping: Keeping) -> None:
    (keeping.folder / "manifest.json").unlink()


def _manifest(**members: object) -> Callable[[Keeping], None]:
    def change(keeping: Keeping) -> None:
        path = keeping.folder / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | members))

    return change


DAMAGES = {
    "a flipped bit": (_flip, BackupRefused, "SHA-256"),
    "a cut end": (_cut, BackupRefused, "bytes instead of"),
    "an interrupted backup": (_without_manifest, BackupRefused, "holds no manifest"),
    "a newer format": (_manifest(format=2), DatabaseVersionError, "newer than 1"),
    "a newer schema": (_manifest(histories={"facts": "9999", "trail": "0001"}), DatabaseVersionError, "newer than"),
    "a path out of the folder": (_manifest(parts={"../master.key": {"bytes": 1, "sha256": ""}}), BackupRefused, "other parts"),
    "no keys": (_manifest(sealed={}), BackupRefused, "holds no keys"),
    "a manifest that is none": (_manifest(parts=3), BackupRefused, "cannot be read"),
}


@pytest.mark.both_engines
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_backup_is_refused_in_a_line(keeping: Keeping, damage: str) -> None:
    """Attack 75: what is damaged, newer than this program, or names files of its own, is refused, and nothing is written."""
    harm, raised, match = DAMAGES[damage]
    keeping.back_up()
    harm(keeping)

    assert_nothing_there(keeping, raised, match)


def test_a_backup_of_another_engine_is_refused(keeping: Keeping) -> None:
    """Files do not go into PostgreSQL, nor the other way round."""
    keeping.back_up()
    part = {"bytes": 1, "sha256": ""}
    _manifest(engine="postgresql", parts={"database.dump": part})(keeping)

    assert_nothing_there(keeping, BackupRefused, "is a backup of postgresql")


@pytest.mark.both_engines
def test_what_exists_is_not_overwritten(keeping: Keeping) -> None:
    """A restore into a place that is not empty is refused."""
    keeping.back_up()
    before = keeping.deployment.dump()

    with pytest.raises(BackupRefused, match=r"exists already|is not empty"):
        keeping.restore(keeping.deployment)
    assert keeping.deployment.dump() == before


def test_replaced_files_are_moved_aside_and_tell_what_is_undone(keeping: Keeping) -> None:
    """With `--replace` the old files stay, whole, under other names, and the restore tells what was changed since the backup."""
    keeping.back_up()
    revoke(keeping)

    done = keeping.restored(keeping.deployment, Wish(replace=True))

    assert [json.loads(line)["kind"] for line in done.undone or []] == ["share.revoked"]
    old = keeping.deployment.directory / f"facts.db{done.aside}"
    before = SqliteBackend(old, old.with_name(f"trail.db{done.aside}"))
    assert (audit.verify(before).whole, audit.verify(keeping.deployment.backend).whole) == (True, True)
    assert before.in_facts(lambda connection: connection.exec_driver_sql("SELECT generation FROM deployment").scalar())
    assert "share.revoked" not in {event["kind"] for event in keeping.deployment.events()}


def test_a_kept_trail_goes_on(keeping: Keeping) -> None:
    """With `--keep-trail` later events stay, and anchors exported after the backup still hold."""
    keeping.back_up()
    revoke(keeping)
    anchor = audit.heads(keeping.deployment.backend)

    keeping.restored(keeping.deployment, Wish(replace=True, keep_trail=True))

    assert [event["kind"] for event in keeping.deployment.events()[-2:]] == ["share.revoked", "deployment.restored"]
    revoke(keeping)
    assert audit.verify(keeping.deployment.backend, anchor).whole


def test_a_foreign_trail_is_not_gone_on_with(keeping: Keeping, deployment: Deployment) -> None:
    """`--keep-trail` is refused where the trail is not the one the backup was taken of."""
    keeping.back_up()
    deployment.database.unlink()
    shutil.copy(keeping.deployment.master_key_file, deployment.master_key_file)

    with pytest.raises(BackupRefused, match="not the trail"):
        keeping.restored(deployment, Wish(keep_trail=True))
    assert not deployment.database.exists()


@pytest.mark.both_engines
def test_tools_of_postgres_are_needed_there_alone(keeping: Keeping, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without `pg_dump`, or with an older one than the server, a backup is refused in a line and leaves no folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    if not keeping.deployment.url:
        keeping.back_up()
        return
    with pytest.raises(BackupRefused, match="pg_dump is not on the PATH"):
        keeping.back_up()
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'\n")
    old.chmod(0o700)
    with pytest.raises(BackupRefused, match=r"version 15, older than the server \(\d+\); put pg_dump"):
        keeping.back_up()
    assert not keeping.folder.exists()


def test_a_password_is_no_argument() -> None:
    """Hosts and TLS go to PostgreSQL's programs in the URL, the password in the environment, settings as PGOPTIONS."""
    url, environment = for_libpq(
        "postgresql://ann:p%40ss%2Fword@one:5432,two:5433/facts?sslmode=verify-full&sslrootcert=/etc/my%20ca.pem&search_path=a%20b"
    )

    assert url == "postgresql://ann@one:5432,two:5433/facts?sslmode=verify-full&sslrootcert=%2Fetc%2Fmy%20ca.pem"
    assert environment == {"PGPASSWORD": "p@ss/word", "PGOPTIONS": "-c search_path=a\\ b"}
    assert for_libpq("postgresql:///facts?host=/run&user=u&password=secret")[0] == "postgresql:///facts?host=%2Frun&user=u"
    assert for_libpq("postgresql://one/facts?options=-c%20a%3Db")[1] == {"PGOPTIONS": "-c a=b"}
    with pytest.raises(BackupRefused, match="sslpassword"):
        for_libpq("postgresql://one/facts?sslpassword=secret")


def test_an_unreachable_server_is_told_without_a_password(keeping: Keeping) -> None:
    """A backup of a database that is not there is one line without the password."""
    place = Postgres(f"postgresql://ann:secret@/facts?host={keeping.deployment.directory}")
    with pytest.raises(StorageUnavailable) as told:
        asyncio.run(take(place, keeping.folder))
    assert "secret" not in str(told.value)
