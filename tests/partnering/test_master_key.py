"""Nothing is sealed under a master key that is not the deployment's own."""

from pathlib import Path

import pytest

from deployment import ACT, DemoDeployment, Deployment
from multipartner import keyfile
from multipartner.crypto.sealing import SealBroken
from multipartner.partnering import worldfile
from multipartner.partnering.applying import apply_world
from multipartner.partnering.keys import rotate


def test_another_deployments_key_seals_nothing(deployment: Deployment, demo: DemoDeployment, tmp_path: Path) -> None:
    """With another deployment's master key file, `world apply` of a new app and `keys rotate` are refused and change nothing."""
    keyfile.create(tmp_path / "other.key")
    other = keyfile.read(tmp_path / "other.key")
    world = worldfile.parse(worldfile.dump(demo.world).encode(), "world.yaml")
    before = deployment.rows("SELECT count(*) FROM signing_key"), deployment.rows("SELECT count(*) FROM app")
    with pytest.raises(SealBroken):
        deployment.operate(lambda o: apply_world(o.store, other, ACT, world))
    with pytest.raises(SealBroken):
        deployment.operate(lambda o: rotate(o.store, other, ACT))

    assert (deployment.rows("SELECT count(*) FROM signing_key"), deployment.rows("SELECT count(*) FROM app")) == before
