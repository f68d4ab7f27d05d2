"""World files, applied as `world apply` does."""

from deployment import ACT, Deployment
from multipartner.partnering import worldfile
from multipartner.partnering.applying import Applied, apply_world


def apply_file(deployment: Deployment, text: str) -> Applied:
    """Apply a file: what it leaves unsaid stays as it is."""
    world, unsaid = worldfile.read(text.encode(), "test.yaml")
    return deployment.operate(lambda o: apply_world(o.store, o.master, ACT, world, unsaid))
