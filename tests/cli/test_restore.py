"""A restore kills what was issued, whoever watches; and killed in the middle it leaves nothing that serves."""

import asyncio
import base64
import contextlib
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from backing import PATH_WITH_TOOLS, Keeping, generation_of, keeping_of
from deployment import ACT, DemoDeployment, Deployment
from issuing.real_engine import RealService
from multipartner.backing_up import Wish
from multipartner.domain.model import BusinessId, SolutionId
from multipartner.operating import begin_deployment
from multipartner.partnering.credentials import create_resource_server
from multipartner.partnering.lives import revoke_share
from multipartner.storage import audit
from multipartner.storage.backups import BackupRefused
from multipartner.storage.migrate import DatabaseVersionError
from multipartner.storage.ports import StorageUnavailable
from serving import COMMAND, OWNER_APP, OWNER_USER, SHARING, SHARING_TOO, SOLUTION, clean_environment, eventually


@pytest.fixture
def keeping(demo: DemoDeployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Keeping:
    monkeypatch.setenv("PATH", PATH_WITH_TOOLS)
    return keeping_of(demo, tmp_path, lambda: request.getfixturevalue("postgres"))


class Callers:
    """A caller token and a resource server of a deployment, which its backups know as well."""

    def __init__(self, deployment: Deployment) -> None:
        self.bearer = deployment.caller_token(OWNER_USER, OWNER_APP)
        made = deployment.operate(lambda o: create_resource_server(o.store, o.master, ACT, "Gate"))
        self.basic = base64.b64encode(f"{made.id}:{made.text.reveal()}".encode()).decode()

    @contextlib.contextmanager
    def service(self, deployment: Deployment) -> Iterator[RealService]:
        with asyncio.Runner() as runner:
            service = RealService(deployment, runner, self.basic)
            try:
                yield service
            finally:
                service.close()

    def token(self, service: RealService, business: str = SHARING) -> str:
        reply = service.run(service.token(self.bearer, BusinessId(business), SolutionId(SOLUTION)))
        assert reply.status == 200, reply.body
        return str(reply.json["access_token"])


@pytest.mark.both_engines
def test_revoked_stays_revoked_however_often_it_is_restored(keeping: Keeping) -> None:
    """Attack 42: tokens from before a restore are dead after it, those of an earlier restore of the same backup too."""
    callers = Callers(keeping.deployment)
    keeping.back_up()
    with callers.service(keeping.deployment) as service:
        revoked, other = callers.token(service), callers.token(service, SHARING_TOO)
        assert service.introspect(revoked)["active"] is True
    keeping.deployment.operate(lambda o: revoke_share(o.store, ACT, BusinessId(SHARING), SolutionId(SOLUTION)))

    first = keeping.restore()
    with callers.service(first) as service:
        assert [service.introspect(token)["active"] for token in (revoked, other)] == [False, False]
        between = callers.token(service, SHARING_TOO)
        assert service.introspect(between)["active"] is True
    second = keeping.restore()
    with callers.service(second) as service:
        assert [service.introspect(token)["active"] for token in (revoked, other, between)] == [False, False, False]

    assert len({generation_of(place) for place in (keeping.deployment, first, second)}) == 3


@pytest.mark.both_engines
def test_a_service_that_runs_obeys_the_restored_facts(keeping: Keeping) -> None:
    """A worker that had the old database open drops all it remembers, although the feed's rows are as it left them."""
    callers = Callers(keeping.deployment)
    with callers.service(keeping.deployment) as service:
        keeping.back_up()
        token = callers.token(service)
        assert service.introspect(token)["active"] is True

        keeping.restore_over()

        def answer() -> bool | None:
            with contextlib.suppress(AssertionError):  # 500, transient: it connects anew
                return not service.introspect(token)["active"]
            return None

        assert eventually(lambda: answer() is not None)
        assert answer() is True
        # A trail of files belongs to who opened it; on PostgreSQL the writer's chain begins anew.
        wanted = 200 if keeping.deployment.url else 500
        ask = partial(service.token, callers.bearer, BusinessId(SHARING_TOO), SolutionId(SOLUTION))
        assert eventually(lambda: service.run(ask()).status == wanted)
    assert audit.verify(keeping.deployment.backend).whole


def stage_draft(place: Deployment) -> bool:
    return any(place.directory.glob(".*.restoring-*"))


def stage_renewing(place: Deployment) -> bool:
    return any(place.directory.glob(".*.restoring-*.bell"))


def stage_trail(place: Deployment) -> bool:
    return place.trail.exists()


def stage_facts(place: Deployment) -> bool:
    return place.database.exists()


@pytest.mark.parametrize("stage", [stage_draft, stage_renewing, stage_trail, stage_facts])
def test_a_killed_restore_leaves_nothing_old_that_serves(keeping: Keeping, stage: Callable[[Deployment], bool]) -> None:
    """Killed at any point, a restore into files leaves no facts under their name, or the whole of them with a new generation."""
    keeping.back_up()
    place = keeping.elsewhere()

    with _restoring(keeping, place) as child:
        while child.poll() is None and not stage(place):
            pass
        child.kill()
        child.wait()

    if place.database.exists():
        assert generation_of(place) != generation_of(keeping.deployment)
        place.backend.check_version()
    else:
        with pytest.raises(DatabaseVersionError, match="no facts database"):
            place.backend.check_version()
    keeping.restored(place, Wish(replace=True))
    assert generation_of(place) != generation_of(keeping.deployment)


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True, scope="session")
def test_a_restore_killed_before_its_last_step_is_no_deployment(keeping: Keeping) -> None:
    """On PostgreSQL, tables that came back without their new generation are served, begun anew and restored into by nobody."""
    keeping.back_up()
    place = keeping.elsewhere()

    def arrived() -> bool:
        return place.rows("SELECT count(*) FROM pg_tables WHERE tablename = 'deployment'") == [(1,)]

    with place.writing(), _restoring(keeping, place) as child:
        eventually(arrived, 30)
        child.kill()
        child.wait()

    assert place.rows("SELECT count(*) FROM deployment") == [(0,)]
    with pytest.raises(DatabaseVersionError, match="no facts database"):
        place.backend.check_version()
    with pytest.raises(BackupRefused, match="is not empty"):
        keeping.restore(place)
    place.master_key_file.unlink()
    with pytest.raises(StorageUnavailable):
        begin_deployment(place.settings(), ACT)


@contextlib.contextmanager
def _restoring(keeping: Keeping, place: Deployment) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [COMMAND, "restore", str(keeping.folder), *place.arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_environment(),
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
